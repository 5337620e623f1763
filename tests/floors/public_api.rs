//! The public items of the library, read from its sources and compared with `public_api.txt`, so that the
//! public API grows by decision.
//!
//! The list has modules, types with their public fields and variants, traits, functions and methods with
//! their signatures, constants, and what a module reexports. What is hidden from the documentation is not in
//! it, nor are implementations of traits.

use super::Result;
use super::items::{Item, ModulePath, expanded, implements, imports, items, parts};
use super::source::code;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The variable that has the list written anew.
const UPDATE: &str = "UPDATE_PUBLIC_API";

/// The library: the items of each module.
struct Library(BTreeMap<ModulePath, Vec<Item>>);

impl Library {
    fn read() -> Result<Self> {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut library = Library(BTreeMap::new());
        let root = code(&fs::read_to_string(src.join("lib.rs"))?);
        library.add(&src, Vec::new(), &root)?;
        Ok(library)
    }

    fn add(&mut self, src: &Path, path: ModulePath, code: &str) -> Result {
        let items = expanded(items(code));
        for item in items.iter().filter(|item| !item.is_left_out()) {
            let Some(("mod", name)) = item.named() else {
                continue;
            };
            let inner = [path.clone(), vec![name.to_owned()]].concat();
            if let Some(body) = &item.body {
                self.add(src, inner, body)?;
            } else {
                let folder: PathBuf = inner.iter().collect();
                let file = src.join(folder).with_extension("rs");
                let text = fs::read_to_string(&file);
                let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
                self.add(src, inner, &super::source::code(&text))?;
            }
        }
        self.0.insert(path, items);
        Ok(())
    }

    /// The public methods and constants of a type, of which implementations are in one top module.
    fn methods(&self, top: Option<&String>, name: &str) -> Vec<Item> {
        let modules = self.0.iter().filter(|(path, _)| path.first() == top);
        let blocks = modules.flat_map(|(_, items)| items);
        let own = blocks.filter(|item| implements(&item.head) == Some(name));
        let methods = own.flat_map(|block| items(block.content()));
        methods.filter(Item::is_public).collect()
    }

    /// The item of this name in a module, which may import it.
    fn find(&self, module: &[String], name: &str) -> Option<(&Item, ModulePath)> {
        let items = self.0.get(module)?;
        let own = items.iter().find(|item| {
            item.is_public()
                && !item.head.starts_with("pub use ")
                && item.named().is_some_and(|(_, own)| own == name)
        });
        if let Some(item) = own {
            return Some((item, module.to_vec()));
        }
        imports(items).into_iter().find_map(|(path, known)| {
            let path = [module, &path].concat();
            (known == name).then(|| self.find(&path, name))?
        })
    }

    /// Lists the public items of a module.
    fn list(
        &self,
        module: &[String],
        shown: &str,
        lines: &mut BTreeSet<(String, String)>,
    ) -> Result {
        let items = &self.0[module];
        for item in items.iter().filter(|item| item.is_public()) {
            match item.named() {
                Some(("use", _)) => {}
                Some(("mod", name)) => {
                    let path = format!("{shown}::{name}");
                    lines.insert((path.clone(), format!("mod {path}")));
                    let inner = [module, &[name.to_owned()]].concat();
                    self.list(&inner, &path, lines)?;
                }
                Some((_, name)) => self.item(item, module, &format!("{shown}::{name}"), lines),
                None => return Err(format!("not read: {}", item.head).into()),
            }
        }
        for (path, name) in imports(items) {
            let shown = format!("{shown}::{name}");
            let is_elsewhere = path.first().is_some_and(|first| first == "crate");
            let absolute = if is_elsewhere {
                path[1..].to_vec()
            } else {
                [module, &path].concat()
            };
            // What is public there is listed there.
            let is_public = self.is_public(&absolute);
            if is_public {
                let from = absolute.join("::");
                lines.insert((
                    shown.clone(),
                    format!("use {shown} (tributary::{from}::{name})"),
                ));
            } else {
                let found = self.find(&absolute, &name);
                let (item, home) = found.ok_or_else(|| format!("{shown} is not found"))?;
                self.item(item, &home, &shown, lines);
            }
        }
        Ok(())
    }

