//! Each function of SQLite has a bound, or is refused; and what has one keeps to it.

mod results;

use super::super::{STEPS, configure, functions, set_length};
use super::*;
use crate::store::sqlite::bounds::{Bounds, PATTERN};
use crate::store::sqlite::dialect::{BOUNDS, Bound};
use crate::time::monotonic;
use rusqlite::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn ours() -> (Connection, Bounds) {
    let mut connection = Connection::open_in_memory().unwrap();
    let bounds = configure(&mut connection, STEPS).unwrap();
    (connection, bounds)
}

/// A connection with SQLite's own functions, and the same settings.
fn theirs() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .pragma_update(None, "case_sensitive_like", true)
        .unwrap();
    connection
        .set_limit(
            rusqlite::limits::Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH,
            PATTERN,
        )
        .unwrap();
    functions::register(&connection).unwrap();
    connection
}

/// What a list of functions has of each: type, encoding, arguments, flags.
fn listed(connection: &Connection) -> BTreeMap<(String, i64), BTreeSet<String>> {
    let sql = "select name, narg, type, enc, flags from pragma_function_list";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        let about: (String, String, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
        Ok(((row.get(0)?, row.get(1)?), format!("{about:?}")))
    });
    let mut all: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for row in rows.unwrap() {
        let (name, about) = row.unwrap();
        all.entry(name).or_default().insert(about);
    }
    all
}

#[test]
fn a_function_has_the_flags_of_the_one_that_it_replaces() {
    let (theirs, ours) = (listed(&theirs()), listed(&ours().0));
    let mut replaced = 0;
    for ((name, args), about) in &ours {
        let theirs = theirs.iter().filter(|((other, _), _)| other == name);
        let theirs: BTreeSet<&String> = theirs.flat_map(|(_, about)| about).collect();
        let is_own = name.starts_with("bounded_");
        assert_eq!(theirs.is_empty(), is_own, "{name}");
        if !is_own {
            replaced += usize::from(theirs.len() < about.len());
            let about: BTreeSet<&String> = about.iter().collect();
            assert!(
                about.is_subset(&theirs),
                "{name}({args}): {about:?} in place of {theirs:?}"
            );
        }
    }
    assert_eq!(replaced, 0);
}

#[test]
fn each_function_of_sqlite_has_a_bound_or_is_refused() {
    /// What computes nothing, or shows or changes the database.
    const REFUSED: [&str; 29] = [
        "changes",
        "fts3_tokenizer",
        "fts5",
        "fts5_get_locale",
        "fts5_insttoken",
        "fts5_locale",
        "fts5_source_id",
        "geopoly_area",
        "last_insert_rowid",
        "load_extension",
        "optimize",
        "rtreecheck",
        "rtreedepth",
        "rtreenode",
        "sqlite_add_constraint",
        "sqlite_compileoption_get",
        "sqlite_compileoption_used",
        "sqlite_drop_column",
        "sqlite_drop_constraint",
        "sqlite_fail",
        "sqlite_find_constraint",
        "sqlite_log",
        "sqlite_offset",
        "sqlite_rename_column",
        "sqlite_rename_quotefix",
        "sqlite_rename_table",
        "sqlite_rename_test",
        "sqlite_source_id",
        "total_changes",
    ];
    let bounded: BTreeSet<&str> = BOUNDS
        .iter()
        .flat_map(|(_, names)| names.split_ascii_whitespace())
        .collect();
    for (name, args) in listed(&ours().0).keys() {
        let is_bounded = bounded.contains(name.as_str());
        let is_refused = REFUSED.contains(&name.as_str());
        assert!(is_bounded != is_refused, "{name}({args}) has no bound");
    }
}

#[test]
fn the_guide_has_the_bound_of_each_function() {
    let page = include_str!("../../../doc/guide/limits.md");
    for (bound, names) in BOUNDS {
        let word = match bound {
            Bound::FullText => "full text".to_owned(),
            bound => format!("{bound:?}").to_lowercase(),
        };
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| **{word}**")));
        let (_, listed) = row
            .unwrap()
            .trim_end_matches(" |")
            .rsplit_once(" | ")
            .unwrap();
        let names = names
            .split_ascii_whitespace()
            .map(|name| format!("`{name}`"));
        assert_eq!(listed, names.collect::<Vec<_>>().join(" "), "{word}");
    }
}

