//! The functions that a query may call on SQLite: its own, and those that `store/sqlite/functions.rs` and
//! `store/sqlite/bounded.rs` add. Each has a bound on the time and the memory of one call, since SQLite looks at
//! neither within a step of its program.
//!
//! `--query-bytes` bounds each argument. The table in `doc/guide/limits.md` has a row for each bound.

/// What bounds one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::sqlite) enum Bound {
    /// The same little work for all arguments.
    Small,
    /// One pass over the arguments; the result is not much larger.
    Linear,
    /// The length of the result is compared with `--query-bytes` before memory is allocated for it.
    Length,
    /// Some bytes for each row, and each row is a step.
    Rows,
    /// The pattern has at most 1000 bytes and is a constant; others are compared by functions of Tributary.
    Pattern,
    /// Implemented here: linear, and with the time and the size of the query checked meanwhile.
    Ours,
    /// An error, unless the query reads a full-text table.
    FullText,
}

use Bound::{FullText, Length, Linear, Ours, Pattern, Rows, Small};

/// The names, in lower case, by their bounds.
pub(in crate::store::sqlite) const BOUNDS: [(Bound, &str); 7] = [
    (
        Small,
        "abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling coalesce cos cosh count cume_dist
        current_date current_time current_timestamp date date_shift datetime degrees dense_rank exp
        first_value floor from_unixtime if ifnull iif julianday lag last_value lead likelihood likely ln log
        log10 log2 max min mod nth_value ntile nullif octet_length percent_rank pi pow power radians random
        rank round row_number sign sin sinh sqlite_version sqrt subtype sum tan tanh time timediff total
        trunc typeof unicode unix_timestamp unixepoch unlikely zeroblob",
    ),
    (
        Linear,
        "-> ->> char json json_array_length json_each json_error_position json_extract json_remove json_tree
        json_type json_valid jsonb jsonb_extract jsonb_remove length lower ltrim rtrim soundex substr
        substring trim unistr upper",
    ),
    (
        Length,
        "format group_concat hex printf quote randomblob strftime string_agg unistr_quote",
    ),
    (Rows, "median percentile percentile_cont percentile_disc"),
    (Pattern, "glob like"),
    (
        Ours,
        "bounded_glob bounded_like concat concat_ws instr json_array json_array_insert json_group_array
        json_group_object json_insert json_object json_patch json_pretty json_quote json_replace json_set
        jsonb_array jsonb_array_insert jsonb_group_array jsonb_group_object jsonb_insert jsonb_object
        jsonb_patch jsonb_replace jsonb_set ltrim replace rtrim trim unhex",
    ),
    (
        FullText,
        "bm25 highlight match matchinfo offsets regexp snippet",
    ),
];

/// All names, each once.
pub(super) fn names() -> Vec<&'static str> {
    let all = BOUNDS
        .iter()
        .flat_map(|(_, names)| names.split_ascii_whitespace());
    let mut names: Vec<&str> = all.collect();
    names.sort_unstable();
    names.dedup();
    names
}
