//! Queries: what is refused, what stands in place of clocks, and that the answer is the same on
//! every database.

use crate::support::databases::{Kind, Place, ask, bet, bets, insert};
use proptest::prelude::*;
use serde_json::{Value, json};
use tributary::store::Store;
use tributary::time::{Clock, SystemClock, Timestamp};
use tributary::{Database, ErrorKind};

crate::over_all_databases! {
    the_seeds_query_runs_verbatim
    every_clock_shows_the_networks_instant
    an_instant_far_from_today_is_shown_too
    intervals_are_added_as_mysql_does
    only_one_select_is_taken
    fault_23_a_statement_that_writes_is_refused
    a_syntax_error_has_its_line_and_column
    an_unknown_table_or_column_is_an_error_that_lists_the_known_ones
    two_columns_of_one_name_are_refused
    a_parameter_without_a_column_is_named
    parameters_without_names_are_refused
    clocks_that_cannot_be_served_are_refused
    what_the_parser_does_not_know_runs_unless_it_names_a_clock
    a_query_without_clocks_is_left_as_it_is
    texts_and_names_that_look_like_clocks_are_left_alone
    a_query_of_many_operators_is_not_parsed
}

/// The query of the document that the project grew from.
const SEED: &str = "
select
	round(sum(stake*exchange_rate*(b.odds -1)), 2) as liability,
	customer_uuid,
	game_id
from
	example_bets b
join example_selections s on
	b.uuid = s.bet_uuid
where
	FROM_UNIXTIME(b.create_time) >= now() - interval 10 second
group by
	customer_uuid,
	game_id
having
	liability > 130
";

fn opened(place: &Place) -> (Database, Box<dyn Store>) {
    let db = place.open();
    db.declare(bets()).unwrap();
    let store = db.connect().unwrap();
    (db, store)
}

fn refused(db: &Database, sql: &str) -> String {
    match db.prepare(sql) {
        Ok(query) => panic!("taken: {}", query.sql()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Data, "{error}");
            error.to_string()
        }
    }
}

fn the_seeds_query_runs_verbatim(place: &Place) {
    let (db, mut store) = opened(place);
    for (uuid, at) in [("a", 1_000), ("b", 1_004), ("c", 1_008)] {
        insert(
            &mut *store,
            &db,
            "example_bets",
            &bet(uuid, at, "anna", 70.0),
        )
        .unwrap();
    }
    let mut liabilities = |now: Timestamp| -> Vec<f64> {
        let rows = ask(&mut *store, &db, SEED, now).unwrap();
        let liability = |row: &serde_json::Map<String, Value>| row["liability"].as_f64().unwrap();
        rows.iter().map(liability).collect()
    };
    assert_eq!(
        liabilities(Timestamp::from_millis(1_010_999)),
        [210.0, 210.0]
    );
    assert_eq!(liabilities(Timestamp::from_secs(1_011)), [140.0, 140.0]);
    assert_eq!(liabilities(Timestamp::from_secs(1_014)), [140.0, 140.0]);
    assert_eq!(liabilities(Timestamp::from_secs(1_015)), [0.0; 0]);
}

/// What an expression is at an instant.
fn shown(store: &mut dyn Store, db: &Database, expression: &str, now: Timestamp) -> Value {
    let rows = ask(store, db, &format!("select {expression} as shown"), now)
        .unwrap_or_else(|error| panic!("{expression}: {error}"));
    rows[0]["shown"].clone()
}

