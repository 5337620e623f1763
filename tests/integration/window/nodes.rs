//! The window nodes, under virtual time and over every database.

use crate::support::databases::{Kind, Place, bet, bets};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::store::Params;
use tributary::time::Timestamp;
use tributary::window::{CreateWindow, QueryWindow, Window, WindowKind, WindowOptions};
use tributary::{Database, Event, Network, Pipeline, Simulation, Table, sink, source};

crate::over_all_databases! {
    a_create_window_inserts_and_passes_on
    fault_22_bad_json_is_rejected_and_kept_by_the_port_errors
    fault_22_a_row_and_its_children_are_one
    a_query_window_answers_each_event_with_rows
    a_query_window_without_parameters_runs_its_query_for_any_event
    a_sliding_window_answers_event_by_event
    fault_19_the_cutoff_is_computed_at_eviction
    fault_19_a_window_slides_while_nothing_comes
    fault_19_a_size_below_a_second_is_refused
    fault_20_no_text_of_a_script_becomes_part_of_a_statement
    fault_17_an_error_of_the_database_is_no_duplicate
    a_duplicate_is_not_inserted_but_answered
    a_query_finds_a_row_until_the_window_has_passed
    the_largest_of_several_windows_decides_what_is_deleted
    what_expired_during_a_pause_is_gone_after_it
    an_event_that_is_late_is_answered_and_leaves
    a_real_time_column_serves_too
    an_event_without_a_time_is_refused
    bad_arguments_are_errors_when_the_window_is_created
    a_rejected_event_leaves_the_others_alone
    windows_of_a_running_network_share_a_database
}

/// The seed's query, with the size of its window.
fn liability(size: u32) -> String {
    format!(
        "select round(sum(stake*exchange_rate*(b.odds -1)), 2) as liability, customer_uuid, game_id
         from example_bets b join example_selections s on b.uuid = s.bet_uuid
         where FROM_UNIXTIME(b.create_time) >= now() - interval {size} second
         group by customer_uuid, game_id having liability > 130 order by game_id"
    )
}

const START: i64 = 1_700_000_000;
const COUNT: &str = "select count(*) as n, min(create_time) as oldest from example_bets";

/// A simulated network of one window, and what leaves it.
struct Bench {
    simulation: Simulation,
    out: Arc<Mutex<Vec<Event>>>,
    errors: Arc<Mutex<Vec<Event>>>,
}

impl Bench {
    fn new(window: impl Pipeline + 'static) -> Self {
        Bench::starting(window, Timestamp::from_secs(START))
    }

    fn starting(window: impl Pipeline + 'static, start: Timestamp) -> Self {
        let network = Network::new();
        let out = Arc::default();
        let errors = Arc::default();
        network.add_pipeline("window", window).unwrap();
        network.add_sink("out", sink::collect(&out)).unwrap();
        network.add_sink("errors", sink::collect(&errors)).unwrap();
        network.link("window", "out").unwrap();
        network.link("window.errors", "errors").unwrap();
        let simulation = network.simulate(start).unwrap();
        Bench {
            simulation,
            out,
            errors,
        }
    }

    fn now(&self) -> i64 {
        self.simulation.now().as_secs()
    }

    fn inject(&mut self, event: Value) {
        self.simulation.inject("window", event).unwrap();
    }

    fn advance(&mut self, seconds: f64) {
        self.simulation.advance(Duration::from_secs_f64(seconds));
    }

    /// What has left since this was asked last.
    fn out(&self) -> Vec<Value> {
        let events = std::mem::take(&mut *self.out.lock().unwrap());
        events
            .iter()
            .map(|event| event.payload().json().unwrap().clone())
            .collect()
    }

