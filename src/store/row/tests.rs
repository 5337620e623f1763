//! The bytes and the tree give the same rows and the same errors.

use super::{Cell, Row, RowReader};
use crate::error::Result;
use crate::payload::Payload;
use crate::store::table::{Table, Type};
use proptest::prelude::*;
use std::borrow::Cow;
use std::cell::Cell as Counter;

/// The names that columns, children and fields have; few, so that they meet.
const NAMES: [&str; 6] = ["a", "b", "c", "id", "A", "ä\\u00e4"];
const ARRAYS: [&str; 3] = ["legs", "notes", "more"];

fn kind() -> impl Strategy<Value = Type> {
    prop_oneof![
        Just(Type::Integer),
        Just(Type::Real),
        Just(Type::Text(255)),
        Just(Type::Text(3)),
    ]
}

/// A table whose key is `id`, with other columns; children repeat the key as `up` or as `id`.
fn table(depth: u32) -> BoxedStrategy<Table> {
    let columns = proptest::sample::subsequence(vec!["a", "b", "c", "A"], 0..4);
    let children = match depth {
        0 => Just(Vec::new()).boxed(),
        _ => prop::collection::vec((table(depth - 1), any::<bool>()), 0..3).boxed(),
    };
    (columns, prop::collection::vec(kind(), 4), kind(), children)
        .prop_map(|(names, kinds, key, children)| {
            let mut table = Table::new("t").column("id", key);
            for (name, kind) in names.into_iter().zip(kinds) {
                table = table.column(name, kind);
            }
            table = table.key("id");
            for ((child, own), field) in children.into_iter().zip(ARRAYS) {
                let (child, link) = if own {
                    (child.column("up", key), "up")
                } else {
                    (child, "id")
                };
                table = table.child(field, child, &[(link, "id"), (link, "a")]);
            }
            table
        })
        .boxed()
}

fn scalar() -> impl Strategy<Value = String> {
    let odd = [
        "null",
        "true",
        "-0",
        "-0.0",
        "1e3",
        "1e400",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "1e19",
        "12345678901234567890123",
        "9.3e18",
        "1.5",
        "\"\"",
        "\"abc\"",
        "\"a\\nb\"",
        "\"äöü\"",
        "\"\\ud83e\\udd80\"",
        "\"\\ud800\"",
        "\"12345678901234567890123\"",
        "01",
        "nul",
        "nulll",
        "-",
        "--1",
        "+1",
        ".5",
        "1.",
        "1.e3",
        "1e",
        "1e+",
        "1.5e-",
        "1.5E+2",
        "0e0",
        "0e999",
        "-0e1",
        "00.5",
        "0.1000000000000000055511151231257827",
        "123456789012345.6",
        "0.000000000000001",
        "2.2250738585072011e-308",
        "9007199254740993.0",
        "\"\\\"\"",
        "\"\\\\\"",
        "\"\\u00e4\\",
        "\"a\tb\"",
        "\"1234567\\\"8\"",
    ];
    prop_oneof![
        4 => any::<i64>().prop_map(|n| n.to_string()),
        2 => (-9i64..9).prop_map(|n| n.to_string()),
        2 => any::<f32>().prop_map(|x| format!("{x:?}")),
        2 => any::<f64>().prop_map(|x| format!("{x:?}")),
        2 => "[a-z]{0,5}".prop_map(|text| format!("\"{text}\"")),
        4 => proptest::sample::select(odd.to_vec()).prop_map(str::to_owned),
    ]
}

/// JSON, or nearly.
fn document() -> impl Strategy<Value = String> {
    let value = scalar().prop_recursive(4, 40, 6, |inner| {
        let name = prop_oneof![
            3 => proptest::sample::select(NAMES.to_vec()),
            2 => proptest::sample::select(ARRAYS.to_vec()),
            1 => Just("up"),
        ];
        let rows = prop::collection::vec(inner.clone(), 0..4);
        let fields = prop::collection::vec((name, inner), 0..8);
        prop_oneof![
            1 => rows.prop_map(|items| format!("[{}]", items.join(","))),
            2 => fields.prop_map(|fields| {
                let fields = fields.iter().map(|(name, value)| format!(" \"{name}\":{value}"));
                format!("{{{}\r\n}}\t", fields.collect::<Vec<_>>().join(" ,"))
            }),
        ]
    });
    let cut = (value.clone(), any::<prop::sample::Index>()).prop_map(|(text, at)| {
        let at = at.index(text.len() + 1);
        text.get(..at).unwrap_or_default().to_owned()
    });
    let deep = (120usize..140)
        .prop_map(|depth| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth)));
    prop_oneof![8 => value, 1 => cut, 1 => deep]
}