fn every_clock_shows_the_networks_instant(place: &Place) {
    let (db, mut store) = opened(place);
    let now = Timestamp::from_millis(1_700_000_000_750);
    let at = "2023-11-14 22:13:20";
    for (clock, value) in [
        ("now()", json!(at)),
        ("NOW(0)", json!(at)),
        ("current_timestamp", json!(at)),
        ("Current_Timestamp()", json!(at)),
        ("localtime", json!(at)),
        ("localtime()", json!(at)),
        ("localtimestamp", json!(at)),
        ("utc_timestamp()", json!(at)),
        ("utc_timestamp", json!(at)),
        ("unix_timestamp()", json!(1_700_000_000)),
        ("unix_timestamp(now())", json!(1_700_000_000)),
        ("from_unixtime(1700000000)", json!(at)),
        ("from_unixtime(null)", json!(null)),
        ("curdate()", json!("2023-11-14")),
        ("current_date", json!("2023-11-14")),
        ("utc_date()", json!("2023-11-14")),
        ("curtime()", json!("22:13:20")),
        ("current_time", json!("22:13:20")),
        (":now", json!(1_700_000_000.75)),
        (":now_unix", json!(1_700_000_000)),
        (":now_datetime", json!(at)),
        ("now() = now() and now() = current_timestamp", json!(1)),
        (
            "(select unix_timestamp() from (select now() as t) as d)",
            json!(1_700_000_000),
        ),
        (
            "case when now() > '2023-01-01' then 'later' end",
            json!("later"),
        ),
    ] {
        assert_eq!(shown(&mut *store, &db, clock, now), value, "{clock}");
    }
    if place.kind == Kind::Mariadb {
        return;
    }
    for (clock, value) in [
        ("datetime('now')", json!(at)),
        ("datetime('NOW', '+1 day')", json!("2023-11-15 22:13:20")),
        ("datetime()", json!(at)),
        ("date()", json!("2023-11-14")),
        ("time('now')", json!("22:13:20")),
        ("strftime('%s', 'now')", json!("1700000000")),
        ("strftime('%Y')", json!("2023")),
        ("unixepoch()", json!(1_700_000_000)),
        ("unixepoch('now', 'subsec')", json!(1_700_000_000.75)),
        (
            "datetime('now', 'subsec')",
            json!("2023-11-14 22:13:20.750"),
        ),
        ("round(julianday('now'), 4)", json!(2460263.4259)),
        (
            "timediff('now', '2023-11-14 22:13:20')",
            json!("+0000-00-00 00:00:00.750"),
        ),
        ("datetime(1700000000, 'unixepoch')", json!(at)),
        ("datetime('2020-01-01')", json!("2020-01-01 00:00:00")),
    ] {
        assert_eq!(shown(&mut *store, &db, clock, now), value, "{clock}");
    }
}

fn an_instant_far_from_today_is_shown_too(place: &Place) {
    let (db, mut store) = opened(place);
    for (seconds, at) in [
        (0, "1970-01-01 00:00:00"),
        (-1, "1969-12-31 23:59:59"),
        (1 << 31, "2038-01-19 03:14:08"),
        (4_102_444_800, "2100-01-01 00:00:00"),
    ] {
        let now = Timestamp::from_secs(seconds);
        assert_eq!(shown(&mut *store, &db, "now()", now), at);
        assert_eq!(shown(&mut *store, &db, "unix_timestamp()", now), seconds);
    }
    let last = shown(&mut *store, &db, "now()", Timestamp::MAX);
    assert_eq!(last, "9999-12-31 23:59:59");
    let first = shown(&mut *store, &db, "now()", Timestamp::from_micros(i64::MIN));
    assert_eq!(first, "0000-01-01 00:00:00");
}

fn intervals_are_added_as_mysql_does(place: &Place) {
    let (db, mut store) = opened(place);
    let now = Timestamp::from_secs(1_709_164_800); // 2024-02-29 00:00:00
    for (expression, value) in [
        ("now() - interval 10 second", json!("2024-02-28 23:59:50")),
        ("now() + interval 1 minute", json!("2024-02-29 00:01:00")),
        ("interval 2 hour + now()", json!("2024-02-29 02:00:00")),
        (
            "now() - interval 1 day - interval 1 second",
            json!("2024-02-27 23:59:59"),
        ),
        ("now() + interval 1 + 1 week", json!("2024-03-14 00:00:00")),
        ("now() + interval 1 year", json!("2025-02-28 00:00:00")),
        ("now() + interval -1 quarter", json!("2023-11-29 00:00:00")),
        (
            "from_unixtime(1706659200) + interval 1 month",
            json!("2024-02-29 00:00:00"),
        ),
        ("curdate() - interval 1 day", json!("2024-02-28")),
        (
            "date_sub(now(), interval 90 minute)",
            json!("2024-02-28 22:30:00"),
        ),
        (
            "date_add(now(), interval (1 + 1) day)",
            json!("2024-03-02 00:00:00"),
        ),
        ("now() - interval null second", json!(null)),
        ("now() >= now() - interval 1 second", json!(1)),
        (
            "unix_timestamp(now() - interval 1 hour)",
            json!(1_709_161_200),
        ),
    ] {
        assert_eq!(
            shown(&mut *store, &db, expression, now),
            value,
            "{expression}"
        );
    }
}

