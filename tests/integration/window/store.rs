//! The contract of a store, over every database.

use crate::support::databases::{Kind, Place, ask, bet, bets, insert, kill_connections, one};
use serde_json::{Value, json};
use std::time::Duration;
use tributary::store::{Inserted, Params, Store};
use tributary::time::Timestamp;
use tributary::window::{Window, WindowKind, WindowOptions};
use tributary::{Database, ErrorKind, Result, Table};

crate::over_all_databases! {
    an_event_becomes_a_row_and_rows_of_its_children
    a_second_row_with_the_same_key_is_not_inserted_nor_are_its_children
    unknown_fields_are_ignored_and_missing_ones_are_null
    a_wrong_type_names_the_column_the_type_and_the_value
    a_bad_child_leaves_nothing_of_its_parent
    a_bad_row_leaves_the_transaction_open
    nothing_is_visible_to_others_before_commit
    rollback_takes_back_everything
    a_store_that_is_dropped_in_a_transaction_takes_it_back
    whole_numbers_are_kept_exactly
    texts_are_keys_as_they_are_written
    an_event_without_its_key_is_refused
    eviction_takes_rows_before_the_cutoff_with_all_below_them
    the_oldest_row_is_known
    parameters_are_bound_from_the_event
    keys_are_remembered_until_they_expire
    children_nest
    a_key_may_have_several_columns
    answers_are_json
    a_table_called_order_works
    an_existing_table_is_checked_against_the_declaration
    preparing_and_declaring_change_no_table
    fault_23_an_answer_has_at_most_so_many_rows
    fault_18_the_scope_of_keys_is_a_value
    many_threads_write_one_table
    what_was_inserted_is_read_again
    keys_links_and_times_of_windows_are_indexed
}

fn an_event_becomes_a_row_and_rows_of_its_children(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut store = db.connect().unwrap();
    let inserted = insert(&mut *store, &db, "example_bets", &bet("a", 7, "c", 10.0)).unwrap();
    assert_eq!(inserted, Inserted::New);
    let rows = ask(
        &mut *store,
        &db,
        "select b.*, s.game_id, s.market from example_bets b \
         join example_selections s on s.bet_uuid = b.uuid order by s.game_id",
        Timestamp::EPOCH,
    )
    .unwrap();
    assert_eq!(
        serde_json::to_string(&rows[0]).unwrap(),
        r#"{"uuid":"a","create_time":7,"customer_uuid":"c","stake":10.0,"currency":"EUR","exchange_rate":1.0,"odds":2.0,"game_id":123456,"market":"win"}"#
    );
    assert_eq!(rows.len(), 2);
}

fn a_second_row_with_the_same_key_is_not_inserted_nor_are_its_children(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut store = db.connect().unwrap();
    insert(&mut *store, &db, "example_bets", &bet("a", 7, "c", 10.0)).unwrap();
    store.begin().unwrap();
    let again = insert(&mut *store, &db, "example_bets", &bet("a", 8, "d", 20.0)).unwrap();
    assert_eq!(again, Inserted::Duplicate);
    store.commit().unwrap();
    assert_eq!(
        one(&mut *store, &db, "select count(*) from example_selections"),
        2
    );
    assert_eq!(
        one(&mut *store, &db, "select stake from example_bets"),
        10.0
    );
}

fn unknown_fields_are_ignored_and_missing_ones_are_null(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut store = db.connect().unwrap();
    let event = json!({"uuid": "a", "stake": null, "selections": null, "more": {"x": 1}});
    insert(&mut *store, &db, "example_bets", &event).unwrap();
    let all = "select uuid, stake, odds from example_bets";
    let rows = ask(&mut *store, &db, all, Timestamp::EPOCH).unwrap();
    assert_eq!(
        Value::Object(rows[0].clone()),
        json!({"uuid": "a", "stake": null, "odds": null})
    );
}

