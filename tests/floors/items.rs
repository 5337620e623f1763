//! Splits source code into its items: enough of it to list what is public.

use super::source::end_of_item;
use std::collections::BTreeMap;

/// A module by its names from the root on: `["store", "database"]`.
pub type ModulePath = Vec<String>;

/// An item of a module, an implementation or a trait.
#[derive(Clone, Debug)]
pub struct Item {
    pub attributes: String,
    /// All before the body, in one line: `pub fn kind(&self) -> NodeKind`.
    pub head: String,
    /// What is in the braces; `None` where there are none.
    pub body: Option<String>,
}

impl Item {
    pub fn content(&self) -> &str {
        self.body.as_deref().unwrap_or_default()
    }

    pub fn is_public(&self) -> bool {
        self.head.starts_with("pub ") && !self.is_left_out()
    }

    /// Whether it is hidden from the documentation, or for tests.
    pub fn is_left_out(&self) -> bool {
        let left_out = ["doc(hidden)", "cfg(doctest)", "cfg(shuttle)"];
        left_out.iter().any(|a| self.attributes.contains(a))
    }

    /// The kind and the name of an item: `("fn", "kind")`.
    pub fn named(&self) -> Option<(&str, &str)> {
        self.taken_apart().map(|(kind, name, _)| (kind, name))
    }

    /// Kind, name, and what follows.
    fn taken_apart(&self) -> Option<(&str, &str, &str)> {
        let mut rest = self.head.as_str();
        if let Some(after) = rest.strip_prefix("pub") {
            let visibility = if after.starts_with('(') {
                closing(after)
            } else {
                0
            };
            rest = after[visibility..].trim_start();
        }
        if rest.contains("fn ") {
            let words = ["const ", "unsafe ", "async "];
            while let Some(after) = words.iter().find_map(|word| rest.strip_prefix(word)) {
                rest = after;
            }
        }
        let (kind, rest) = rest.split_once(' ')?;
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        Some((kind, name, rest))
    }

    /// The line of the list, for an item with this path.
    pub fn line(&self, path: &str) -> Option<String> {
        let (kind, _, rest) = self.taken_apart()?;
        let rest = match kind {
            // The value is no part of it.
            "const" | "static" => rest.split(" =").next()?,
            // Fields are listed by themselves.
            "struct" => rest.split('(').next()?,
            _ => rest,
        };
        let grows = if self.attributes.contains("non_exhaustive") {
            " (non_exhaustive)"
        } else {
            ""
        };
        Some(format!("{kind} {path}{rest}{grows}"))
    }
}

/// Splits code into its items.
pub fn items(code: &str) -> Vec<Item> {
    let mut rest = code.trim_start();
    let mut items = Vec::new();
    while !rest.is_empty() {
        let mut attributes = String::new();
        while let Some(after) = rest.strip_prefix(['#', ';']) {
            let after = after.strip_prefix('!').unwrap_or(after);
            let end = if after.starts_with('[') {
                closing(after)
            } else {
                0
            };
            attributes.push_str(&after[..end]);
            rest = after[end..].trim_start();
        }
        let (item, after) = rest.split_at(end_of_item(rest));
        rest = after.trim_start();
        let is_use = item.starts_with("use ") || item.starts_with("pub use ");
        let body = item.find('{').filter(|_| !is_use);
        let (head, body) = match body {
            Some(at) => (
                &item[..at],
                Some(item[at + 1..].trim_end().trim_end_matches('}')),
            ),
            None => (item.trim_end_matches(';'), None),
        };
        items.push(Item {
            attributes,
            head: one_line(head),
            body: body.map(str::to_owned),
        });
    }
    items
}

/// Where the bracket at the beginning is closed, with that.
fn closing(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + c.len_utf8();
        }
    }
    code.len()
}

/// Code in one line, as if the formatter had found room for it.
fn one_line(code: &str) -> String {
    let words: Vec<&str> = code.split_whitespace().collect();
    let line = words.join(" ");
    line.replace("( ", "(")
        .replace(", )", ")")
        .replace(" )", ")")
}