    /// Why events were rejected since this was asked last.
    fn errors(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.errors.lock().unwrap());
        events
            .iter()
            .map(|event| {
                event
                    .meta()
                    .get("error")
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }
}

fn declared(place: &Place) -> Database {
    let db = place.open();
    db.declare(bets()).unwrap();
    db
}

/// A window as `sliding_window_time` makes it.
fn sliding_by(
    db: &Database,
    sql: &str,
    table: &str,
    size: Duration,
    column: &str,
) -> tributary::Result<Window> {
    let options = WindowOptions::new(table, sql, WindowKind::Sliding(size));
    // What is in the table is looked at.
    Window::new(db, &options.time(column).store(true))
}

fn sliding(db: &Database, sql: &str, seconds: u64) -> Window {
    let size = Duration::from_secs(seconds);
    sliding_by(db, sql, "example_bets", size, "create_time").unwrap()
}

/// What is in a table now, past the window.
fn table(db: &Database, sql: &str) -> Value {
    let mut store = db.connect().unwrap();
    let query = db.prepare(sql).unwrap();
    let params = Params {
        now: Timestamp::EPOCH,
        event: None,
    };
    Value::Object(store.query(&query, &params).unwrap().remove(0))
}

fn a_create_window_inserts_and_passes_on(place: &Place) {
    let db = declared(place);
    let mut bench = Bench::new(CreateWindow::new(&db, None).unwrap());
    let event = bet("a", START, "anna", 5.0);
    bench.inject(event.clone());
    bench.inject(event.clone());
    assert_eq!(bench.out(), [event.clone(), event]);
    assert_eq!(table(&db, COUNT), json!({"n": 1, "oldest": START}));
    let stats = bench.simulation.finish().unwrap();
    let node = stats
        .nodes
        .iter()
        .find(|node| node.name.as_str() == "window")
        .unwrap();
    assert_eq!((node.received, node.passed), (2, 2));
}

fn fault_22_bad_json_is_rejected_and_kept_by_the_port_errors(place: &Place) {
    let db = declared(place);
    let mut bench = Bench::new(CreateWindow::new(&db, Some("example_bets")).unwrap());
    for (payload, message) in [
        ("{\"uuid\": ", "malformed JSON at byte "),
        ("", "malformed JSON at byte 0: it is empty"),
        ("[1]", "a JSON object was expected, this is an array"),
        ("null", "a JSON object was expected, this is null"),
    ] {
        bench.simulation.inject("window", payload).unwrap();
        let kept = bench.errors.lock().unwrap()[0].payload().clone();
        assert_eq!(kept.bytes(), payload.as_bytes());
        let errors = bench.errors();
        assert!(errors[0].starts_with(message), "{errors:?}");
    }
    assert_eq!(bench.out(), [] as [Value; 0]);
    assert_eq!(table(&db, COUNT)["n"], 0);
}

fn fault_22_a_row_and_its_children_are_one(place: &Place) {
    let db = declared(place);
    let mut bench = Bench::new(CreateWindow::new(&db, None).unwrap());
    let mut event = bet("a", START, "anna", 5.0);
    event["selections"][1]["odds"] = json!("short");
    bench.inject(event);
    assert_eq!(
        bench.errors(),
        [r#"example_selections.odds must be real, this is "short""#]
    );
    assert_eq!(table(&db, COUNT)["n"], 0);
    assert_eq!(
        table(&db, "select count(*) as n from example_selections")["n"],
        0
    );
}

fn a_query_window_answers_each_event_with_rows(place: &Place) {
    let db = declared(place);
    let mut create = Bench::new(CreateWindow::new(&db, None).unwrap());
    for (uuid, stake) in [("a", 120.0), ("b", 90.0), ("c", 150.0)] {
        create.inject(bet(uuid, START, "anna", stake));
    }
    let sql = "select uuid, stake from example_bets \
               where customer_uuid = :customer_uuid and stake >= 100 order by uuid";
    let mut bench = Bench::new(QueryWindow::new(&db, sql).unwrap());
    bench.inject(json!({"customer_uuid": "bert"}));
    assert_eq!(bench.out(), [] as [Value; 0]);
    bench.inject(json!({"customer_uuid": "anna"}));
    assert_eq!(
        bench.out(),
        [
            json!({"uuid": "a", "stake": 120.0}),
            json!({"uuid": "c", "stake": 150.0})
        ]
    );
    bench.inject(json!({"customer_uuid": 7}));
    assert_eq!(
        bench.errors(),
        [r#":customer_uuid must be text, this is 7"#]
    );
}

fn a_query_window_without_parameters_runs_its_query_for_any_event(place: &Place) {
    let db = declared(place);
    let mut bench = Bench::new(QueryWindow::new(&db, "select unix_timestamp() as at").unwrap());
    bench.simulation.inject("window", "no JSON at all").unwrap();
    bench.advance(2.5);
    bench.simulation.inject("window", "tick").unwrap();
    assert_eq!(
        bench.out(),
        [json!({"at": START}), json!({"at": START + 2})]
    );
}

fn a_sliding_window_answers_event_by_event(place: &Place) {
    let db = declared(place);
    let mut bench = Bench::new(sliding(&db, &liability(10), 10));
    bench.inject(bet("a", START, "anna", 130.0));
    assert_eq!(bench.out(), [] as [Value; 0]);
    bench.inject(bet("b", START, "anna", 8.0));
    let row = |liability: f64, game: i64| json!({"liability": liability, "customer_uuid": "anna", "game_id": game});
    assert_eq!(bench.out(), [row(138.0, 123456), row(138.0, 654321)]);
    bench.inject(bet("c", START, "anna", 23.0));
    assert_eq!(bench.out(), [row(161.0, 123456), row(161.0, 654321)]);
    bench.advance(11.0);
    let now = bench.now();
    bench.inject(bet("d", now, "anna", 131.0));
    assert_eq!(bench.out(), [row(131.0, 123456), row(131.0, 654321)]);
}

fn fault_19_the_cutoff_is_computed_at_eviction(place: &Place) {
    let db = declared(place);
    let mut bench = Bench::new(sliding(&db, &liability(10), 10));
    for second in 0..60 {
        let now = bench.now();
        bench.inject(bet(&format!("bet {second}"), now, "anna", 1.0));
        bench.advance(1.0);
    }
    // The clock shows START + 60: what was made at START + 50 is in the window still.
    let oldest = START + 50;
    assert_eq!(table(&db, COUNT), json!({"n": 10, "oldest": oldest}));
    assert_eq!(
        table(&db, "select count(*) as n from example_selections")["n"],
        20
    );
    assert_eq!(bench.errors(), [] as [&str; 0]);
}

fn fault_19_a_window_slides_while_nothing_comes(place: &Place) {
    let db = declared(place);
    let mut bench = Bench::new(sliding(&db, &liability(10), 10));
    for (uuid, at) in [("a", START), ("b", START + 3)] {
        bench.inject(bet(uuid, at, "anna", 1.0));
    }
    bench.advance(10.9);
    assert_eq!(table(&db, COUNT)["n"], 2);
    bench.advance(0.1);
    assert_eq!(table(&db, COUNT), json!({"n": 1, "oldest": START + 3}));
    bench.advance(3.0);
    assert_eq!(table(&db, COUNT)["n"], 0);
    // Where processes share a database, a window looks for what a killed one has left.
    let looks = place.kind == Kind::Mariadb;
    assert_eq!(bench.simulation.next_wake().is_some(), looks);
}

fn fault_19_a_size_below_a_second_is_refused(place: &Place) {
    let db = declared(place);
    for (size, shown) in [(500, "500ms"), (1_500, "1s500ms")] {
        let size = Duration::from_millis(size);
        let window = sliding_by(&db, &liability(10), "example_bets", size, "create_time");
        assert_eq!(
            window.err().unwrap().to_string(),
            format!(
                "bad window size \"{shown}\": column resolution is 1 s; \
                 use a whole number of seconds"
            )
        );
    }
}

fn fault_20_no_text_of_a_script_becomes_part_of_a_statement(place: &Place) {
    let db = declared(place);
    let size = Duration::from_secs(10);
    let evil = "create_time < 0 or 1=1; drop table example_bets; --";
    let message = |table: &str, column: &str| {
        let window = sliding_by(&db, &liability(10), table, size, column);
        window.err().unwrap().to_string()
    };
    assert!(message("example_bets", evil).starts_with("table \"example_bets\" has no column \""));
    assert!(message("example_bets; drop table x", "create_time").starts_with("no table \""));
    // And what an event says is a value.
    let mut bench = Bench::new(sliding(&db, &liability(10), 10));
    bench.inject(bet(
        "'); drop table example_bets; --",
        START,
        "x' or '1'='1",
        1.0,
    ));
    bench.advance(5.0);
    assert_eq!(table(&db, COUNT)["n"], 1);
}

fn fault_17_an_error_of_the_database_is_no_duplicate(place: &Place) {
    if !place.stays() {
        return;
    }
    let other = match place.kind {
        Kind::Mariadb => {
            "create table t (k varchar(20) primary key, n bigint check (n > 0), u bigint unique)"
        }
        _ => "create table t (k text primary key, n integer check (n > 0), u integer unique)",
    };
    place.execute(other);
    let db = place.open();
    db.declare(Table::new("t").text("k").integer("n").integer("u").key("k"))
        .unwrap();
    let mut bench = Bench::new(CreateWindow::new(&db, None).unwrap());
    bench.inject(json!({"k": "a", "n": 1, "u": 1}));
    bench.inject(json!({"k": "a", "n": 1, "u": 1}));
    assert_eq!(bench.out().len(), 2);
    // Neither what the database refuses nor another index that is unique is a repetition.
    bench.inject(json!({"k": "b", "n": -1, "u": 2}));
    bench.inject(json!({"k": "c", "n": 1, "u": 1}));
    assert_eq!(bench.out(), [] as [Value; 0]);
    assert_eq!(bench.errors().len(), 2);
}

fn a_duplicate_is_not_inserted_but_answered(place: &Place) {
    let db = declared(place);
    let mut bench = Bench::new(sliding(&db, &liability(10), 10));
    bench.inject(bet("a", START, "anna", 140.0));
    let first = bench.out();
    assert_eq!(first.len(), 2);
    bench.inject(bet("a", START, "anna", 140.0));
    assert_eq!(bench.out(), first);
    assert_eq!(
        table(&db, "select count(*) as n from example_selections")["n"],
        2
    );
}

fn a_query_finds_a_row_until_the_window_has_passed(place: &Place) {
    let db = declared(place);
    let count = "select count(*) as n from example_bets \
                 where from_unixtime(create_time) >= now() - interval 10 second";
    let mut bench = Bench::new(sliding(&db, count, 10));
    bench.advance(0.5);
    bench.inject(bet("a", START, "anna", 1.0));
    bench.advance(10.4);
    bench.inject(bet("b", START + 10, "anna", 1.0));
    bench.advance(0.1);
    bench.inject(bet("c", START + 11, "anna", 1.0));
    assert_eq!(
        bench.out(),
        [json!({"n": 1}), json!({"n": 2}), json!({"n": 2})]
    );
}

fn the_largest_of_several_windows_decides_what_is_deleted(place: &Place) {
    let db = declared(place);
    let small = sliding(&db, &liability(10), 10);
    let _large = sliding(&db, &liability(60), 60);
    let mut bench = Bench::new(small);
    bench.inject(bet("a", START, "anna", 1.0));
    bench.advance(60.0);
    assert_eq!(table(&db, COUNT)["n"], 1);
    bench.advance(1.0);
    assert_eq!(table(&db, COUNT)["n"], 0);
}

fn what_expired_during_a_pause_is_gone_after_it(place: &Place) {
    if !place.stays() {
        return;
    }
    let db = declared(place);
    let mut bench = Bench::new(sliding(&db, &liability(10), 10));
    bench.inject(bet("a", START, "anna", 1.0));
    bench.inject(bet("b", START + 100, "anna", 1.0));
    bench.simulation.finish().unwrap();
    drop(db);
    let db = declared(place);
    let later = Timestamp::from_secs(START + 100);
    let mut bench = Bench::starting(sliding(&db, &liability(10), 10), later);
    bench.advance(0.0);
    assert_eq!(table(&db, COUNT), json!({"n": 1, "oldest": START + 100}));
    bench.advance(11.0);
    assert_eq!(table(&db, COUNT)["n"], 0);
}

fn an_event_that_is_late_is_answered_and_leaves(place: &Place) {
    let db = declared(place);
    let mut bench = Bench::new(sliding(&db, COUNT, 10));
    bench.inject(bet("late", START - 1_000, "anna", 1.0));
    assert_eq!(bench.out(), [json!({"n": 0, "oldest": null})]);
    bench.advance(0.0);
    assert_eq!(table(&db, COUNT)["n"], 0);
    // A clock that is ahead: its rows stay until the network's has caught up.
    bench.inject(bet("early", START + 100, "anna", 1.0));
    bench.advance(110.0);
    assert_eq!(table(&db, COUNT)["n"], 1);
    bench.advance(1.0);
    assert_eq!(table(&db, COUNT)["n"], 0);
}

fn a_real_time_column_serves_too(place: &Place) {
    let db = place.open();
    db.declare(Table::new("t").text("k").real("at").key("k"))
        .unwrap();
    let count = "select count(*) as n from t where at >= :now - 10";
    let window = sliding_by(&db, count, "t", Duration::from_secs(10), "at").unwrap();
    let mut bench = Bench::new(window);
    bench.inject(json!({"k": "a", "at": START as f64 + 0.5}));
    bench.advance(10.5);
    bench.inject(json!({"k": "b", "at": START as f64 + 10.5}));
    bench.advance(0.25);
    bench.inject(json!({"k": "c", "at": START + 10}));
    assert_eq!(
        bench.out(),
        [json!({"n": 1}), json!({"n": 2}), json!({"n": 2})]
    );
    bench.advance(30.0);
    assert_eq!(table(&db, "select count(*) as n from t")["n"], 0);
}

fn an_event_without_a_time_is_refused(place: &Place) {
    let db = declared(place);
    let mut bench = Bench::new(sliding(&db, COUNT, 10));
    bench.inject(json!({"uuid": "a"}));
    assert_eq!(
        bench.errors(),
        ["example_bets.create_time is missing, but it is the time column of the window"]
    );
    assert_eq!(table(&db, COUNT)["n"], 0);
}

fn bad_arguments_are_errors_when_the_window_is_created(place: &Place) {
    let db = place.open();
    let create = |table: Option<&str>| CreateWindow::new(&db, table).err().unwrap().to_string();
    assert_eq!(create(None), "no table is declared; declare one first");
    db.declare(bets()).unwrap();
    db.declare(Table::new("other").text("a").integer("at").integer("since"))
        .unwrap();
    assert_eq!(
        create(None),
        "several tables are declared; name one of example_bets, other"
    );
    assert_eq!(
        create(Some("example_bet")),
        "no table \"example_bet\" is declared; did you mean \"example_bets\"?"
    );
    let window = |table: &str, column: &str| {
        let size = Duration::from_secs(10);
        sliding_by(&db, "select 1 as one", table, size, column)
            .err()
            .map(|error| error.to_string())
    };
    assert_eq!(
        window("example_bets", "created_time").unwrap(),
        "table \"example_bets\" has no column \"created_time\"; did you mean \"create_time\"?"
    );
    assert_eq!(
        window("example_bets", "uuid").unwrap(),
        "example_bets.uuid is text, so it cannot be the time column of a window; \
         a time column holds unix seconds, as integer or real"
    );
    let size = Duration::from_secs(10);
    let _other = sliding_by(&db, "select 1 as one", "other", size, "at").unwrap();
    assert_eq!(
        window("other", "since").unwrap(),
        "rows of \"other\" are evicted by \"at\" already, so not by \"since\""
    );
}

fn a_rejected_event_leaves_the_others_alone(place: &Place) {
    let db = declared(place);
    let mut bench = Bench::new(sliding(&db, COUNT, 10));
    bench.inject(bet("a", START, "anna", 1.0));
    bench.inject(json!({"uuid": 5, "create_time": START}));
    bench.inject(bet("b", START, "anna", 1.0));
    assert_eq!(bench.out().len(), 2);
    assert_eq!(
        bench.errors(),
        [r#"example_bets.uuid must be text, this is 5"#]
    );
    assert_eq!(table(&db, COUNT)["n"], 2);
}

fn windows_of_a_running_network_share_a_database(place: &Place) {
    let db = declared(place);
    let network = Network::new();
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let events = 300;
    let bets: Vec<Value> = (0..events)
        .map(|n| bet(&format!("bet {n}"), now, "anna", 1.0))
        .collect();
    let count = "select count(*) as n from example_bets where customer_uuid = :customer_uuid";
    let [created, slid, asked]: [Arc<Mutex<Vec<Event>>>; 3] = Default::default();
    network.add_source("bets", source::from_iter(bets)).unwrap();
    network
        .add_pipeline("create", CreateWindow::new(&db, None).unwrap())
        .unwrap();
    network
        .add_pipeline("slide", sliding(&db, count, 3_600))
        .unwrap();
    network
        .add_pipeline("ask", QueryWindow::new(&db, count).unwrap())
        .unwrap();
    network
        .add_sink("created", sink::collect(&created))
        .unwrap();
    network.add_sink("slid", sink::collect(&slid)).unwrap();
    network.add_sink("asked", sink::collect(&asked)).unwrap();
    network.fanout("bets", ["create", "slide"]).unwrap();
    network.fanout("create", ["created", "ask"]).unwrap();
    network.link("slide", "slid").unwrap();
    network.link("ask", "asked").unwrap();
    network.start().unwrap();
    network.wait().unwrap();
    for of in [&created, &slid, &asked] {
        assert_eq!(of.lock().unwrap().len(), events);
    }
    // Whoever asks after an event was inserted finds it, and perhaps later ones.
    for of in [&slid, &asked] {
        for (at, event) in of.lock().unwrap().iter().enumerate() {
            let n = event.payload().json().unwrap()["n"].as_u64().unwrap() as usize;
            assert!(at < n && n <= events, "{n} at {at}");
        }
    }
    assert_eq!(table(&db, COUNT)["n"], events);
    assert_eq!(
        table(&db, "select count(*) as n from example_selections")["n"],
        2 * events
    );
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_window_works_on_after_it_lost_its_connection() {
    let place = Place::mariadb();
    let db = declared(&place);
    let mut bench = Bench::new(sliding(&db, COUNT, 10));
    bench.inject(bet("a", START, "anna", 1.0));
    crate::support::databases::kill_connections(&place);
    bench.inject(bet("b", START, "anna", 1.0));
    bench.advance(5.0);
    let found: Vec<Value> = bench.out().iter().map(|row| row["n"].clone()).collect();
    assert_eq!(found, [1, 2]);
    assert_eq!(bench.errors(), [] as [&str; 0]);
    crate::support::databases::kill_connections(&place);
    bench.advance(30.0);
    assert_eq!(table(&db, COUNT)["n"], 0);
}
