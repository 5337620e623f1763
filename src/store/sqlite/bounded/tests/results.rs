//! The functions here give what SQLite's own give, for arguments of all kinds.

use super::super::*;
use super::{ours, theirs};
use crate::store::sqlite::bounds::Bounds;
use proptest::prelude::*;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

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
