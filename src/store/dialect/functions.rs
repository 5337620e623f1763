//! The functions that a query may call: those that compute, and do nothing else.
//!
//! Each dialect has a list of names, in `functions.rs` of its folder. Any other function is refused: it
//! may write, wait, lock, read files, or show the data of others. SQLite itself reports the calls of a
//! query (`store/sqlite/watch.rs`); for MySQL they are found in the tokens (`mysql/dialect/calls.rs`).
//!
//! To allow one more function, add its name to the list of its dialect.

use super::Dialect;
use crate::error::{Error, did_you_mean};

/// The names in a list.
pub(in crate::store) fn names(list: &'static str) -> Vec<&'static str> {
    list.split_ascii_whitespace().collect()
}

/// Whether a function computes and does nothing else; the name is in lower case.
pub(crate) fn is_harmless(dialect: Dialect, name: &str) -> bool {
    dialect.functions().contains(&name)
}

/// The error of a call that a query may not make.
pub(crate) fn refused(dialect: Dialect, name: &str, place: Option<(usize, usize)>) -> Error {
    let place = match place {
        Some((line, column)) => format!(" at line {line}, column {column}"),
        None => String::new(),
    };
    let name = name.chars().take(64).collect::<String>();
    let hint = did_you_mean(&name.to_lowercase(), dialect.functions().iter().copied());
    Error::data(format!("bad query: {name}() cannot be called{place}")).with_hint(
        hint.unwrap_or_else(|| {
            "a query calls functions of the database that compute, and no others".to_owned()
        }),
    )
}

#[cfg(test)]
mod tests {
    use crate::store::dialects;

    #[test]
    fn the_lists_are_in_lower_case_and_name_everything_once() {
        for dialect in dialects() {
            let list = dialect.functions();
            let mut sorted: Vec<&str> = list.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), list.len());
            assert!(list.iter().all(|name| *name == name.to_lowercase()));
        }
    }

    #[test]
    fn no_list_has_a_function_that_acts() {
        for name in [
            "benchmark",
            "get_lock",
            "is_free_lock",
            "is_used_lock",
            "last_insert_id",
            "lastval",
            "load_extension",
            "load_file",
            "master_pos_wait",
            "nextval",
            "release_all_locks",
            "release_lock",
            "setval",
            "sleep",
            "fts3_tokenizer",
            "optimize",
            "sqlite_log",
            "sys_eval",
            "sys_exec",
            "user",
            "current_user",
        ] {
            for dialect in dialects() {
                assert!(!dialect.functions().contains(&name), "{name}");
            }
        }
    }
}