/// A document that fits its table, but for a field here and there.
fn fitting(table: &Table) -> BoxedStrategy<String> {
    let fields: Vec<BoxedStrategy<Option<String>>> = table
        .columns()
        .iter()
        .map(|column| {
            let value = match column.kind {
                Type::Integer => any::<i64>().prop_map(|n| n.to_string()).boxed(),
                Type::Real => any::<f32>()
                    .prop_filter("a number", |x| x.is_finite())
                    .prop_map(|x| format!("{x:?}"))
                    .boxed(),
                Type::Text(_) => "[a-zä]{0,3}|a\\\\nb"
                    .prop_map(|s| format!("\"{s}\""))
                    .boxed(),
            };
            let name = column.name.clone();
            let value = prop_oneof![30 => value, 1 => scalar()];
            let field = value.prop_map(move |value| format!("\"{name}\": {value}"));
            prop::option::weighted(0.95, field).boxed()
        })
        .chain(table.children().iter().map(|child| {
            let rows = prop::collection::vec(fitting(&child.table), 0..3);
            let name = child.field.clone();
            let rows = rows.prop_map(move |rows| Some(format!("\"{name}\":[{}]", rows.join(", "))));
            rows.boxed()
        }))
        .chain([scalar()
            .prop_map(|value| Some(format!("\"other\":[{value}]")))
            .boxed()])
        .collect();
    (fields, any::<u64>())
        .prop_map(|(fields, seed)| {
            let mut fields: Vec<String> = fields.into_iter().flatten().collect();
            // Mostly in the order of the columns.
            if seed % 3 == 0 && !fields.is_empty() {
                let at = seed as usize % fields.len();
                fields.rotate_left(at);
            }
            format!("{{{}}}", fields.join(","))
        })
        .boxed()
}

fn from_tree<'a>(table: &'a Table, payload: &'a Payload, sized: bool) -> Result<Row<'a>> {
    Row::read(table, payload.object()?, sized)
}

fn shown(row: Result<Row<'_>>) -> String {
    match row {
        Ok(row) => format!("{:?} {:?}", row.cells, row.children),
        Err(error) => error.to_string(),
    }
}

#[test]
fn bytes_and_tree_give_the_same_row_or_the_same_error() {
    let case = table(2).prop_flat_map(|table| {
        let text = prop_oneof![fitting(&table), document().boxed()];
        (Just(table), text, any::<bool>())
    });
    let config = ProptestConfig {
        cases: 3_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (good, fast) = (Counter::new(0), Counter::new(0));
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&case, |(table, text, sized)| {
            let payload = Payload::from(text.as_str());
            let tree = Payload::from(text.as_str());
            let expected = from_tree(&table, &tree, sized);
            good.set(good.get() + usize::from(expected.is_ok()));
            let reader = RowReader::new(table.clone().into());
            let walked = reader.walk(text.as_bytes(), sized);
            fast.set(fast.get() + usize::from(walked.is_some()));
            let expected = shown(expected);
            if let Some(row) = walked {
                prop_assert_eq!(shown(Ok(row)), expected.as_str());
            }
            prop_assert_eq!(shown(reader.read(&payload, sized)), expected);
            Ok(())
        })
        .unwrap();
    // Nearly all that is good goes the fast way, and some is good.
    assert!(
        good.get() > 500 && fast.get() * 10 > good.get() * 9,
        "{good:?} {fast:?}"
    );
}

#[test]
fn texts_without_escapes_stay_in_the_payload() {
    let table = Table::new("t").text("plain").text("escaped");
    let payload = Payload::from(r#"{"skipped": "x", "escaped": "\t", "plain": "as it is"}"#);
    let reader = RowReader::new(table.into());
    let row = reader.read(&payload, false).unwrap();
    assert_eq!(row.cells, ["as it is".into(), Cell::from("\t")]);
    assert!(matches!(row.cells[0], Cell::Text(Cow::Borrowed(_))));
    assert!(payload.tree().is_none());
}

#[test]
fn a_text_that_is_too_long_is_refused_where_lengths_count() {
    let table = Table::new("t").column("short", Type::Text(3));
    let reader = RowReader::new(table.into());
    for (text, fits) in [("äöü", true), ("äöüß", false), (r"\u00e4bc", true)] {
        let text = format!(r#"{{"short": "{text}"}}"#);
        for (sized, is_good) in [(true, fits), (false, true)] {
            let walked = reader.walk(text.as_bytes(), sized);
            assert_eq!(walked.is_some(), is_good, "{text}");
        }
    }
}

#[test]
fn the_last_of_two_arrays_counts_and_children_come_in_the_order_of_the_table() {
    let leg = Table::new("legs").text("up").integer("n");
    let note = Table::new("notes").text("up").integer("n");
    let table = Table::new("t")
        .text("id")
        .key("id")
        .child("legs", leg, &[("up", "id")])
        .child("notes", note, &[("up", "id")]);
    let reader = RowReader::new(table.into());
    let read = |text: &str| shown(reader.read(&Payload::from(text), false));
    let plain = read(r#"{"id": "x", "legs": [{"n": 1}, {"n": 2}], "notes": [{"n": 3}]}"#);
    assert!(plain.contains("Integer(3)"), "{plain}");
    for text in [
        r#"{"notes": [{"n": 3, "up": 5}], "legs": [{"n": 1}, {"n": 2}], "id": "x"}"#,
        r#"{"legs": 7, "id": "y", "notes": [{"n": 3}], "legs": [{"n": 1}, {"n": 2}], "id": "x"}"#,
        r#"{"legs": [{"n": 9}], "notes": [{"n": 3}], "legs": [{"n": 1}, {"n": 2}], "id": "x"}"#,
    ] {
        assert_eq!(read(text), plain, "{text}");
    }
}
