//! The functions here give what SQLite's own give, for arguments of all kinds.

use super::super::{STEPS, configure, functions, set_length};
use super::*;
use crate::store::sqlite::bounds::{Bounds, PATTERN};
use crate::store::sqlite::dialect::{BOUNDS, Bound};
use crate::time::monotonic;
use proptest::prelude::*;
use rusqlite::types::Value;
use rusqlite::{ErrorCode, params_from_iter};
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

/// The values that a query gives, with their types, as text; or its error.
fn answer(connection: &Connection, sql: &str, values: &[Value]) -> Result<Vec<String>, String> {
    let ask = || {
        let mut statement = connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let given = values.iter().take(statement.parameter_count());
        let mut rows = statement.query(params_from_iter(given))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            for at in 0..columns {
                all.push(match row.get_ref(at)? {
                    ValueRef::Text(text) => format!("text {}", text.escape_ascii()),
                    ValueRef::Blob(blob) => format!("blob {}", blob.escape_ascii()),
                    other => format!("{other:?}"),
                });
            }
        }
        Ok(all)
    };
    ask().map_err(|error: rusqlite::Error| error.to_string())
}

/// Expressions of at most three parameters, with each function that is replaced.
const EXPRESSIONS: [&str; 40] = [
    "trim(?1, ?2)",
    "ltrim(?1, ?2)",
    "rtrim(?1, ?2)",
    "instr(?1, ?2)",
    "replace(?1, ?2, ?3)",
    "concat(?1, ?2, ?3)",
    "concat(?1)",
    "concat_ws(?1, ?2, ?3)",
    "concat_ws(?1, ?2)",
    "unhex(?1, ?2)",
    "json_array(?1, ?2, ?3)",
    "json_array()",
    "json_array(json_array(?1, ?2), json_quote(?3))",
    "jsonb_array(?1, ?2, ?3)",
    "json_array(jsonb_array(?1), jsonb_object('a', ?2))",
    "json_object('k', ?1, 'l', json_array(?2))",
    "json_object(?1, ?2)",
    "json_object(?1, ?2, ?3)",
    "json_object()",
    "jsonb_object('k', ?1, 'l', json_object('m', ?2))",
    "json_quote(?1)",
    "json_quote(json_quote(?1))",
    "json_quote(json_extract(json_array(?1), '$[0]'))",
    "json_pretty(?1)",
    "json_pretty(?1, ?2)",
    "json_pretty(json_array(?1, json_object('a', ?2)), '-')",
    "json_patch(?1, ?2)",
    "json_array(json_patch('{\"a\":1}', json_object('a', ?1, 'b', ?2)))",
    "jsonb_patch('{\"a\":1}', json_object('a', ?1))",
    "json_set(?1, '$.a', ?2)",
    "json_set('{\"a\":[1]}', '$.a[#]', ?1, '$.b', json_array(?2))",
    "json_array(json_set(?1, '$.a', ?2))",
    "json_insert('[1]', '$[#]', ?1)",
    "json_replace('[1]', '$[0]', ?1, ?2, ?3)",
    "json_array_insert('[1]', '$[0]', ?1)",
    "jsonb_set('{}', '$.a', ?1)",
    "jsonb_insert('{}', '$.a', jsonb_array(?1))",
    "jsonb_replace('[1]', '$[0]', ?1)",
    "jsonb_array_insert('[1]', '$[0]', ?1)",
    "json_set()",
];

/// Aggregates over a group, and over frames that rows enter and leave.
const AGGREGATES: [&str; 8] = [
    "json_group_array(x)",
    "jsonb_group_array(x)",
    "json_group_object(y, x)",
    "jsonb_group_object(y, x)",
    "json_group_array(json_array(x, y))",
    "json_group_array(distinct y)",
    "json_array(json_group_array(x) filter (where y is not null))",
    "json_group_array(x order by y)",
];
const FRAMES: [&str; 4] = [
    "json_group_array(x)",
    "json_group_object(y, x)",
    "jsonb_group_array(x)",
    "json_group_object(y, json_array(x))",
];

fn texts() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"a".to_vec()),
        Just(b"b".to_vec()),
        Just(b"ab".to_vec()),
        Just("é".as_bytes().to_vec()),
        Just("€".as_bytes().to_vec()),
        Just("😀".as_bytes().to_vec()),
        Just(b"%".to_vec()),
        Just(b"_".to_vec()),
        Just(b"*".to_vec()),
        Just(b"?".to_vec()),
        Just(b"[a-c]".to_vec()),
        Just(b"[^a]".to_vec()),
        Just(b"[]x]".to_vec()),
        Just(b"[".to_vec()),
        Just(b"-".to_vec()),
        Just(b"\\".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"'".to_vec()),
        Just(b" ".to_vec()),
        Just(b",".to_vec()),
        Just(b"{\"a\":[1,2.50]}".to_vec()),
        Just(b"4F".to_vec()),
        (0_u8..=0x1f).prop_map(|byte| vec![byte]),
        Just(vec![0xc3]),
        Just(vec![0xff]),
        Just(vec![0xa9]),
        Just(vec![0xe2, 0x82]),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn json() -> impl Strategy<Value = Value> {
    let texts = [
        "null",
        "1",
        "-0.5e3",
        "\"x\\u00e9\"",
        "[]",
        "[1,[2,{\"a\":null}],\"]\"]",
        "{\"a\":{\"b\":1,\"c\":[true]}}",
        "{\"a\":null,\"a\":2}",
        "{a:'x', /* c */ b: 0x10,}",
        "[1,",
    ];
    proptest::sample::select(texts.to_vec()).prop_map(|text| Value::Text(text.to_owned()))
}