    /// Whether a module and those around it are public.
    fn is_public(&self, module: &[String]) -> bool {
        (1..=module.len()).all(|depth| {
            let (name, around) = module[..depth].split_last().expect("at least one");
            self.0[around]
                .iter()
                .any(|item| item.is_public() && item.named() == Some(("mod", name.as_str())))
        })
    }

    /// Lists an item with its parts.
    fn item(
        &self,
        item: &Item,
        module: &[String],
        shown: &str,
        lines: &mut BTreeSet<(String, String)>,
    ) {
        let mut add = |path: String, line: String| lines.insert((path, line));
        let Some((kind, name)) = item.named() else {
            return;
        };
        add(shown.to_owned(), item.line(shown).unwrap_or_default());
        let part = |text: &str| format!("{shown}::{text}");
        match kind {
            "enum" => {
                for variant in parts(item.content()) {
                    add(part(&variant), format!("variant {}", part(&variant)));
                }
            }
            "struct" => {
                let tuple = item.head.split_once(['(']).map(|(_, fields)| fields);
                let fields = match tuple {
                    Some(fields) => parts(fields.rsplit_once(')').map_or(fields, |(f, _)| f)),
                    None => parts(item.content()),
                };
                for (index, field) in fields.iter().enumerate() {
                    let Some(field) = field.strip_prefix("pub ") else {
                        continue;
                    };
                    let field = match tuple {
                        Some(_) => format!("{index}: {field}"),
                        None => field.to_owned(),
                    };
                    add(part(&field), format!("field {}", part(&field)));
                }
            }
            "trait" => {
                for method in items(item.content())
                    .iter()
                    .filter(|item| !item.is_left_out())
                {
                    let path = part(method.named().map_or("", |(_, name)| name));
                    add(path.clone(), method.line(&path).unwrap_or_default());
                }
                return;
            }
            _ => return,
        }
        for method in self.methods(module.first(), name) {
            let path = part(method.named().map_or("", |(_, name)| name));
            add(path.clone(), method.line(&path).unwrap_or_default());
        }
    }
}

/// The list of the public items, in the order of their paths.
fn list() -> Result<Vec<String>> {
    let mut lines = BTreeSet::new();
    Library::read()?.list(&[], "tributary", &mut lines)?;
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

#[test]
fn the_public_api_is_the_one_that_was_decided_on() -> Result {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/floors/public_api.txt");
    let lines = list()?;
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&file, lines.join("\n") + "\n")?;
    }
    let decided = fs::read_to_string(&file).unwrap_or_default();
    let decided: BTreeSet<&str> = decided.lines().collect();
    let present: BTreeSet<&str> = lines.iter().map(String::as_str).collect();
    let added = present.difference(&decided).map(|line| format!("+ {line}"));
    let removed = decided.difference(&present).map(|line| format!("- {line}"));
    let changes: Vec<String> = removed.chain(added).collect();
    assert!(
        changes.is_empty(),
        "the public API has changed:\n{}\nto accept that, run the test with {UPDATE}=1 and commit public_api.txt",
        changes.join("\n")
    );
    Ok(())
}

#[test]
fn no_two_public_types_share_a_name() -> Result {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for line in list()? {
        let Some((kind, rest)) = line.split_once(' ') else {
            continue;
        };
        if !["struct", "enum", "trait", "type"].contains(&kind) {
            continue;
        }
        let path = rest.split(['<', ' ', '(']).next().unwrap_or(rest);
        let path = path.trim_end_matches(':');
        let name = path.rsplit("::").next().unwrap_or(path);
        if let Some(other) = known.insert(name.to_owned(), path.to_owned()) {
            return Err(format!("{path} has the name of {other}").into());
        }
    }
    Ok(())
}