fn a_wrong_type_names_the_column_the_type_and_the_value(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut store = db.connect().unwrap();
    let mut refusal = |field: &str, value: Value| {
        let mut event = bet("a", 7, "c", 10.0);
        event[field] = value;
        let error = insert(&mut *store, &db, "example_bets", &event).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        error.to_string()
    };
    assert_eq!(
        refusal("stake", json!("ten")),
        r#"example_bets.stake must be real, this is "ten""#
    );
    assert_eq!(
        refusal("create_time", json!(1.5)),
        r#"example_bets.create_time must be integer, this is 1.5"#
    );
    assert_eq!(
        refusal("create_time", json!(u64::MAX)),
        r#"example_bets.create_time must be integer, this is 18446744073709551615"#
    );
    assert_eq!(
        refusal("stake", json!(true)),
        r#"example_bets.stake must be real, this is true"#
    );
    assert_eq!(
        refusal("customer_uuid", json!(5)),
        r#"example_bets.customer_uuid must be text, this is 5"#
    );
    assert_eq!(
        refusal("selections", json!({"game_id": 1})),
        r#"example_bets.selections must be an array of objects, this is {"game_id":1}"#
    );
    assert_eq!(
        refusal("selections", json!([1])),
        r#"example_bets.selections must be an array of objects, this is 1"#
    );
    assert_eq!(
        refusal("selections", json!([{"game_id": "x"}])),
        r#"example_selections.game_id must be integer, this is "x""#
    );
}

fn a_bad_child_leaves_nothing_of_its_parent(place: &Place) {
    let db = place.open();
    // What only the database refuses, after the parent was inserted.
    if place.stays() {
        let check = "create table legs (bet_uuid varchar(20), game_id bigint check (game_id > 0))";
        place.execute(check);
    }
    let legs = Table::new("legs").text("bet_uuid").integer("game_id");
    let table = Table::new("slips").text("uuid").key("uuid");
    db.declare(table.child("legs", legs, &[("bet_uuid", "uuid")]))
        .unwrap();
    let mut store = db.connect().unwrap();
    store.begin().unwrap();
    let good = json!({"uuid": "good", "legs": [{"game_id": 1}]});
    insert(&mut *store, &db, "slips", &good).unwrap();
    let bad = if place.stays() {
        json!({"uuid": "bad", "legs": [{"game_id": 2}, {"game_id": -1}]})
    } else {
        json!({"uuid": "bad", "legs": [{"game_id": 2}, {"game_id": "x"}]})
    };
    insert(&mut *store, &db, "slips", &bad).unwrap_err();
    store.commit().unwrap();
    assert_eq!(
        one(&mut *store, &db, "select group_concat(uuid) from slips"),
        "good"
    );
    assert_eq!(one(&mut *store, &db, "select count(*) from legs"), 1);
}

fn a_bad_row_leaves_the_transaction_open(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut store = db.connect().unwrap();
    store.begin().unwrap();
    insert(&mut *store, &db, "example_bets", &bet("a", 7, "c", 10.0)).unwrap();
    insert(&mut *store, &db, "example_bets", &json!({"uuid": 5})).unwrap_err();
    insert(&mut *store, &db, "example_bets", &bet("b", 8, "c", 10.0)).unwrap();
    store.commit().unwrap();
    assert_eq!(
        one(&mut *store, &db, "select count(*) from example_bets"),
        2
    );
}

fn nothing_is_visible_to_others_before_commit(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut writer = db.connect().unwrap();
    let mut other = db.connect().unwrap();
    let count = "select count(*) from example_bets";
    let query = db.prepare(count).unwrap();
    writer.begin().unwrap();
    insert(&mut *writer, &db, "example_bets", &bet("a", 7, "c", 10.0)).unwrap();
    let asking = std::thread::spawn(move || {
        let now = Timestamp::EPOCH;
        let rows = other.query(&query, &Params { now, event: None }).unwrap();
        rows[0].values().next().unwrap().clone()
    });
    match place.kind {
        // On SQLite the reader waits until the writer is done.
        Kind::Memory | Kind::File => {
            // It would have an answer meanwhile.
            std::thread::sleep(Duration::from_millis(20));
            assert!(!asking.is_finished());
            writer.commit().unwrap();
            assert_eq!(asking.join().unwrap(), 1);
        }
        Kind::Mariadb => {
            assert_eq!(asking.join().unwrap(), 0);
            writer.commit().unwrap();
            assert_eq!(one(&mut *writer, &db, count), 1);
        }
    }
}