/// A value; a text that is no UTF-8 is passed as a blob and cast.
fn values() -> impl Strategy<Value = (Value, bool)> {
    prop_oneof![
        1 => Just((Value::Null, false)),
        1 => any::<i64>().prop_map(|whole| (Value::Integer(whole), false)),
        1 => (-20_i64..20).prop_map(|whole| (Value::Integer(whole), false)),
        1 => any::<f64>().prop_map(|real| (Value::Real(real), false)),
        1 => (-1e6..1e6).prop_map(|real: f64| (Value::Real((real * 4.0).round() / 4.0), false)),
        1 => (-1e6..1e6).prop_map(|real: f64| (Value::Real(real), false)),
        1 => texts().prop_map(|text| (Value::Blob(text), false)),
        2 => json().prop_map(|json| (json, false)),
        6 => texts().prop_map(|text| (Value::Blob(text), true)),
    ]
}

/// The expression with casts for those parameters that are texts.
fn with_casts(expression: &str, values: &[(Value, bool)]) -> String {
    let mut sql = expression.to_owned();
    for (at, (_, is_text)) in values.iter().enumerate() {
        if *is_text {
            let parameter = format!("?{}", at + 1);
            sql = sql.replace(&parameter, &format!("cast({parameter} as text)"));
        }
    }
    sql
}

thread_local! {
    static BOTH: ((Connection, Bounds), Connection) = (ours(), theirs());
}

fn assert_same(ours: &str, theirs: &str, values: &[Value]) {
    BOTH.with(|((connection, _), other)| {
        let (ours, theirs) = (
            answer(connection, ours, values),
            answer(other, theirs, values),
        );
        // Of a blob that looks like JSONB and is none, SQLite may make JSONB that is none.
        let is_blob = |value: &Value| matches!(value, Value::Blob(_));
        let is_malformed = matches!(&ours, Err(error) if error == "malformed JSON");
        if !(is_malformed && values.iter().any(is_blob)) {
            assert_eq!(ours, theirs, "{values:?}");
        }
    });
}

/// Whether a blob looks like JSONB and is none.
fn is_malformed(value: &Value) -> bool {
    let sql = "select json_valid(?1, 4) and not json_valid(?1, 8)";
    let is_blob = matches!(value, Value::Blob(_));
    is_blob && BOTH.with(|(_, theirs)| theirs.query_row(sql, [value], |row| row.get(0)).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn results_are_those_of_sqlite(given in proptest::collection::vec(values(), 3)) {
        let values: Vec<Value> = given.iter().map(|(value, _)| value.clone()).collect();
        for expression in EXPRESSIONS {
            let expression = with_casts(expression, &given);
            let sql = format!("select r, typeof(r) from (select {expression} as r)");
            assert_same(&sql, &sql, &values);
        }
    }

    #[test]
    fn patterns_match_as_with_sqlite(
        pattern in texts(),
        text in texts(),
        escape in proptest::sample::select(vec!["\\", "!", "%", "_", "é", "", "ab"]),
    ) {
        let values = [Value::Blob(pattern), Value::Blob(text), Value::Text(escape.to_owned())];
        assert_same(
            "select bounded_like(cast(?1 as text), cast(?2 as text), ?3)",
            "select cast(?2 as text) like cast(?1 as text) escape ?3",
            &values,
        );
        assert_same(
            "select bounded_glob(cast(?1 as text), cast(?2 as text))",
            "select cast(?2 as text) glob cast(?1 as text)",
            &values,
        );
    }

    #[test]
    fn aggregates_are_those_of_sqlite(
        rows in proptest::collection::vec((values(), values()), 0..9)
    ) {
        let mut all: Vec<(Value, bool)> =
            rows.iter().flat_map(|(x, y)| [x.clone(), y.clone()]).collect();
        // SQLite takes the first element away by its text, and mistakes where a malformed one ends.
        for (value, is_text) in &mut all {
            *is_text |= is_malformed(value);
        }
        let values: Vec<Value> = all.iter().map(|(value, _)| value.clone()).collect();
        let row = |at: usize| {
            let cast = |at: usize| if all[at].1 {
                format!("cast(?{} as text)", at + 1)
            } else {
                format!("?{}", at + 1)
            };
            format!("({at}, {}, {})", cast(at * 2), cast(at * 2 + 1))
        };
        let listed: Vec<String> = (0..rows.len()).map(row).collect();
        let from = if listed.is_empty() {
            "select 0 as n, null as x, null as y where false".to_owned()
        } else {
            format!("select column1 as n, column2 as x, column3 as y from (values {})", listed.join(", "))
        };
        for aggregate in AGGREGATES {
            let sql = format!("with t as ({from}) select {aggregate} from t");
            assert_same(&sql, &sql, &values);
        }
        for aggregate in FRAMES {
            for frame in ["rows between 2 preceding and current row", "rows between 1 following and 3 following"] {
                let sql = format!("with t as ({from}) select {aggregate} over (order by n {frame}) from t");
                assert_same(&sql, &sql, &values);
            }
        }
    }
}

#[test]
fn a_long_set_of_characters_is_trimmed_as_with_sqlite() {
    let set: String = (0x100..0x180).filter_map(char::from_u32).collect();
    for text in ["āxā", "āŽxŽ", "", "x", "āĂą"] {
        for name in ["trim", "ltrim", "rtrim"] {
            let sql = format!("select {name}(?1, ?2)");
            assert_same(&sql, &sql, &[text.to_owned().into(), set.clone().into()]);
        }
    }
}

/// What a list of functions says of each: type, encoding, arguments, flags.
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
