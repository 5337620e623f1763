//! The path to a value that was found in a function, as messages show it.

use super::Walk;
use crate::error::quote;
use crate::script::function::portable::{Item, Object};
use mlua::Value;

/// One step on the way to an object: where it was found, and how it is called there.
pub(super) struct Step {
    pub from: Option<usize>,
    pub label: Label,
}

pub(super) enum Label {
    /// What was to be moved, with its name.
    Root(String),
    Variable(String),
    /// The key of what is being looked at.
    Key(String),
    /// The place of a pair in a table.
    Pair(usize),
    Meta,
    Global(String),
}

impl Walk<'_> {
    /// A key that was moved already, as it is written behind a table.
    fn shown(&self, key: &Item) -> String {
        match key {
            Item::Text(text) => shown_text(&String::from_utf8_lossy(text)),
            Item::Long(at) => shown_text(&String::from_utf8_lossy(&self.portable.texts[*at])),
            Item::Integer(at) => format!("[{at}]"),
            Item::Number(_) => "[number]".to_owned(),
            Item::Boolean(_) => "[boolean]".to_owned(),
            Item::Object(at) => match self.portable.objects.get(*at) {
                Some(Object::Function { .. }) => "[function]".to_owned(),
                _ => "[table]".to_owned(),
            },
            _ => "[value]".to_owned(),
        }
    }

    /// How a person would name it: `the captured variable config.files[1]`.
    pub(super) fn path(&self, last: &Step) -> String {
        let mut steps = vec![last];
        while let Some(from) = steps[steps.len() - 1].from {
            steps.push(&self.steps[from]);
        }
        let mut path = String::new();
        for step in steps.into_iter().rev() {
            match &step.label {
                // It is what the message is about anyway.
                Label::Root(name) => path = name.clone(),
                Label::Variable(name) => path = format!("the captured variable {name}"),
                Label::Global(name) => path = format!("the global {name}"),
                Label::Key(key) => path.push_str(key),
                Label::Pair(place) => {
                    let object = step.from.and_then(|from| self.portable.objects.get(from));
                    if let Some(Object::Table { pairs, .. }) = object
                        && let Some((key, _)) = pairs.get(*place)
                    {
                        path.push_str(&self.shown(key));
                    }
                }
                Label::Meta => path.push_str(" (metatable)"),
            }
        }
        path
    }
}

/// A key as it is written behind a table.
pub(super) fn shown(key: &Value) -> String {
    match key {
        Value::String(text) => shown_text(&text.to_string_lossy()),
        Value::Integer(at) => format!("[{at}]"),
        other => format!("[{}]", other.type_name()),
    }
}

fn shown_text(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let number = text.starts_with(|c: char| c.is_ascii_digit());
    if !text.is_empty() && !number && text.chars().all(plain) {
        format!(".{text}")
    } else {
        format!("[{}]", quote(text))
    }
}
