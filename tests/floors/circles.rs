//! Circles of imports between files.
//!
//! A module uses the files of its own folder, and those may use what it declares. Any other circle lies
//! within one folder and is listed here; `src/doc/design.md` has its reason.

use super::Result;
use super::source::{File, files};
use std::collections::{BTreeMap, BTreeSet};

/// The circles that are there.
const CIRCLES: [&[&str]; 8] = [
    &["ack/group.rs", "ack/holder.rs", "ack/settled.rs"],
    &["connect/redis/config.rs", "connect/redis/connection.rs"],
    &[
        "script/function/module.rs",
        "script/function/view.rs",
        "script/function/vm.rs",
    ],
    &[
        "store/dialect/capabilities.rs",
        "store/dialect/clock.rs",
        "store/dialect/lex.rs",
        "store/dialect/tokens.rs",
    ],
    &[
        "window/analysis/expressions.rs",
        "window/analysis/symbol.rs",
    ],
    &[
        "window/analysis/functions.rs",
        "window/analysis/sql_type.rs",
        "window/analysis/survey.rs",
    ],
    &["window/kind.rs", "window/options.rs"],
    &["window/strategy/full.rs", "window/strategy/keyed.rs"],
];

/// A path of names, as in `["crate", "store", "Datum"]`.
type Names = Vec<String>;

/// An import or a path in code, and whether it is a re-export.
struct Use {
    path: Names,
    is_export: bool,
}

/// The module of a file, as names below the crate.
fn module(path: &str) -> Names {
    match path.trim_end_matches(".rs") {
        "lib" => Vec::new(),
        path => path.split('/').map(str::to_owned).collect(),
    }
}

/// The paths of the tree of one `use`.
fn expand(start: &[String], tree: &str, found: &mut Vec<Names>) {
    let (path, group) = match tree.split_once('{') {
        Some((path, group)) => (
            path,
            Some(group.trim_end().strip_suffix('}').unwrap_or(group)),
        ),
        None => (tree.split(" as ").next().unwrap_or(tree), None),
    };
    let names = path
        .split("::")
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let path: Names = start
        .iter()
        .cloned()
        .chain(names.map(str::to_owned))
        .collect();
    let Some(group) = group else {
        return found.push(path);
    };
    let (mut depth, mut begin) = (0, 0);
    for (index, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !group[begin..index].trim().is_empty() {
                    expand(&path, group[begin..index].trim(), found);
                }
                begin = index + 1;
            }
            _ => {}
        }
    }
}

/// What a file imports, and the paths in its code that begin with `crate`, `super` or `self`.
fn uses(code: &str) -> Vec<Use> {
    let mut all = Vec::new();
    let mut rest = String::new();
    for statement in code.split_inclusive([';', '}', '{']) {
        // The groups of an import are statements of this loop: they are put together again.
        rest.push_str(statement);
        let begin = ["use ", "\nuse "]
            .iter()
            .filter_map(|word| rest.rfind(word))
            .max();
        let is_import = begin.is_some_and(|begin| {
            let before = rest[..begin].trim_end();
            before.is_empty()
                || before.ends_with([';', '}', '{', ']', ')'])
                || before.ends_with("pub")
        });
        if is_import && !statement.ends_with(';') {
            continue;
        }
        if let (true, Some(begin)) = (is_import, begin) {
            let before = rest[..begin].trim_end();
            let is_export = before.ends_with("pub") || before.ends_with(')');
            let tree = rest[begin..].trim_start().trim_start_matches("use ");
            let mut found = Vec::new();
            expand(&[], tree.trim_end_matches(';'), &mut found);
            all.extend(found.into_iter().map(|path| Use { path, is_export }));
            rest.truncate(begin);
        }
        for start in ["crate::", "super::", "self::"] {
            for (index, _) in rest.match_indices(start) {
                let is_word =
                    rest[..index].ends_with(|c: char| c.is_alphanumeric() || c == ':' || c == '_');
                let path =
                    rest[index..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
                let path = path.take(1).flat_map(|path| path.split("::"));
                let path = path
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect();
                if !is_word {
                    all.push(Use {
                        path,
                        is_export: false,
                    });
                }
            }
        }
        rest.clear();
    }
    all
}

/// The files of a crate, and what they import.
struct Tree {
    files: BTreeMap<Names, String>,
    uses: BTreeMap<Names, Vec<Use>>,
}

impl Tree {
    fn of(files: &[File]) -> Self {
        let tests = |path: &str| path.contains("/tests/") || path.ends_with("/tests.rs");
        let files = files.iter().filter(|file| !tests(&file.path));
        let all: Vec<(Names, &File)> = files.map(|file| (module(&file.path), file)).collect();
        Tree {
            files: all
                .iter()
                .map(|(module, file)| (module.clone(), file.path.clone()))
                .collect(),
            uses: all
                .into_iter()
                .map(|(module, file)| (module, uses(&file.code)))
                .collect(),
        }
    }

    /// The module of what a module calls by this path, through re-exports.
    fn resolve(&self, from: &Names, path: &[String], depth: usize) -> Option<Names> {
        let mut module = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "super" | "self" => from.clone(),
            child => [&from[..], &[child.to_owned()]].concat(),
        };
        if !self.files.contains_key(&module) {
            return None;
        }
        let mut rest = &path[1..];
        if path[0] == "super" {
            module.pop()?;
            while let Some(("super", more)) = rest.split_first().map(|(name, more)| (&**name, more))
            {
                (rest, _) = (more, module.pop()?);
            }
        }
        while let Some(name) = rest.first() {
            let child = [&module[..], std::slice::from_ref(name)].concat();
            if !self.files.contains_key(&child) {
                break;
            }
            (module, rest) = (child, &rest[1..]);
        }
        let exported = rest.first().filter(|_| depth > 0).and_then(|name| {
            let exports = self.uses.get(&module)?.iter().filter(|it| it.is_export);
            let export = exports
                .into_iter()
                .find(|it| it.path.last() == Some(name))?;
            self.resolve(&module, &export.path, depth - 1)
        });
        Some(exported.unwrap_or(module))
    }

    /// Which files import which, without a module's imports from its own folder.
    fn imports(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut imports = BTreeMap::new();
        for (from, uses) in &self.uses {
            let targets = uses.iter().filter(|it| !it.is_export);
            let targets = targets.filter_map(|it| self.resolve(from, &it.path, 6));
            let targets = targets.filter(|to| !to.is_empty() && !to.starts_with(from));
            let targets = targets
                .filter_map(|to| self.files.get(&to))
                .map(String::as_str);
            imports.insert(&*self.files[from], targets.collect());
        }
        imports
    }
}