fn only_one_select_is_taken(place: &Place) {
    let (db, mut store) = opened(place);
    for sql in [
        "select 1 as one",
        " /* first */ SELECT 1 as one -- last\n",
        "select 1 as one;",
        "with x as (select 1 as one) select * from x",
        "select 1 as one union all select 2",
        "select ';' as one",
    ] {
        ask(&mut *store, &db, sql, Timestamp::EPOCH).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    for sql in [
        "",
        " ",
        ";",
        "-- select 1",
        "select 1; select 2",
        "nothing",
        "explain select 1",
    ] {
        let message = refused(&db, sql);
        assert!(
            message.starts_with("window queries must be one SELECT"),
            "{sql}: {message}"
        );
    }
}

fn fault_23_a_statement_that_writes_is_refused(place: &Place) {
    let (db, _store) = opened(place);
    for sql in [
        "insert into example_bets (uuid) values ('x')",
        "update example_bets set stake = 0",
        "delete from example_bets",
        "replace into example_bets (uuid) values ('x')",
        "drop table example_bets",
        "create table x (a int)",
        "attach 'x' as y",
        "pragma user_version",
        "vacuum",
        "begin",
        "set @a = 1",
        "call x()",
        "select 1; drop table example_bets",
        "with x as (select 1) delete from example_bets",
        "with x as (select 1) insert into example_bets (uuid) select 1",
        "select uuid from example_bets for update",
        "select uuid from example_bets for share",
        "select uuid into outfile '/tmp/x' from example_bets",
        "select uuid from example_bets into outfile '/tmp/x'",
        "select uuid from example_bets into dumpfile '/tmp/x'",
        "select uuid into y from example_bets",
        "select uuid from (select uuid from example_bets for update) as d",
    ] {
        let message = refused(&db, sql);
        assert!(
            message.starts_with("window queries must be one SELECT"),
            "{sql}: {message}"
        );
    }
    if place.kind == Kind::Mariadb {
        let nested = "select uuid from (select uuid from example_bets for update) as d";
        assert_eq!(
            refused(&db, nested),
            "window queries must be one SELECT; a window query cannot lock rows"
        );
        place.execute("create sequence s");
        refused(&db, "select next value for s as n");
        refused(&db, "select nextval(s) as n");
        assert_eq!(
            refused(&db, "select 1 /*! into outfile '/tmp/x' */"),
            "bad query: a comment that MySQL executes at line 1, column 10"
        );
        assert_eq!(
            refused(&db, "select @a := 1"),
            "bad query: a variable at line 1, column 8; a window query has none"
        );
    }
}

fn a_syntax_error_has_its_line_and_column(place: &Place) {
    let (db, _store) = opened(place);
    let message = refused(&db, "select uuid\nfrom example_bets\n  wehre and stake > 5");
    assert!(message.starts_with("bad query: "), "{message}");
    assert!(message.contains("syntax"), "{message}");
    assert!(message.contains("line 3"), "{message}");
    assert_eq!(
        refused(&db, "select\n  'open"),
        "bad query: an open text at line 2, column 3"
    );
}

fn an_unknown_table_or_column_is_an_error_that_lists_the_known_ones(place: &Place) {
    let (db, _store) = opened(place);
    let message = refused(&db, "select now() as t,\n  custmer_uuid from example_bets");
    assert!(message.contains("custmer_uuid"), "{message}");
    assert!(message.contains("at line 2, column 3"), "{message}");
    assert!(
        message.ends_with("did you mean \"customer_uuid\"?"),
        "{message}"
    );
    let message = refused(&db, "select uuid from exmple_bets");
    assert!(message.contains("exmple_bets"), "{message}");
    assert!(message.contains("at line 1, column 18"), "{message}");
    assert!(
        message.ends_with("did you mean \"example_bets\"?"),
        "{message}"
    );
    let message = refused(&db, "select uuid from customers");
    let tables = "the declared tables are example_bets, example_selections";
    assert!(message.ends_with(tables), "{message}");
    let message = refused(&db, "select b.colour from example_bets as b");
    assert!(
        message.contains("the declared columns are uuid, create_time, "),
        "{message}"
    );
    // A name in double quotes is never taken for a text.
    if place.kind != Kind::Mariadb {
        let message = refused(&db, "select \"custmer_uuid\" from example_bets");
        assert!(message.contains("no such column"), "{message}");
    }
}

fn two_columns_of_one_name_are_refused(place: &Place) {
    let (db, _store) = opened(place);
    assert_eq!(
        refused(
            &db,
            "select b.odds, s.odds from example_bets b join example_selections s"
        ),
        "bad query: two columns of the answer are called \"odds\"; \
         name one of them otherwise, with \"as\""
    );
    refused(&db, "select *, uuid from example_bets");
}

fn a_parameter_without_a_column_is_named(place: &Place) {
    let (db, _store) = opened(place);
    assert_eq!(
        refused(
            &db,
            "select uuid from example_bets where customer_uuid = :custmer_uuid"
        ),
        "bad query: there is nothing to bind \":custmer_uuid\" to; did you mean \"customer_uuid\"?"
    );
    let nothing = "it is neither :now nor a column of a declared table (child tables have none)";
    assert_eq!(
        refused(
            &db,
            "select game_id from example_selections where game_id = :game_id"
        ),
        format!("bad query: there is nothing to bind \":game_id\" to; {nothing}")
    );
}

fn parameters_without_names_are_refused(place: &Place) {
    let (db, _store) = opened(place);
    assert_eq!(
        refused(&db, "select uuid from example_bets where stake > ?"),
        "bad query: a parameter without a name at line 1, column 45; write :name"
    );
    refused(&db, "select uuid from example_bets where stake > @stake");
    refused(&db, "select uuid from example_bets where stake > ?1");
}

fn clocks_that_cannot_be_served_are_refused(place: &Place) {
    let (db, _store) = opened(place);
    assert_eq!(
        refused(&db, "select sysdate() as t"),
        "bad query: sysdate() is the database's own clock; now() is the network's"
    );
    assert_eq!(
        refused(&db, "select now(3) as t"),
        "bad query: now() shows whole seconds and takes no argument; \
         :now is unix seconds with their fraction"
    );
    refused(
        &db,
        "select uuid from example_bets where create_time > unix_timestamp() - sysdate()",
    );
    if place.kind != Kind::Mariadb {
        let message = refused(&db, "select now() - interval '1:30' minute_second as t");
        assert!(
            message.contains("\"now\" stands for the network's clock"),
            "{message}"
        );
        let message = refused(&db, "select now() - interval 3 century as t");
        assert!(message.contains("is not known"), "{message}");
    }
}

fn what_the_parser_does_not_know_runs_unless_it_names_a_clock(place: &Place) {
    let (db, mut store) = opened(place);
    // Valid to the database, and not to the parser.
    let known = "select uuid from example_bets not indexed";
    if place.kind != Kind::Mariadb {
        ask(&mut *store, &db, known, Timestamp::EPOCH).unwrap();
        let message = refused(&db, "select uuid, now() as t from example_bets not indexed");
        assert!(
            message.contains("but the query is not understood"),
            "{message}"
        );
        refused(
            &db,
            "select uuid, date('now') as t from example_bets not indexed",
        );
    } else {
        let unknown = "select date_format('2020-01-01' - interval '1:30' minute_second, '%Y') as y";
        let rows = ask(&mut *store, &db, unknown, Timestamp::EPOCH).unwrap();
        assert_eq!(rows[0]["y"], "2019");
        let message = refused(&db, "select now() - interval '1:30' minute_second as t");
        assert!(
            message.contains("but the query is not understood"),
            "{message}"
        );
    }
}

fn a_query_without_clocks_is_left_as_it_is(place: &Place) {
    let (db, _store) = opened(place);
    let sql = "Select  uuid /* mine */ from `example_bets`  where customer_uuid=:customer_uuid ;";
    let query = db.prepare(sql).unwrap();
    assert_eq!(query.original(), sql);
    assert_eq!(query.sql(), sql);
    assert_eq!(query.columns(), ["uuid"]);
    let query = db.prepare(SEED).unwrap();
    assert_eq!(query.original(), SEED);
    let bound = match place.kind {
        Kind::Mariadb => "CAST(:now_datetime AS DATETIME) - INTERVAL 10 SECOND",
        _ => "date_shift(:now_datetime, -(10), 'second')",
    };
    assert!(query.sql().contains(bound), "{}", query.sql());
}

fn texts_and_names_that_look_like_clocks_are_left_alone(place: &Place) {
    let (db, mut store) = opened(place);
    let sql = "select 'now()' as `now`, 'it''s -- sysdate()' as `current_date`, d.`now` as x, \
               now() as t from (select 'a\u{e9}' as `now`) as d /* sysdate() */";
    let rows = ask(&mut *store, &db, sql, Timestamp::EPOCH).unwrap();
    assert_eq!(
        Value::Object(rows[0].clone()),
        json!({
            "now": "now()", "current_date": "it's -- sysdate()", "x": "a\u{e9}",
            "t": "1970-01-01 00:00:00",
        })
    );
    if place.kind == Kind::Mariadb {
        let sql = r#"select 'a\'b\\' as a, "c\"now()" as b, now() as t"#;
        let rows = ask(&mut *store, &db, sql, Timestamp::EPOCH).unwrap();
        assert_eq!(rows[0]["a"], "a'b\\");
        assert_eq!(rows[0]["b"], "c\"now()");
    }
}

fn a_query_of_many_operators_is_not_parsed(place: &Place) {
    let (db, mut store) = opened(place);
    let many = |n: usize, last: &str| format!("select {}{last} as n", "1 + ".repeat(n));
    let rows = ask(
        &mut *store,
        &db,
        &many(300, "unix_timestamp()"),
        Timestamp::EPOCH,
    )
    .unwrap();
    assert_eq!(rows[0]["n"], 300);
    let rows = ask(&mut *store, &db, &many(450, "0"), Timestamp::EPOCH).unwrap();
    assert_eq!(rows[0]["n"], 450);
    let message = refused(&db, &many(20_000, "unix_timestamp()"));
    assert!(message.contains("more than 400 operators"), "{message}");
    // Whether the database takes it or not: nobody runs out of stack.
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        let _ = db.prepare(&format!(
            "select {}{inner}{} as n",
            open.repeat(depth),
            close.repeat(depth)
        ));
    };
    nested("(", "1", ")", 5_000);
    for (open, close) in [
        ("(select ", ")"),
        ("case when 1 then ", " end"),
        ("abs(", ")"),
    ] {
        nested(open, "now()", close, 30);
        nested(open, "now()", close, 300);
    }
}

