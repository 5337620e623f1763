//! Declarations of tables: their grammar, in Rust and in JSON.

use serde_json::{Value, json};
use tributary::{Database, Table};

fn database() -> Database {
    Database::open("sqlite::memory:").unwrap()
}

fn refused(table: Table) -> String {
    database().declare(table).unwrap_err().to_string()
}

fn refused_json(options: Value) -> String {
    Table::from_json("t", &options).unwrap_err().to_string()
}

#[test]
fn names_keep_to_the_grammar() {
    let allowed = "allowed is [A-Za-z_][A-Za-z0-9_]{0,63}";
    let long = "a".repeat(65);
    for name in [
        "",
        "x; drop table y",
        "a`b",
        "a\"b",
        "a b",
        "1a",
        "ä",
        "a.b",
        "a\0",
        &long,
    ] {
        let quoted = name.escape_debug().to_string().replace("\\\"", "\"");
        let quoted = format!("\"{quoted}\"");
        assert_eq!(
            refused(Table::new(name).text("a")),
            format!("bad table name {quoted}; {allowed}")
        );
        assert_eq!(
            refused(Table::new("t").text(name)),
            format!("table \"t\": bad column name {quoted}; {allowed}")
        );
    }
    database()
        .declare(Table::new("a".repeat(64)).text("select"))
        .unwrap();
    for name in ["sqlite_x", "Tributary_keys"] {
        assert!(refused(Table::new(name).text("a")).ends_with("are reserved"));
    }
}

#[test]
fn a_declaration_is_checked_as_a_whole() {
    assert_eq!(refused(Table::new("t")), r#"table "t": it has no columns"#);
    assert_eq!(
        refused(Table::new("t").text("a").integer("A")),
        r#"table "t": column "A" stands twice"#
    );
    assert_eq!(
        refused(Table::new("t").text("customer").key("custmer")),
        r#"table "t" has no column "custmer"; did you mean "customer"?"#
    );
    assert_eq!(
        refused(Table::new("t").text("a").key("a").key("a")),
        r#"table "t": column "a" stands twice in the key"#
    );
    let child = || Table::new("c").text("up").integer("n");
    assert_eq!(
        refused(
            Table::new("t")
                .text("a")
                .child("cs", child(), &[("up", "a")])
        ),
        r#"table "t": child "cs": a table with children needs a key"#
    );
    let keyed = || Table::new("t").text("a").key("a");
    assert_eq!(
        refused(keyed().child("cs", child(), &[])),
        r#"table "t": child "cs": no column of it repeats the parent's key "a"; name one, as in parent = { t_a = "a" }"#
    );
    assert_eq!(
        refused(keyed().child("cs", child(), &[("n", "a")])),
        r#"table "t": child "cs": column "n" is integer, but "a" of its parent is text"#
    );
    assert_eq!(
        refused(keyed().child("cs", child(), &[("upp", "a")])),
        r#"table "t": table "c" has no column "upp"; did you mean "up"?"#
    );
    assert_eq!(
        refused(keyed().child("a", child(), &[("up", "a")])),
        r#"table "t": child "a": a column has the same name"#
    );
    let twice = Table::new("T").text("up");
    assert_eq!(
        refused(keyed().child("cs", twice, &[("up", "a")])),
        r#"table "T" stands twice in one declaration"#
    );
}

#[test]
fn the_same_declaration_twice_is_fine_and_another_is_not() {
    let db = database();
    db.declare(Table::new("t").text("a")).unwrap();
    db.declare(Table::new("t").text("a")).unwrap();
    let error = db.declare(Table::new("T").text("b")).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"table "t" is declared already, otherwise"#
    );
    assert_eq!(db.tables().len(), 1);
}

#[test]
fn a_table_that_is_not_declared_is_named_with_what_is() {
    let db = database();
    let message = |name: &str| db.table(name).unwrap_err().to_string();
    assert_eq!(
        message("bets"),
        r#"no table "bets" is declared; no table is declared"#
    );
    db.declare(Table::new("example_bets").text("a")).unwrap();
    db.declare(Table::new("games").text("a")).unwrap();
    assert_eq!(
        message("example_bet"),
        r#"no table "example_bet" is declared; did you mean "example_bets"?"#
    );
    assert_eq!(
        message("customers"),
        r#"no table "customers" is declared; the declared tables are example_bets, games"#
    );
}

#[test]
fn a_table_is_read_from_json() {
    let table = Table::from_json(
        "example_bets",
        &json!({
            "key": "uuid",
            "columns": {
                "uuid": "text", "create_time": "integer", "customer_uuid": "text",
                "stake": "real", "currency": "text", "exchange_rate": "real", "odds": "real",
            },
            "children": {"selections": {
                "table": "example_selections",
                "parent": {"bet_uuid": "uuid"},
                "columns": {"bet_uuid": "text", "game_id": "integer", "market": "text", "odds": "real"},
            }},
        }),
    )
    .unwrap();
    assert_eq!(table, crate::support::databases::bets());
    let table = Table::from_json(
        "t",
        &json!({"key": ["a", "b"], "columns": {"a": "text(500)", "b": "integer"}, "children": []}),
    );
    let expected = Table::new("t")
        .text_sized("a", 500)
        .integer("b")
        .key("a")
        .key("b");
    assert_eq!(table.unwrap(), expected);
}

#[test]
fn options_that_are_not_known_are_refused() {
    for (options, message) in [
        (
            json!(5),
            r#"its options: names and values expected, this is 5"#,
        ),
        (json!({}), "it has no columns"),
        (
            json!({"column": {"a": "text"}}),
            r#"unknown option "column"; did you mean "columns"?"#,
        ),
        (
            json!({"columns": {"a": "text"}, "index": 1}),
            r#"unknown option "index"; the options are key, columns, children"#,
        ),
        (
            json!({"columns": {"a": "intger"}}),
            r#"column "a": unknown type "intger"; did you mean "integer"?"#,
        ),
        (
            json!({"columns": {"a": "varchar"}}),
            r#"column "a": unknown type "varchar"; the types are integer, real, text and text(n)"#,
        ),
        (
            json!({"columns": {"a": "text(0)"}}),
            r#"column "a": bad length in "text(0)"; a text has room for 1 to 65535 characters"#,
        ),
        (
            json!({"columns": {"a": 5}}),
            r#"column "a": a type expected, this is 5"#,
        ),
        (
            json!({"columns": {"a": "text"}, "key": 5}),
            r#"key: a name or an array of names expected, this is 5"#,
        ),
        (
            json!({"columns": {"a": "text"}, "children": {"c": {"columns": {"b": "text"}}}}),
            r#"child "c": it has no option "table""#,
        ),
        (
            json!({"columns": {"a": "text"}, "children": {"c": {"table": "c", "columns": {"b": "text"}}}}),
            r#"child "c": it has no option "parent"; write child column = parent's column"#,
        ),
    ] {
        assert_eq!(refused_json(options), format!("table \"t\": {message}"));
    }
}