/// All that can be reached from a file.
fn reached<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        for to in imports.get(file).into_iter().flatten() {
            if seen.insert(*to) {
                next.push(to);
            }
        }
    }
    seen
}

/// The circles: each as its files in order.
fn circles(files: &[File]) -> BTreeSet<Vec<String>> {
    let tree = Tree::of(files);
    let imports = tree.imports();
    let reached: BTreeMap<&str, BTreeSet<&str>> = imports
        .keys()
        .map(|file| (*file, reached(&imports, file)))
        .collect();
    let circle = |file: &&str| {
        let others = reached[file]
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|it| it.contains(file)));
        others.map(|other| (*other).to_owned()).collect::<Vec<_>>()
    };
    imports
        .keys()
        .map(circle)
        .filter(|circle| circle.len() > 1)
        .collect()
}

#[test]
fn circles_of_imports_are_listed_and_lie_within_one_folder() -> Result {
    let found = circles(&files()?);
    let listed: BTreeSet<Vec<String>> = CIRCLES
        .iter()
        .map(|circle| circle.iter().map(|file| (*file).to_owned()).collect())
        .collect();
    let new: Vec<_> = found.difference(&listed).collect();
    assert!(new.is_empty(), "a circle of imports: {new:?}");
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(gone.is_empty(), "there is no such circle: {gone:?}");
    for circle in CIRCLES {
        let folders: BTreeSet<_> = circle
            .iter()
            .map(|file| file.rsplit_once('/').map(|it| it.0))
            .collect();
        assert_eq!(folders.len(), 1, "{circle:?}");
    }
    let design = std::fs::read_to_string(super::names::root().join("src/doc/design.md"))?;
    let unnamed = CIRCLES
        .concat()
        .into_iter()
        .find(|file| !design.contains(&format!("`{file}`")));
    assert_eq!(unnamed, None, "design.md names no reason");
    Ok(())
}

#[test]
fn a_circle_is_found_through_imports_paths_and_exports() {
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        code: super::source::code(text),
    };
    let files = [
        file("lib.rs", "pub use a::b::B;\nmod a;"),
        file(
            "a.rs",
            "mod b;\nmod c;\npub(crate) use c::{C, d::{D}};\nuse b::B;\nfn x() { self::c::y() }",
        ),
        file("a/b.rs", "use std::fmt;\nuse super::{D, X};\npub struct B;"),
        file("a/c.rs", "pub mod d;\npub struct C;"),
        file("a/c/d.rs", "fn z(b: crate::B) {}\npub struct D;"),
    ];
    // What `a.rs` imports of its own folder is no circle.
    let expected = [vec!["a/b.rs".to_owned(), "a/c/d.rs".to_owned()]];
    assert_eq!(circles(&files), expected.into());
}