/// What SQLite would take minutes for, or gigabytes.
const HOSTILE: [&str; 18] = [
    "trim(printf('%.*c', 6000000, 'a'), (select group_concat(char(i + 200), '') || 'a' from r))",
    "rtrim(replace(hex(zeroblob(6000000)), '0', 'é'), (select group_concat(char(i + 300), '') || 'é' from r))",
    "instr(printf('%.*c', 10000000, 'a'), printf('%.*c', 5000000, 'a') || 'b')",
    "replace(printf('%.*c', 10000000, 'a'), printf('%.*c', 5000000, 'a') || 'b', 'c')",
    "replace(printf('%.*c', 10000000, 'a'), 'a', 'bcdefghijk')",
    "bounded_like('%' || printf('%.*c', 900, 'a') || 'b', printf('%.*c', 10000000, 'a'), '!')",
    "bounded_glob('*[ab]' || printf('%.*c', 900, 'a') || 'b', printf('%.*c', 10000000, 'a'))",
    "unhex(replace(hex(zeroblob(9000000)), '0', 'é'), (select group_concat(char(i + 300), '') || 'é' from r))",
    "concat(z, z, z, z, z, z, z, z, z, z, z, z) from (select hex(zeroblob(30000000)) as z)",
    "concat_ws(z, z, z, z, z, z, z, z, z, z, z, z) from (select hex(zeroblob(30000000)) as z)",
    "json_array(z, z, z, z, z, z, z, z) from (select hex(zeroblob(30000000)) as z)",
    "json_object(z, z, z, z, z, z, z, z, z, z, z, z) from (select hex(zeroblob(30000000)) as z)",
    "json_quote(replace(hex(zeroblob(10000000)), '0', char(1)))",
    "json_set('[]', '$[#]', z, '$[#]', z, '$[#]', z) from (select hex(zeroblob(30000000)) as z)",
    "json_pretty('[' || substr(replace(hex(zeroblob(100000)), '0', ',1'), 2) || ']', hex(zeroblob(100000)))",
    "json_patch(json_group_object('a' || i, i), json_group_object('b' || i, i)) from r",
    "length(json_group_array(hex(zeroblob(1000000)))) from r",
    "length(json_group_object(i, hex(zeroblob(1000000)))) from r",
];

#[test]
fn no_function_takes_much_longer_or_more_than_the_query_may() {
    let (connection, bounds) = ours();
    set_length(&connection, &bounds, 64 << 20).unwrap();
    for expression in HOSTILE {
        let sql = format!(
            "with recursive r(i) as (select 1 union all select i + 1 from r where i < 100000) select {expression}"
        );
        let begun = monotonic();
        let running = bounds.begin(Duration::from_secs(2));
        let done = connection.query_row(&sql, [], |_| Ok(()));
        drop(running);
        let took = begun.elapsed();
        // Without optimizations, on a busy machine.
        assert!(took < Duration::from_secs(20), "{expression} took {took:?}");
        let code = done.err().and_then(|error| error.sqlite_error_code());
        let is_expected = matches!(
            code,
            None | Some(ErrorCode::TooBig | ErrorCode::OperationInterrupted | ErrorCode::Unknown)
        );
        assert!(is_expected, "{expression}: {code:?}");
    }
}

#[test]
fn an_index_of_an_expression_is_used() {
    let (connection, _) = ours();
    connection
        .execute_batch(
            "create table t (a text, b text as (trim(a, '-')) stored, check (instr(a, 'x') = 0));
             create index i on t (replace(a, '-', ''));
             create index j on t (a);
             insert into t (a) values ('-b-'), ('c')",
        )
        .unwrap();
    let plan = |sql: &str| {
        let mut statement = connection
            .prepare(&format!("explain query plan {sql}"))
            .unwrap();
        statement
            .query_row([], |row| row.get::<_, String>(3))
            .unwrap()
    };
    let found = plan("select * from t where replace(a, '-', '') = 'b'");
    assert!(found.contains("INDEX i"), "{found}");
    let found = plan("select * from t where a like 'b%'");
    assert!(found.contains("INDEX j"), "{found}");
    let b: String = connection
        .query_row(
            "select b from t where replace(a, '-', '') = 'b'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(b, "b");
}