proptest! {
    /// Whatever is written: no panic, no clock of the database, and what is taken runs.
    #[test]
    fn any_text_is_taken_or_refused(sql in "(select |with |now\\(\\)|from|as|,|\\(|\\)|'|\"|;|--|/\\*|\\*/|:now|[a-z0-9 +*=.\\-]){0,12}") {
        let db = Database::open("sqlite::memory:").unwrap();
        if let Ok(query) = db.prepare(&sql) {
            let mut store = db.connect().unwrap();
            let rows = ask(&mut *store, &db, query.original(), Timestamp::EPOCH);
            prop_assert!(rows.is_ok(), "{:?}", rows);
            // The network's instant is 1970: the day and the second of the database's clock would
            // show.
            let (answer, wall) = (format!("{rows:?}"), SystemClock.now());
            let (day, second) = (wall.to_string(), wall.as_secs().to_string());
            prop_assert!(!answer.contains(&day[..10]), "{answer}");
            prop_assert!(!answer.contains(&second[..7]), "{answer}");
        }
    }

    /// A clock in any place shows the instant.
    #[test]
    fn clocks_show_any_instant(seconds in -60_000_000_000i64..250_000_000_000, back in 0u32..100_000) {
        let db = Database::open("sqlite::memory:").unwrap();
        let mut store = db.connect().unwrap();
        let now = Timestamp::from_secs(seconds);
        let sql = format!("select unix_timestamp(now() - interval {back} second) as then");
        let sql = sql.replace("as then", "as t");
        let rows = ask(&mut *store, &db, &sql, now).unwrap();
        prop_assert_eq!(rows[0]["t"].as_i64(), Some(seconds - i64::from(back)));
        let sql = format!("select from_unixtime({seconds}) = now() as same");
        let rows = ask(&mut *store, &db, &sql, now).unwrap();
        prop_assert_eq!(rows[0]["same"].as_i64(), Some(1));
    }
}
