//! The functions that return the same for the same arguments, and the types of their results.
//!
//! A query with a function that is not here has the plan `requery`. To add one: a line in
//! [`FUNCTIONS`], if in both databases it is deterministic and depends on its arguments only.

use super::sql_type::SqlType;
use crate::window::aggregates::AggregateFunction;

/// The type of a function's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FunctionResult {
    /// Always this.
    Always(SqlType),
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
    /// Nothing that follows from the text.
    Unknown,
}

use FunctionResult::{Always, Branches, Datetime, First, Number, Rounded, Unified, Unknown};

const FUNCTIONS: [(&str, FunctionResult); 94] = [
    ("abs", Number),
    ("acos", Always(SqlType::Real)),
    ("asin", Always(SqlType::Real)),
    ("atan", Always(SqlType::Real)),
    ("atan2", Always(SqlType::Real)),
    ("bounded_glob", Always(SqlType::Integer)),
    ("bounded_like", Always(SqlType::Integer)),
    ("char_length", Always(SqlType::Integer)),
    ("character_length", Always(SqlType::Integer)),
    ("coalesce", Unified),
    ("concat", Always(SqlType::Text)),
    ("concat_ws", Always(SqlType::Text)),
    ("cos", Always(SqlType::Real)),
    ("cot", Always(SqlType::Real)),
    ("crc32", Unknown),
    ("date", Datetime),
    ("date_add", Datetime),
    ("date_format", Unknown),
    ("date_shift", Datetime),
    ("date_sub", Datetime),
    ("adddate", Datetime),
    ("subdate", Datetime),
    ("datediff", Always(SqlType::Integer)),
    ("datetime", Datetime),
    ("day", Always(SqlType::Integer)),
    ("dayofmonth", Always(SqlType::Integer)),
    ("dayofweek", Always(SqlType::Integer)),
    ("dayofyear", Always(SqlType::Integer)),
    ("degrees", Always(SqlType::Real)),
    ("exp", Always(SqlType::Real)),
    ("from_unixtime", Datetime),
    ("greatest", Unified),
    ("hour", Always(SqlType::Integer)),
    ("if", Branches),
    ("ifnull", Unified),
    ("iif", Branches),
    ("instr", Always(SqlType::Integer)),
    ("isnull", Always(SqlType::Integer)),
    ("julianday", Always(SqlType::Real)),
    ("lcase", Always(SqlType::Text)),
    ("least", Unified),
    ("left", Always(SqlType::Text)),
    ("length", Always(SqlType::Integer)),
    ("ln", Always(SqlType::Real)),
    ("locate", Always(SqlType::Integer)),
    ("log", Always(SqlType::Real)),
    ("log10", Always(SqlType::Real)),
    ("log2", Always(SqlType::Real)),
    ("lower", Always(SqlType::Text)),
    ("lpad", Always(SqlType::Text)),
    ("ltrim", Always(SqlType::Text)),
    ("max", Unified),
    ("mid", Always(SqlType::Text)),
    ("min", Unified),
    ("minute", Always(SqlType::Integer)),
    ("mod", Unknown),
    ("month", Always(SqlType::Integer)),
    ("nullif", First),
    ("octet_length", Always(SqlType::Integer)),
    ("pi", Always(SqlType::Real)),
    ("position", Always(SqlType::Integer)),
    ("pow", Unknown),
    ("power", Unknown),
    ("printf", Always(SqlType::Text)),
    ("quarter", Always(SqlType::Integer)),
    ("radians", Always(SqlType::Real)),
    ("repeat", Always(SqlType::Text)),
    ("replace", Always(SqlType::Text)),
    ("reverse", Always(SqlType::Text)),
    ("right", Always(SqlType::Text)),
    ("round", Rounded),
    ("rpad", Always(SqlType::Text)),
    ("rtrim", Always(SqlType::Text)),
    ("second", Always(SqlType::Integer)),
    ("sign", Always(SqlType::Integer)),
    ("sin", Always(SqlType::Real)),
    ("sqrt", Always(SqlType::Real)),
    ("strftime", Always(SqlType::Text)),
    ("substr", Always(SqlType::Text)),
    ("substring", Always(SqlType::Text)),
    ("tan", Always(SqlType::Real)),
    ("time", Datetime),
    ("timestampdiff", Always(SqlType::Integer)),
    ("trim", Always(SqlType::Text)),
    ("trunc", Unknown),
    ("truncate", Unknown),
    ("typeof", Always(SqlType::Text)),
    ("ucase", Always(SqlType::Text)),
    ("unicode", Always(SqlType::Integer)),
    ("unix_timestamp", Unknown),
    ("unixepoch", Always(SqlType::Integer)),
    ("upper", Always(SqlType::Text)),
    ("weekday", Always(SqlType::Integer)),
    ("year", Always(SqlType::Integer)),
];

/// Aggregates that the database computes the same for a group whichever way it finds its rows, beside
/// those of [`AggregateFunction`], of which running values are kept too.
const AGGREGATES: [&str; 12] = [
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
pub(super) fn function(name: &str) -> Option<FunctionResult> {
    let found = FUNCTIONS.iter().find(|(known, _)| *known == name);
    found.map(|(_, gives)| *gives)
}

/// Whether a call is an aggregate; `min` and `max` of several values are none.
pub(super) fn is_aggregate(name: &str, args: usize) -> bool {
    let is_known = AGGREGATES.contains(&name) || AggregateFunction::is_name(name);
    is_known && !(matches!(name, "min" | "max") && args > 1)
}