fn rollback_takes_back_everything(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut store = db.connect().unwrap();
    store.rollback();
    store.begin().unwrap();
    store.begin().unwrap();
    insert(&mut *store, &db, "example_bets", &bet("a", 7, "c", 10.0)).unwrap();
    store.rollback();
    store.rollback();
    store.commit().unwrap();
    assert_eq!(
        one(&mut *store, &db, "select count(*) from example_bets"),
        0
    );
    assert_eq!(
        one(&mut *store, &db, "select count(*) from example_selections"),
        0
    );
}

fn a_store_that_is_dropped_in_a_transaction_takes_it_back(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut store = db.connect().unwrap();
    store.begin().unwrap();
    insert(&mut *store, &db, "example_bets", &bet("a", 7, "c", 10.0)).unwrap();
    drop(store);
    let mut store = db.connect().unwrap();
    assert_eq!(
        one(&mut *store, &db, "select count(*) from example_bets"),
        0
    );
}

fn whole_numbers_are_kept_exactly(place: &Place) {
    let db = place.open();
    db.declare(Table::new("t").integer("n").real("x")).unwrap();
    let mut store = db.connect().unwrap();
    for n in [i64::MIN, -1, 0, (1 << 53) + 1, i64::MAX] {
        insert(&mut *store, &db, "t", &json!({"n": n, "x": -0.5})).unwrap();
    }
    insert(&mut *store, &db, "t", &json!({"n": 5.0, "x": 7})).unwrap();
    let rows = ask(
        &mut *store,
        &db,
        "select n, x from t order by n",
        Timestamp::EPOCH,
    )
    .unwrap();
    let numbers: Vec<i64> = rows.iter().map(|row| row["n"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [i64::MIN, -1, 0, 5, (1 << 53) + 1, i64::MAX]);
    assert_eq!(rows[3]["x"], 7.0);
}

fn texts_are_keys_as_they_are_written(place: &Place) {
    let db = place.open();
    db.declare(Table::new("t").text("k").key("k")).unwrap();
    let mut store = db.connect().unwrap();
    for key in [
        "Ab",
        "aB",
        "aB ",
        "ab",
        "äb",
        "a\u{308}b",
        "",
        "日本",
        "🦀",
        "a'b\"c`\\",
    ] {
        let inserted = insert(&mut *store, &db, "t", &json!({"k": key})).unwrap();
        assert_eq!(inserted, Inserted::New, "{key:?}");
        let again = insert(&mut *store, &db, "t", &json!({"k": key})).unwrap();
        assert_eq!(again, Inserted::Duplicate, "{key:?}");
    }
    assert_eq!(one(&mut *store, &db, "select count(distinct k) from t"), 10);
}

fn an_event_without_its_key_is_refused(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut store = db.connect().unwrap();
    for event in [json!({"stake": 1}), json!({"uuid": null})] {
        let error = insert(&mut *store, &db, "example_bets", &event).unwrap_err();
        assert_eq!(
            error.to_string(),
            "example_bets.uuid is missing, and it is part of the key"
        );
    }
}

fn eviction_takes_rows_before_the_cutoff_with_all_below_them(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut store = db.connect().unwrap();
    for second in 1..=5 {
        let bet = bet(&format!("bet {second}"), second, "c", 1.0);
        insert(&mut *store, &db, "example_bets", &bet).unwrap();
    }
    insert(
        &mut *store,
        &db,
        "example_bets",
        &json!({"uuid": "timeless"}),
    )
    .unwrap();
    let table = db.table("example_bets").unwrap();
    let evicted = store
        .evict(&table, "create_time", Timestamp::from_secs(3))
        .unwrap();
    assert_eq!(evicted, 2 + 4);
    assert_eq!(
        one(
            &mut *store,
            &db,
            "select min(create_time) from example_bets"
        ),
        3
    );
    assert_eq!(
        one(&mut *store, &db, "select count(*) from example_selections"),
        6
    );
    assert_eq!(
        one(&mut *store, &db, "select count(*) from example_bets"),
        4
    );
    let evicted = store
        .evict(&table, "create_time", Timestamp::from_millis(3_500))
        .unwrap();
    assert_eq!(evicted, 1 + 2);
}

fn the_oldest_row_is_known(place: &Place) {
    let db = place.open();
    db.declare(Table::new("t").integer("whole").real("part"))
        .unwrap();
    let mut store = db.connect().unwrap();
    let table = db.table("t").unwrap();
    assert_eq!(store.oldest(&table, "whole").unwrap(), None);
    for event in [
        json!({"whole": 9, "part": 2.5}),
        json!({"whole": -4}),
        json!({}),
    ] {
        insert(&mut *store, &db, "t", &event).unwrap();
    }
    assert_eq!(
        store.oldest(&table, "whole").unwrap(),
        Some(Timestamp::from_secs(-4))
    );
    assert_eq!(
        store.oldest(&table, "part").unwrap(),
        Some(Timestamp::from_millis(2_500))
    );
}

fn parameters_are_bound_from_the_event(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut store = db.connect().unwrap();
    for (uuid, customer) in [("a", "one"), ("b", "two"), ("c", "two")] {
        insert(
            &mut *store,
            &db,
            "example_bets",
            &bet(uuid, 7, customer, 5.0),
        )
        .unwrap();
    }
    let query = db
        .prepare(
            "select count(*) as n, ':stake' as quoted from example_bets \
             where customer_uuid = :customer_uuid and stake <= :stake and :customer_uuid <> ''",
        )
        .unwrap();
    assert_eq!(query.fields(), ["customer_uuid", "stake"]);
    let mut asked = |event: Value| {
        let params = Params {
            now: Timestamp::EPOCH,
            event: event.as_object(),
        };
        store
            .query(&query, &params)
            .map(|rows| Value::Object(rows[0].clone()))
    };
    assert_eq!(
        asked(bet("x", 7, "two", 5.0)).unwrap(),
        json!({"n": 2, "quoted": ":stake"})
    );
    // A text is never SQL.
    let injected = bet("x", 7, "' or '1'='1", 5.0);
    assert_eq!(asked(injected).unwrap()["n"], 0);
    // A field that is missing is NULL, and one of the wrong type an error that names it.
    assert_eq!(asked(json!({"customer_uuid": "two"})).unwrap()["n"], 0);
    assert_eq!(
        asked(json!({"customer_uuid": 5})).unwrap_err().to_string(),
        r#":customer_uuid must be text, this is 5"#
    );
    let nobody = Params {
        now: Timestamp::EPOCH,
        event: None,
    };
    assert_eq!(
        store.query(&query, &nobody).unwrap_err().to_string(),
        "there is no event to take :customer_uuid from"
    );
}

fn keys_are_remembered_until_they_expire(place: &Place) {
    let at = Timestamp::from_secs;
    let mut db = place.open();
    let mut store = db.connect().unwrap();
    assert_eq!(store.recall("filter", at(0)).unwrap(), []);
    store.begin().unwrap();
    store.remember("filter", b"one", at(10)).unwrap();
    store.remember("filter", &[0, 255], at(20)).unwrap();
    store.remember("other", b"one", at(30)).unwrap();
    store.remember("filter", b"one", at(15)).unwrap();
    store.commit().unwrap();
    if place.stays() {
        drop(store);
        db = place.open();
        store = db.connect().unwrap();
    }
    let kept = [(b"one".to_vec(), at(15)), (vec![0, 255], at(20))];
    assert_eq!(store.recall("filter", at(14)).unwrap(), kept);
    assert_eq!(store.recall("filter", at(15)).unwrap(), kept[1..]);
    assert_eq!(store.forget("filter", at(15)).unwrap(), 1);
    assert_eq!(store.recall("filter", at(0)).unwrap(), kept[1..]);
    assert_eq!(store.recall("other", at(0)).unwrap().len(), 1);
}

fn children_nest(place: &Place) {
    let db = place.open();
    let leg = Table::new("leg").text("slip").integer("line").integer("no");
    let line = Table::new("line").text("slip").integer("line");
    let line = line.key("slip").key("line");
    let line = line.child("legs", leg, &[("slip", "slip"), ("line", "line")]);
    let slip = Table::new("slip").text("id").integer("at").key("id");
    db.declare(slip.child("lines", line, &[("slip", "id")]))
        .unwrap();
    let mut store = db.connect().unwrap();
    for (id, at) in [("a", 1), ("b", 2)] {
        let event = json!({"id": id, "at": at, "lines": [
            {"line": 1, "slip": "mine is overruled", "legs": [{"no": 1}, {"no": 2}]},
            {"line": 2, "legs": []},
        ]});
        insert(&mut *store, &db, "slip", &event).unwrap();
    }
    assert_eq!(
        one(
            &mut *store,
            &db,
            "select count(*) from leg where slip = 'a'"
        ),
        2
    );
    let table = db.table("slip").unwrap();
    store.evict(&table, "at", Timestamp::from_secs(2)).unwrap();
    assert_eq!(one(&mut *store, &db, "select count(*) from slip"), 1);
    assert_eq!(one(&mut *store, &db, "select count(*) from line"), 2);
    assert_eq!(one(&mut *store, &db, "select min(slip) from leg"), "b");
}

fn a_key_may_have_several_columns(place: &Place) {
    let db = place.open();
    db.declare(Table::new("t").text("a").integer("b").key("a").key("b"))
        .unwrap();
    let mut store = db.connect().unwrap();
    let mut put =
        |a: &str, b: i64| insert(&mut *store, &db, "t", &json!({"a": a, "b": b})).unwrap();
    assert_eq!(put("x", 1), Inserted::New);
    assert_eq!(put("x", 2), Inserted::New);
    assert_eq!(put("x", 1), Inserted::Duplicate);
}

fn answers_are_json(place: &Place) {
    let db = place.open();
    let mut store = db.connect().unwrap();
    let rows = ask(
        &mut *store,
        &db,
        "select 9007199254740993 as whole, 0.5e0 as part, null as no_value, 'tëxt' as word, \
         x'00ff10' as bytes, 1 < 2 as yes, '' as empty",
        Timestamp::EPOCH,
    )
    .unwrap();
    assert_eq!(
        Value::Object(rows[0].clone()),
        json!({
            "whole": 9007199254740993i64, "part": 0.5, "no_value": null, "word": "tëxt",
            "bytes": "AP8Q", "yes": 1, "empty": "",
        })
    );
}

fn a_table_called_order_works(place: &Place) {
    let db = place.open();
    let group = Table::new("group").text("order").integer("index");
    let order = Table::new("order")
        .text("select")
        .integer("from")
        .key("select");
    db.declare(order.child("group", group, &[("order", "select")]))
        .unwrap();
    let mut store = db.connect().unwrap();
    let event = json!({"select": "x", "from": 1, "group": [{"index": 1}]});
    insert(&mut *store, &db, "order", &event).unwrap();
    insert(&mut *store, &db, "order", &event).unwrap();
    assert_eq!(one(&mut *store, &db, "select count(*) from `order`"), 1);
    let table = db.table("order").unwrap();
    assert_eq!(
        store
            .evict(&table, "from", Timestamp::from_secs(2))
            .unwrap(),
        2
    );
    assert_eq!(one(&mut *store, &db, "select count(*) from `group`"), 0);
}

fn an_existing_table_is_checked_against_the_declaration(place: &Place) {
    if !place.stays() {
        return;
    }
    place.execute("create table t (id varchar(20) not null, n bigint, must double not null)");
    // The file is named before it.
    let refusal = |table: Table| {
        let refusal = place.open().declare(table).unwrap_err().to_string();
        refusal
            .rsplit_once("\": ")
            .filter(|(file, _)| file.starts_with("database \""))
            .map_or(refusal.clone(), |(_, refusal)| refusal.to_owned())
    };
    let there = r#"table "t" is there already and does not fit: "#;
    assert_eq!(
        refusal(Table::new("t").text("ident").integer("n").real("must")),
        format!(r#"{there}it has no column "ident"; its columns are id, n, must"#)
    );
    assert_eq!(
        refusal(Table::new("t").text("idd").integer("n").real("must")),
        format!(r#"{there}it has no column "idd"; did you mean "id"?"#)
    );
    let kind = match place.kind {
        Kind::Mariadb => "varchar",
        _ => "varchar(20)",
    };
    assert_eq!(
        refusal(Table::new("t").integer("id").integer("n").real("must")),
        format!(r#"{there}column "id" is {kind} there, integer in the declaration"#)
    );
    assert_eq!(
        refusal(Table::new("t").text("id").integer("n")),
        format!(r#"{there}its column "must" must be given a value, and is not declared"#)
    );
    assert_eq!(
        refusal(
            Table::new("t")
                .text("id")
                .integer("n")
                .real("must")
                .key("id")
        ),
        format!("{there}it has no unique index on its key (id)")
    );
    place.execute("create unique index u on t (id)");
    let db = place.open();
    db.declare(Table::new("t").text("id").real("must").key("id"))
        .unwrap();
    let mut store = db.connect().unwrap();
    let event = json!({"id": "a", "must": 1});
    assert_eq!(
        insert(&mut *store, &db, "t", &event).unwrap(),
        Inserted::New
    );
    assert_eq!(
        insert(&mut *store, &db, "t", &event).unwrap(),
        Inserted::Duplicate
    );
}

fn preparing_and_declaring_change_no_table(place: &Place) {
    if !place.stays() {
        return;
    }
    let db = place.open();
    db.declare(bets()).unwrap();
    db.prepare("select count(*) as n from example_bets join example_selections")
        .unwrap();
    let other = place.open();
    let named = other.clone().with_reads(["example_bets"]).unwrap_err();
    assert!(named.to_string().contains("example_bets"), "{named}");
    let error = other
        .prepare("select 1 as one from example_bets")
        .unwrap_err();
    assert!(error.to_string().contains("example_bets"), "{error}");
    db.connect().unwrap();
    let other = other.with_reads(["example_bets"]).unwrap();
    other.prepare("select 1 as one from example_bets").unwrap();
}

fn fault_23_an_answer_has_at_most_so_many_rows(place: &Place) {
    let db = place.open();
    let mut store = db.connect().unwrap();
    let endless = match place.kind {
        // MariaDB ends a recursion before it gives its first row.
        Kind::Mariadb => {
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000) \
             select a.i from n a, n b"
        }
        _ => "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n",
    };
    let error = ask(&mut *store, &db, endless, Timestamp::EPOCH).unwrap_err();
    assert_eq!(error.message(), "the answer has more than 100000 rows");
    assert_eq!(one(&mut *store, &db, "select 1"), 1);
}

fn fault_18_the_scope_of_keys_is_a_value(place: &Place) {
    let db = place.open();
    let mut store = db.connect().unwrap();
    let until = Timestamp::from_secs(10);
    let scopes = [
        "x; drop table tributary_keys",
        "a`b",
        "A`b",
        "a'b\"c",
        "_",
        "",
    ];
    for (n, scope) in (0u8..).zip(scopes) {
        store.recall(scope, Timestamp::EPOCH).unwrap();
        store.remember(scope, &[n; 64], until).unwrap();
    }
    for (n, scope) in (0u8..).zip(scopes) {
        let kept = store.recall(scope, Timestamp::EPOCH).unwrap();
        assert_eq!(kept, [(vec![n; 64], until)], "{scope}");
    }
}

fn many_threads_write_one_table(place: &Place) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let db = db.clone();
            std::thread::spawn(move || {
                let mut store = db.connect().unwrap();
                let table = db.table("example_bets").unwrap();
                for batch in 0..10 {
                    // What fails for others' sake is done again, as a node does.
                    while let Err(error) = write_batch(&mut *store, &db, thread, batch) {
                        assert!(error.is_retryable(), "{error}");
                        store.rollback();
                    }
                    let evict = |store: &mut dyn Store| {
                        store.begin()?;
                        store.evict(&table, "create_time", Timestamp::from_secs(5))?;
                        store.commit()
                    };
                    while let Err(error) = evict(&mut *store) {
                        assert!(error.is_retryable(), "{error}");
                        store.rollback();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut store = db.connect().unwrap();
    // Each thread's own, and those that all had.
    assert_eq!(
        one(&mut *store, &db, "select count(*) from example_bets"),
        4 * 10 * 5 + 10 * 5
    );
    assert_eq!(
        one(&mut *store, &db, "select count(*) from example_selections"),
        500
    );
}

fn write_batch(store: &mut dyn Store, db: &Database, thread: i32, batch: i32) -> Result<()> {
    store.begin()?;
    for n in 0..10 {
        for name in [
            format!("{thread} {batch} {n}"),
            format!("shared {batch} {n}"),
        ] {
            insert(store, db, "example_bets", &bet(&name, n, "c", 1.0))?;
        }
    }
    store.commit()
}

/// Any whole number, double and text, and NULL.
fn what_was_inserted_is_read_again(place: &Place) {
    use proptest::prelude::*;
    let db = place.open();
    db.declare(
        Table::new("t")
            .integer("n")
            .integer("whole")
            .real("part")
            .text("word")
            .key("n"),
    )
    .unwrap();
    let mut store = db.connect().unwrap();
    let query = db
        .prepare("select whole, part, word from t where n = :n")
        .unwrap();
    let any = (
        proptest::option::of(any::<i64>()),
        proptest::option::of(prop::num::f64::NORMAL | prop::num::f64::ZERO),
        proptest::option::of("\\PC{0,40}|[\u{0}-\u{7f}]{0,20}"),
    );
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let cell = std::cell::RefCell::new((&mut store, 0));
    runner
        .run(&any, |(whole, part, word)| {
            let (store, n) = &mut *cell.borrow_mut();
            *n += 1;
            let event = json!({"n": *n, "whole": whole, "part": part, "word": word});
            insert(&mut ***store, &db, "t", &event).unwrap();
            let params = Params {
                now: Timestamp::EPOCH,
                event: event.as_object(),
            };
            let rows = store.query(&query, &params).unwrap();
            let read = json!({"whole": whole, "part": part, "word": word});
            prop_assert_eq!(&Value::Object(rows[0].clone()), &read);
            Ok(())
        })
        .unwrap();
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_lost_connection_is_logged_and_opened_again() {
    let place = Place::mariadb();
    let db = place.open();
    db.declare(bets()).unwrap();
    let mut store = db.connect().unwrap();
    store.begin().unwrap();
    insert(&mut *store, &db, "example_bets", &bet("a", 7, "c", 10.0)).unwrap();
    kill_connections(&place);
    let error = insert(&mut *store, &db, "example_bets", &bet("b", 7, "c", 10.0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable(), "{error}");
    store.rollback();
    // So is the one that asks about the schema.
    db.declare(Table::new("example_more").text("a")).unwrap();
    let mut store = db.connect().unwrap();
    assert_eq!(
        one(&mut *store, &db, "select count(*) from example_bets"),
        0
    );
    insert(&mut *store, &db, "example_bets", &bet("b", 7, "c", 10.0)).unwrap();
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn mysql_keeps_texts_to_their_length() {
    let place = Place::mariadb();
    let db = place.open();
    db.declare(Table::new("t").text("a").text_sized("b", 3))
        .unwrap();
    let mut store = db.connect().unwrap();
    let long = "ä".repeat(255);
    insert(&mut *store, &db, "t", &json!({"a": long, "b": "äöü"})).unwrap();
    let error = insert(&mut *store, &db, "t", &json!({"b": "abcd"})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "t.b has room for 3 characters, this has 4: \"abcd\"; declare it as text(4)"
    );
    let error = db
        .declare(Table::new("u").text_sized("k", 769).key("k"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "table \"u\": its key is too long for MySQL, which takes 3072 bytes at 4 for a \
         character; declare shorter texts, as in text(255)"
    );
    // What is too long for a column of texts that is looked up is kept elsewhere.
    let wide = Table::new("wide")
        .text_sized("a", 5_000)
        .text_sized("b", 20_000);
    db.declare(wide.text_sized("c", 65_535)).unwrap();
    let mut store = db.connect().unwrap();
    let long = "日".repeat(20_000);
    insert(&mut *store, &db, "wide", &json!({"b": long})).unwrap();
    assert_eq!(
        one(&mut *store, &db, "select char_length(b) from wide"),
        20_000
    );
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn mysql_answers_are_json() {
    let place = Place::mariadb();
    let opened = place.open();
    place.execute(
        "create table t (dec_ decimal(10,2), u bigint unsigned, f float, d date, dt datetime(3), \
         ti time, b bit(10), bl blob, vb varbinary(5), tx text, y year, j json, e enum('x','y'))",
    );
    place.execute(
        "insert into t values (138, 18446744073709551615, 0.1, '2020-02-03', \
         '2020-02-03 04:05:06.789', '-30:01:02', b'1000000001', x'00ff', x'6162', 'täxt', 2020, \
         '{\"a\": 1}', 'y')",
    );
    let db = opened.with_reads(["t"]).unwrap();
    let mut store = db.connect().unwrap();
    let rows = ask(&mut *store, &db, "select * from t", Timestamp::EPOCH).unwrap();
    assert_eq!(
        Value::Object(rows[0].clone()),
        json!({
            "dec_": "138.00", "u": u64::MAX, "f": 0.1, "d": "2020-02-03",
            "dt": "2020-02-03 04:05:06.789000", "ti": "-30:01:02", "b": 513, "bl": "AP8=",
            "vb": "YWI=", "tx": "täxt", "y": 2020, "j": "{\"a\": 1}", "e": "y",
        })
    );
    assert_eq!(
        one(&mut *store, &db, "select sum(u) from t"),
        "18446744073709551615"
    );
}

fn keys_links_and_times_of_windows_are_indexed(place: &Place) {
    if !place.stays() {
        return;
    }
    let db = place.open();
    db.declare(bets()).unwrap();
    let size = Duration::from_secs(10);
    let one = "select 1 as one";
    let options = WindowOptions::new("example_bets", one, WindowKind::Sliding(size));
    Window::new(&db, &options.time("create_time")).unwrap();
    db.connect().unwrap();
    db.connect().unwrap();
    let indexed = match place.kind {
        Kind::Mariadb => {
            "select concat(table_name, '.', column_name) as c from information_schema.statistics \
             where table_schema = database() order by c"
        }
        _ => {
            "select t.name || '.' || c.name as c from sqlite_schema t, pragma_index_list(t.name) i, \
             pragma_index_info(i.name) c where t.type = 'table' order by 1"
        }
    };
    assert_eq!(
        place.texts(indexed),
        [
            "example_bets.create_time",
            "example_bets.uuid",
            "example_selections.bet_uuid"
        ]
    );
}
