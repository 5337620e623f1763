//! Tables as scripts declare them: one JSON object of options.
//!
//! A new option: a field of `OPTIONS` and its reading in `read`.

use super::{Table, Type};
use crate::error::{Error, Result, did_you_mean, quote, quote_json};
use serde_json::{Map, Value};

const OPTIONS: [&str; 3] = ["key", "columns", "children"];
const CHILD_OPTIONS: [&str; 5] = ["table", "parent", "key", "columns", "children"];

impl Table {
    /// Reads a declaration such as scripts write it: `columns` (name to type: `"integer"`,
    /// `"real"`, `"text"`, `"text(500)"`), `key` (a name or an array of names) and `children`
    /// (field to `table`, `parent`, and again `columns`, `key`, `children`).
    ///
    /// ```
    /// use serde_json::json;
    /// use tributary::Table;
    ///
    /// let table = Table::from_json(
    ///     "bets",
    ///     &json!({"key": "uuid", "columns": {"uuid": "text", "note": "text(500)"}}),
    /// )?;
    /// assert_eq!(table, Table::new("bets").text("uuid").text_sized("note", 500).key("uuid"));
    /// # Ok::<(), tributary::Error>(())
    /// ```
    ///
    /// # Errors
    /// Options, types and shapes that are not known.
    pub fn from_json(name: &str, options: &Value) -> Result<Self> {
        read(name, options, &OPTIONS)
            .map_err(|error| error.within(format!("table {}", quote(name))))
    }
}

fn read(name: &str, options: &Value, known: &[&str]) -> Result<Table> {
    let options = object("its options", options)?;
    for option in options.keys() {
        if !known.contains(&option.as_str()) {
            let hint = did_you_mean(option, known.iter().copied())
                .unwrap_or_else(|| format!("the options are {}", known.join(", ")));
            return Err(Error::data(format!("unknown option {}", quote(option))).with_hint(hint));
        }
    }
    let mut table = Table::new(name);
    let Some(columns) = options.get("columns") else {
        return Err(Error::data("it has no columns"));
    };
    for (column, kind) in object("columns", columns)? {
        table = table.column(column, read_type(column, kind)?);
    }
    for column in names("key", options.get("key"))? {
        table = table.key(column);
    }
    if let Some(children) = options.get("children") {
        for (field, child) in object("children", children)? {
            table = read_child(table, field, child)
                .map_err(|error| error.within(format!("child {}", quote(field))))?;
        }
    }
    Ok(table)
}

fn read_child(table: Table, field: &str, options: &Value) -> Result<Table> {
    let given = object("its options", options)?;
    let name = match given.get("table") {
        Some(Value::String(name)) => name,
        Some(other) => return Err(wrong("table", "a name", other)),
        None => return Err(Error::data("it has no option \"table\"")),
    };
    let parent = match given.get("parent") {
        Some(parent) => object("parent", parent)?,
        None => {
            return Err(Error::data("it has no option \"parent\"")
                .with_hint("write child column = parent's column"));
        }
    };
    let mut links = Vec::new();
    for (theirs, ours) in parent {
        match ours {
            Value::String(ours) => links.push((theirs.as_str(), ours.as_str())),
            other => return Err(wrong("parent", "the name of the parent's column", other)),
        }
    }
    Ok(table.child(field, read(name, options, &CHILD_OPTIONS)?, &links))
}

fn read_type(column: &str, kind: &Value) -> Result<Type> {
    let Value::String(text) = kind else {
        return Err(wrong(&format!("column {}", quote(column)), "a type", kind));
    };
    match text.as_str() {
        "integer" => return Ok(Type::Integer),
        "real" => return Ok(Type::Real),
        "text" => return Ok(Type::Text(Type::TEXT_LEN)),
        _ => {}
    }
    let sized = text.strip_prefix("text(").and_then(|t| t.strip_suffix(')'));
    if let Some(len) = sized {
        return match len.parse::<u16>() {
            Ok(len) if len > 0 => Ok(Type::Text(len)),
            _ => Err(Error::data(format!(
                "column {}: bad length in {}",
                quote(column),
                quote(text)
            ))
            .with_hint("a text has room for 1 to 65535 characters")),
        };
    }
    let hint = did_you_mean(text, Type::NAMES)
        .unwrap_or_else(|| "the types are integer, real, text and text(n)".to_owned());
    Err(Error::data(format!(
        "column {}: unknown type {}",
        quote(column),
        quote(text)
    ))
    .with_hint(hint))
}

/// A name, an array of names, or nothing.
fn names<'a>(what: &str, value: Option<&'a Value>) -> Result<Vec<&'a str>> {
    let expected = "a name or an array of names";
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(name)) => Ok(vec![name]),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| name.as_str().ok_or_else(|| wrong(what, expected, name)))
            .collect(),
        Some(other) => Err(wrong(what, expected, other)),
    }
}

/// An object; the empty array too, which is how an empty Lua table may come over.
fn object<'a>(what: &str, value: &'a Value) -> Result<&'a Map<String, Value>> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    match value {
        Value::Object(map) => Ok(map),
        Value::Array(items) if items.is_empty() => Ok(&EMPTY),
        other => Err(wrong(what, "names and values", other)),
    }
}

fn wrong(what: &str, expected: &str, value: &Value) -> Error {
    Error::data(format!(
        "{what}: {expected} expected, this is {}",
        quote_json(value)
    ))
}
