//! The functions that answer the same whenever they are asked the same, and of what type their
//! answers are.
//!
//! A function that is not here keeps a query at `requery`. One more: a line in [`FUNCTIONS`], if
//! both databases agree that it is deterministic and looks at its arguments only.

use super::kind::Kind;

/// The type of a function's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// Always this.
    Always(Kind),
    /// What its first argument is.
    First,
    /// The same, where that is a number.
    Number,
    /// What all its arguments are together.
    Unified,
    /// What its arguments after the first are together.
    Branches,
    /// `round` and its like: a real on SQLite, on MySQL what its argument is.
    Rounded,
    /// A date, a time or both.
    Datetime,
    /// Nothing that the text tells.
    Unknown,
}

use Gives::{Always, Branches, Datetime, First, Number, Rounded, Unified, Unknown};

const FUNCTIONS: [(&str, Gives); 92] = [
    ("abs", Number),
    ("acos", Always(Kind::Real)),
    ("asin", Always(Kind::Real)),
    ("atan", Always(Kind::Real)),
    ("atan2", Always(Kind::Real)),
    ("char_length", Always(Kind::Integer)),
    ("character_length", Always(Kind::Integer)),
    ("coalesce", Unified),
    ("concat", Always(Kind::Text)),
    ("concat_ws", Always(Kind::Text)),
    ("cos", Always(Kind::Real)),
    ("cot", Always(Kind::Real)),
    ("crc32", Unknown),
    ("date", Datetime),
    ("date_add", Datetime),
    ("date_format", Unknown),
    ("date_shift", Datetime),
    ("date_sub", Datetime),
    ("adddate", Datetime),
    ("subdate", Datetime),
    ("datediff", Always(Kind::Integer)),
    ("datetime", Datetime),
    ("day", Always(Kind::Integer)),
    ("dayofmonth", Always(Kind::Integer)),
    ("dayofweek", Always(Kind::Integer)),
    ("dayofyear", Always(Kind::Integer)),
    ("degrees", Always(Kind::Real)),
    ("exp", Always(Kind::Real)),
    ("from_unixtime", Datetime),
    ("greatest", Unified),
    ("hour", Always(Kind::Integer)),
    ("if", Branches),
    ("ifnull", Unified),
    ("iif", Branches),
    ("instr", Always(Kind::Integer)),
    ("isnull", Always(Kind::Integer)),
    ("julianday", Always(Kind::Real)),
    ("lcase", Always(Kind::Text)),
    ("least", Unified),
    ("left", Always(Kind::Text)),
    ("length", Always(Kind::Integer)),
    ("ln", Always(Kind::Real)),
    ("locate", Always(Kind::Integer)),
    ("log", Always(Kind::Real)),
    ("log10", Always(Kind::Real)),
    ("log2", Always(Kind::Real)),
    ("lower", Always(Kind::Text)),
    ("lpad", Always(Kind::Text)),
    ("ltrim", Always(Kind::Text)),
    ("max", Unified),
    ("mid", Always(Kind::Text)),
    ("min", Unified),
    ("minute", Always(Kind::Integer)),
    ("mod", Unknown),
    ("month", Always(Kind::Integer)),
    ("nullif", First),
    ("octet_length", Always(Kind::Integer)),
    ("pi", Always(Kind::Real)),
    ("position", Always(Kind::Integer)),
    ("pow", Unknown),
    ("power", Unknown),
    ("printf", Always(Kind::Text)),
    ("quarter", Always(Kind::Integer)),
    ("radians", Always(Kind::Real)),
    ("repeat", Always(Kind::Text)),
    ("replace", Always(Kind::Text)),
    ("reverse", Always(Kind::Text)),
    ("right", Always(Kind::Text)),
    ("round", Rounded),
    ("rpad", Always(Kind::Text)),
    ("rtrim", Always(Kind::Text)),
    ("second", Always(Kind::Integer)),
    ("sign", Always(Kind::Integer)),
    ("sin", Always(Kind::Real)),
    ("sqrt", Always(Kind::Real)),
    ("strftime", Always(Kind::Text)),
    ("substr", Always(Kind::Text)),
    ("substring", Always(Kind::Text)),
    ("tan", Always(Kind::Real)),
    ("time", Datetime),
    ("timestampdiff", Always(Kind::Integer)),
    ("trim", Always(Kind::Text)),
    ("trunc", Unknown),
    ("truncate", Unknown),
    ("typeof", Always(Kind::Text)),
    ("ucase", Always(Kind::Text)),
    ("unicode", Always(Kind::Integer)),
    ("unix_timestamp", Unknown),
    ("unixepoch", Always(Kind::Integer)),
    ("upper", Always(Kind::Text)),
    ("weekday", Always(Kind::Integer)),
    ("year", Always(Kind::Integer)),
];

/// Aggregates that the database computes the same for a group wherever it finds its rows.
const AGGREGATES: [&str; 17] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "total",
    "std",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "variance",
    "var_pop",
    "var_samp",
    "bit_and",
    "bit_or",
    "bit_xor",
    "any_value",
];

/// What a function of this name (in lower case) gives; `None` where it is not known.
pub(super) fn function(name: &str) -> Option<Gives> {
    let found = FUNCTIONS.iter().find(|(known, _)| *known == name);
    found.map(|(_, gives)| *gives)
}

/// Whether a call is an aggregate; `min` and `max` of several values are none.
pub(super) fn is_aggregate(name: &str, args: usize) -> bool {
    AGGREGATES.contains(&name) && !(matches!(name, "min" | "max") && args > 1)
}