/// The parts of a list, without their attributes.
pub fn parts(list: &str) -> Vec<String> {
    let (mut depth, mut parts, mut part) = (0, Vec::new(), String::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' | '(' | '[' | '<' => depth += 1,
            '>' if list[..at].ends_with(['-', '=']) => {}
            '}' | ')' | ']' | '>' => depth -= 1,
            _ => {}
        }
        match c {
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    parts.push(part);
    let bare = parts.iter().map(|part| {
        let mut part = part.trim();
        while let Some(after) = part.strip_prefix('#') {
            part = after[closing(after)..].trim_start();
        }
        one_line(part)
    });
    bare.filter(|part| !part.is_empty()).collect()
}

/// The names that an import gives, each with its path.
fn imported(tree: &str, path: &[String], found: &mut Vec<(ModulePath, String)>) {
    match tree.split_once("::") {
        Some((first, rest)) if !first.starts_with('{') => {
            imported(rest, &[path, &[first.to_owned()]].concat(), found);
        }
        _ => match tree.strip_prefix('{') {
            Some(group) => {
                for tree in parts(group.trim_end_matches('}')) {
                    imported(&tree, path, found);
                }
            }
            None => found.push((path.to_vec(), tree.to_owned())),
        },
    }
}

/// What the items of a module reexport.
pub fn imports(items: &[Item]) -> Vec<(ModulePath, String)> {
    let mut found = Vec::new();
    for item in items.iter().filter(|item| item.is_public()) {
        if let Some(tree) = item.head.strip_prefix("pub use ") {
            let tree: String = tree.split_whitespace().collect();
            imported(&tree, &[], &mut found);
        }
    }
    found
}

/// The type of an inherent implementation: `impl<T> Inbox<T>` gives `Inbox`.
pub fn implements(head: &str) -> Option<&str> {
    let rest = head.strip_prefix("impl")?;
    let rest = if rest.starts_with('<') {
        let end = rest.find('>')?;
        &rest[end + 1..]
    } else {
        rest
    };
    if head.contains(" for ") {
        return None;
    }
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// The items with those that macros of the same file define in place of their calls.
pub fn expanded(items: Vec<Item>) -> Vec<Item> {
    let macros: BTreeMap<String, String> = items
        .iter()
        .filter_map(|item| {
            let name = item.head.strip_prefix("macro_rules! ")?;
            Some((name.trim().to_owned(), item.content().to_owned()))
        })
        .collect();
    let expand = |item: &Item| {
        let (name, given) = item.head.split_once("!(")?;
        let (matcher, body) = macros.get(name)?.split_once("=>")?;
        let parameters = parts(matcher.trim().trim_start_matches('(').trim_end_matches(')'));
        let given = parts(given.trim_end_matches(')'));
        let mut body = body[body.find('{')? + 1..].trim_end().to_owned();
        body.truncate(
            body.trim_end_matches(';')
                .trim_end()
                .trim_end_matches('}')
                .len(),
        );
        for (parameter, given) in parameters.iter().zip(given) {
            let name: String = parameter
                .trim_start_matches(['$', '('])
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            body = body.replace(&format!("$(${name})+"), &given);
            body = body.replace(&format!("${name}"), &given);
        }
        Some(body)
    };
    let mut all = Vec::new();
    for mut item in items {
        if let Some(body) = expand(&item) {
            all.extend(self::items(&body));
            continue;
        }
        if item.head.starts_with("impl") {
            for call in self::items(item.content()) {
                if let Some(body) = expand(&call) {
                    item.body.get_or_insert_default().push_str(&body);
                }
            }
        }
        all.push(item);
    }
    all
}

#[test]
fn the_reader_of_items_sees_what_it_should() {
    let code = "#[derive(Debug)]\n#[non_exhaustive]\npub struct A<T> {\n pub a: B<C, D>,\n e: u8,\n}\n\
        impl<T> A<T> {\n pub const fn f(\n  self,\n  g: u8,\n ) -> u8 { 1 }\n fn h() {}\n}\n\
        pub const I: [u8; 2] = [1, 2];\npub use crate::j::{K, l::{M, N}};\npub(crate) fn o() {}";
    let items = items(code);
    let heads: Vec<&str> = items.iter().map(|item| item.head.as_str()).collect();
    assert_eq!(
        heads,
        [
            "pub struct A<T>",
            "impl<T> A<T>",
            "pub const I: [u8; 2] = [1, 2]",
            "pub use crate::j::{K, l::{M, N}}",
            "pub(crate) fn o()",
        ]
    );
    assert_eq!(
        items[0].line("x::A").unwrap(),
        "struct x::A<T> (non_exhaustive)"
    );
    assert_eq!(parts(items[0].content()), ["pub a: B<C, D>", "e: u8"]);
    assert_eq!(implements(heads[1]), Some("A"));
    let method = &self::items(items[1].content())[0];
    assert_eq!(
        method.line("x::A::f").unwrap(),
        "fn x::A::f(self, g: u8) -> u8"
    );
    assert_eq!(items[2].line("x::I").unwrap(), "const x::I: [u8; 2]");
    assert!(!items[4].is_public());
    let names: Vec<String> = imports(&items).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["K", "M", "N"]);
    let called = "macro_rules! p { ($q:ident, $($r:tt)+) => { impl $q { pub fn s($($r)+) {} } }; }\np!(A, &mut self);";
    let expanded = expanded(self::items(called));
    assert_eq!(implements(&expanded[1].head), Some("A"));
    let method = &self::items(expanded[1].content())[0];
    assert_eq!(method.line("A::s").unwrap(), "fn A::s(&mut self)");
}
