//! How many bytes an answer may have: what is larger is that event's error, and the process goes on with
//! as little memory as it has.

use crate::support::binary::{Done, Site};
use crate::support::databases::{Kind, Place, ask};
use std::error::Error;
use std::time::{Duration, Instant};
use tributary::Database;
use tributary::store::QueryLimits;
use tributary::time::Timestamp;

type Tested = Result<(), Box<dyn Error>>;

/// Far less than the gigabyte that each of these asks for, and enough for a process with its threads.
const MEMORY: &str = "ulimit -v 900000";

/// Runs the binary with little memory.
fn run(site: &Site, args: &[&str], input: &str) -> Result<Done, Box<dyn Error>> {
    Done::fed(site.command_after(MEMORY, args), input)
}

const TABLE: &str = "\
local tb = require('tributary')
tb.create_table('t', { key = 'k', columns = { k = 'integer', n = 'integer', at = 'real' } })
tb.create_stdin('in')
tb.create_file_sink('errors', 'errors.jsonl')
tb.create_stdout('out')
";

/// Expressions whose value has `n` bytes or more.
const LARGE: [&str; 5] = [
    "length(zeroblob(N) || '')",
    "zeroblob(N)",
    "hex(zeroblob(N))",
    "printf('%.*d', N, 1)",
    "replace(printf('%.*d', min(N, 40000000), 1), '0', '0123456789')",
];

/// What is large and no one value: rows, and columns.
const MANY: [&str; 4] = [
    "with recursive r(i) as (select 1 union all select i + 1 from r where i < :n / 1000000) \
     select i, printf('%.1000000d', i) as text from r",
    "with recursive r(i) as (select 1 union all select i + 1 from r where i < :n / 1000000) \
     select group_concat(printf('%.1000000d', i)) as text from r",
    "with recursive r(i) as (select 1 union all select i + 1 from r where i < :n / 1000000) \
     select json_group_array(printf('%.1000000d', i)) as text from r",
    "select printf('%.*d', :n / 40, 1) as a, printf('%.*d', :n / 40, 1) as b, \
     printf('%.*d', :n / 40, 1) as c, printf('%.*d', :n / 40, 1) as d",
];

/// Feeds an event that has an answer, one whose answer is too large, and one more.
fn survives(name: &str, made: &str, first: &str) -> Tested {
    let net =
        format!("{TABLE}{made}\ntb.link('in', '{first}') tb.link('{first}.errors', 'errors')");
    let site = Site::with(&[("net.lua", &net)])?;
    let begun = Instant::now();
    let done = run(
        &site,
        &["run", "net.lua"],
        "{\"k\":1,\"n\":1,\"at\":1}\n{\"k\":2,\"n\":1000000000,\"at\":2}\n{\"k\":3,\"n\":1,\"at\":3}\n",
    )?;
    assert_eq!(done.code, Some(0), "{name}: {}", done.stderr);
    assert!(begun.elapsed() < Duration::from_secs(30), "{name}");
    let errors = site.read("errors.jsonl")?;
    assert_eq!(
        errors.lines().count(),
        1,
        "{name}: {errors} {}",
        done.stderr
    );
    assert!(done.stdout.lines().count() >= 2, "{name}: {}", done.stdout);
    Ok(())
}

#[test]
fn an_event_whose_answer_is_too_large_is_rejected_and_the_next_is_answered() -> Tested {
    let of_values = LARGE.map(|large| format!("select {} as x", large.replace('N', ":n")));
    for query in of_values.iter().map(String::as_str).chain(MANY) {
        let made = format!("tb.query_window('w', [[{query}]]) tb.link('w', 'out')");
        survives(query, &made, "w")?;
    }
    Ok(())
}

#[test]
fn a_window_rejects_what_is_too_large_under_every_plan() -> Tested {
    for plan in ["requery", "keyed", "incremental"] {
        // The others are not known to answer the same each time, so that only `requery` serves them.
        let (emit, known) = match plan {
            "requery" => ("changes", ""),
            _ => ("touched", "printf"),
        };
        for large in LARGE.into_iter().filter(|large| large.contains(known)) {
            let large = large.replace('N', "sum(n)");
            for extent in ["size = '1h', time = 'at', clock = 'event'", "count = 100"] {
                if plan == "keyed" && extent.starts_with("count") {
                    continue;
                }
                let made = format!(
                    "tb.window('w', 'out_w', {{ table = 't', plan = '{plan}', emit = '{emit}', {extent}, \
                     query = [[select k, {large} as x from t group by k]] }}) tb.link('out_w', 'out')"
                );
                survives(&format!("{plan} {extent} {large}"), &made, "w")?;
            }
        }
    }
    Ok(())
}

#[test]
fn all_rows_of_a_window_together_are_limited() -> Tested {
    // Each of them is small enough.
    for plan in ["requery", "incremental"] {
        let made = format!(
            "tb.window('w', 'out_w', {{ table = 't', plan = '{plan}', count = 100, emit = 'all', \
             query = [[select k, printf('%.*d', sum(n) / 10, 1) as x from t group by k]] }}) tb.link('out_w', 'out')"
        );
        let net = format!("{TABLE}{made}\ntb.link('in', 'w') tb.link('w.errors', 'errors')");
        let site = Site::with(&[("net.lua", &net)])?;
        let rows = "{\"k\":1,\"n\":6000000,\"at\":1}\n{\"k\":2,\"n\":6000000,\"at\":2}\n{\"k\":1,\"n\":1,\"at\":3}\n";
        let done = run(&site, &["run", "net.lua", "--query-bytes", "1MiB"], rows)?;
        assert_eq!(done.code, Some(0), "{plan}: {}", done.stderr);
        let errors = site.read("errors.jsonl")?;
        assert_eq!(errors.lines().count(), 1, "{plan}: {}", done.stderr);
        assert_eq!(done.stdout.lines().count(), 2, "{plan}");
    }
    Ok(())
}

#[test]
fn the_answer_of_a_window_that_has_ended_is_limited() -> Tested {
    for plan in ["requery", "incremental"] {
        let made = format!(
            "tb.window('w', 'out_w', {{ table = 't', plan = '{plan}', size = '10s', slide = '10s', time = 'at', clock = 'event', \
             query = [[select count(*) as c, printf('%.*d', max(n), 1) as x from t]] }}) tb.link('out_w', 'out')"
        );
        let net = format!("{TABLE}{made}\ntb.link('in', 'w') tb.link('w.errors', 'errors')");
        let site = Site::with(&[("net.lua", &net)])?;
        let rows = "{\"k\":1,\"n\":1,\"at\":1}\n{\"k\":2,\"n\":1000000000,\"at\":11}\n{\"k\":3,\"n\":1,\"at\":21}\n{\"k\":4,\"n\":1,\"at\":31}\n";
        let done = run(&site, &["run", "net.lua"], rows)?;
        assert_eq!(done.code, Some(0), "{plan}: {}", done.stderr);
        let errors = site.read("errors.jsonl")?;
        assert_eq!(errors.lines().count(), 1, "{plan}: {}", done.stderr);
        assert!(done.stdout.lines().count() >= 2, "{plan}: {}", done.stdout);
    }
    Ok(())
}

#[test]
fn a_sql_source_waits_at_a_row_that_is_too_large_and_others_go_on() -> Tested {
    for query in [
        "select n, zeroblob(n) as z from t where n > :cursor order by n limit 1",
        "select n, z from large where n > :cursor order by n",
    ] {
        let net = format!(
            "local tb = require('tributary')
             tb.create_source('rows', 'sql:sqlite:rows.db', {{ query = [[{query}]], cursor = 'n' }})
             tb.create_ticker('ticks', '100ms')
             tb.create_file_sink('found', 'found.jsonl')
             tb.create_file_sink('seen', 'seen.jsonl')
             tb.link('rows', 'found') tb.link('ticks', 'seen')"
        );
        let site = Site::with(&[("net.lua", &net)])?;
        rusqlite::Connection::open(site.path("rows.db"))?.execute_batch(
            "create table t (n integer primary key); insert into t values (1), (1000000000);
             create view large as select n, zeroblob(n) as z from t",
        )?;
        let done = run(&site, &["run", "net.lua", "--for", "3s"], "")?;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert!(
            done.stderr
                .contains("node rows: the answer has more than 64 MiB"),
            "{}",
            done.stderr
        );
        assert!(site.read("seen.jsonl")?.lines().count() > 10);
    }
    Ok(())
}

#[test]
fn the_limits_of_queries_are_those_of_sql_sources_too() -> Tested {
    let slow = "select 1 as n, (with recursive r(i) as (select 1 union all select i + 1 from r) \
                select sum(i) from r) as s where 1 > :cursor order by n";
    for (limit, value, query, error) in [
        (
            "--query-rows",
            "2",
            "select n from t where n > :cursor order by n",
            "the answer has more than 2 rows",
        ),
        (
            "--query-bytes",
            "1KiB",
            "select n, z from t where n > :cursor order by n limit 1",
            "the answer has more than 1 KiB",
        ),
        (
            "--query-time",
            "100ms",
            slow,
            "the query was given up after 100ms",
        ),
    ] {
        let net = format!(
            "local tb = require('tributary')
             tb.create_source('rows', 'sql:sqlite:rows.db', {{ query = [[{query}]], cursor = 'n' }})
             tb.create_stdout('out') tb.link('rows', 'out')"
        );
        let site = Site::with(&[("net.lua", &net)])?;
        rusqlite::Connection::open(site.path("rows.db"))?.execute_batch(
            "create table t (n integer primary key, z text);
             insert into t values (1, printf('%.5000d', 1)), (2, 'x'), (3, 'x')",
        )?;
        let args = ["run", "net.lua", "--for", "1500ms", limit, value];
        let done = site.feed(&args, "")?;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let error = format!("node rows: {error}");
        assert!(done.stderr.contains(&error), "{limit}: {}", done.stderr);
        assert_eq!(done.stdout, "");
    }
    Ok(())
}

/// Calls of one event's fields that would take SQLite's own functions minutes.
const SLOW: [&str; 7] = [
    "instr(:text, :pattern) as x",
    "length(replace(:text, :pattern, 'y')) as x",
    "length(trim(:text, :letters)) as x",
    "length(rtrim(:text, :letters)) as x",
    ":text like '%' || substr(:pattern, -900) as x",
    "like('%' || substr(:pattern, -900), :text, '!') as x",
    ":text not glob '*[ab]' || substr(:pattern, -900) as x",
];

#[test]
fn no_function_of_an_event_takes_longer_than_the_query_may() -> Tested {
    let letters: String = (0x4e00..0x4e00 + 20_000)
        .filter_map(char::from_u32)
        .collect();
    let line = |k: u32, text: usize, pattern: usize, letters: &str| {
        let (text, pattern) = ("a".repeat(text), "a".repeat(pattern));
        format!(
            "{{\"k\":{k},\"text\":\"{text}\",\"pattern\":\"{pattern}b\",\"letters\":\"{letters}a\"}}\n"
        )
    };
    let input = line(1, 10, 3, "b") + &line(2, 600_000, 300_000, &letters) + &line(3, 10, 3, "b");
    for query in SLOW {
        let net = format!(
            "{TABLE}tb.create_table('p', {{ key = 'k', columns = {{ k = 'integer', text = 'text', \
             pattern = 'text', letters = 'text' }} }})\n\
             tb.query_window('w', [[select :k as k, {query}]])\n\
             tb.chain('in', 'w', 'out') tb.link('w.errors', 'errors')"
        );
        let site = Site::with(&[("net.lua", &net)])?;
        let begun = Instant::now();
        let done = run(&site, &["run", "net.lua", "--query-time", "1s"], &input)?;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{query} took {took:?}");
        assert_eq!(done.code, Some(0), "{query}: {}", done.stderr);
        let answered = done.stdout.lines().count() + site.read("errors.jsonl")?.lines().count();
        assert_eq!(answered, 3, "{query}: {}", done.stderr);
        assert!(done.stdout.lines().count() >= 2, "{query}: {}", done.stderr);
    }
    Ok(())
}

#[test]
fn an_expression_of_a_group_has_the_time_of_a_query() -> Tested {
    let each = "length(replace(printf('%.*d', sum(n), 1), '0', '1'))";
    let sum = vec![each; 60].join(" + ");
    let made = format!(
        "tb.window('w', 'out_w', {{ table = 't', plan = 'incremental', count = 100, emit = 'touched', \
         query = [[select k, {sum} as x from t group by k]] }}) tb.link('out_w', 'out')"
    );
    let net = format!("{TABLE}{made}\ntb.link('in', 'w')");
    let site = Site::with(&[("net.lua", &net)])?;
    let rows = "{\"k\":1,\"n\":1,\"at\":1}\n{\"k\":2,\"n\":30000000,\"at\":2}\n{\"k\":3,\"n\":1,\"at\":3}\n";
    let begun = Instant::now();
    let done = run(&site, &["run", "net.lua", "--query-time", "500ms"], rows)?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    let error = "the query was given up after 500ms";
    assert!(done.stderr.contains(error), "{}", done.stderr);
    assert_eq!(done.stdout.lines().count(), 2, "{}", done.stdout);
    Ok(())
}

#[test]
fn the_limit_is_set_on_the_command_line() -> Tested {
    let net = format!(
        "{TABLE}tb.query_window('w', 'select zeroblob(:n) as z') tb.chain('in', 'w', 'out')"
    );
    let site = Site::with(&[("net.lua", &net)])?;
    let with = |size: &str| site.feed(&["run", "net.lua", "--query-bytes", size], "{\"n\":3000}\n");
    let done = with("1KiB")?;
    assert!(
        done.stderr
            .contains("the answer has more than 1 KiB\n  hint: ")
            || done.stderr.contains("the answer has more than 1 KiB"),
        "{}",
        done.stderr
    );
    assert_eq!(with("8KiB")?.stdout.lines().count(), 1);
    for bad in ["0", "1KB", "1000", "512"] {
        let done = with(bad)?;
        assert_eq!(done.code, Some(2), "{bad}");
        assert!(
            done.stderr
                .contains("a size from 1KiB is expected, as in 64MiB"),
            "{}",
            done.stderr
        );
    }
    Ok(())
}

crate::over_all_databases! {
    an_answer_is_counted_over_all_its_rows
    a_recursion_of_large_values_ends_in_time
    what_is_stored_is_not_bound_by_the_limit
}

fn limited(place: &Place, bytes: usize) -> Database {
    place
        .open()
        .with_limits(QueryLimits::new().bytes(bytes).time(Duration::from_secs(1)))
}

/// A text of so many characters.
fn text(place: &Place, len: usize) -> String {
    match place.kind {
        Kind::Mariadb => format!("repeat('x', {len})"),
        _ => format!("printf('%.{len}d', 1)"),
    }
}

fn an_answer_is_counted_over_all_its_rows(place: &Place) {
    let db = limited(place, 1 << 20);
    let mut store = db.connect().unwrap();
    let rows = |rows: usize, len: usize| {
        format!(
            "with recursive r(i) as (select 1 union all select i + 1 from r where i < {rows}) \
             select i, {} as x from r",
            text(place, len)
        )
    };
    let mut asked = |sql: &str| ask(&mut *store, &db, sql, Timestamp::EPOCH);
    assert_eq!(asked(&rows(9, 100_000)).unwrap().len(), 9);
    for sql in [
        rows(30, 100_000),
        rows(1, 2_000_000),
        rows(60_000, 1),
        rows(1, 100_000_000),
        rows(1, 1_000_000_000),
        rows(2, 10_000_000),
    ] {
        let error = asked(&sql).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the answer has more than 1 MiB; ask for fewer rows or columns, or shorter values",
            "{sql}"
        );
        assert!(!error.is_retryable());
        // The connection goes on.
        assert_eq!(asked("select 1 as one").unwrap().len(), 1);
    }
}

fn a_recursion_of_large_values_ends_in_time(place: &Place) {
    let db = limited(place, 64 << 20);
    let mut store = db.connect().unwrap();
    let large = match place.kind {
        Kind::Mariadb => "length(hex(repeat('x', 4000000 + i % 1000)))",
        _ => "length(hex(zeroblob(4000000 + i % 1000)))",
    };
    let sql = format!(
        "with recursive r(i) as (select 1 union all select i + 1 from r) select sum({large}) as s from r"
    );
    let begun = Instant::now();
    let error = ask(&mut *store, &db, &sql, Timestamp::EPOCH).unwrap_err();
    assert_eq!(error.message(), "the query was given up after 1s");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

fn what_is_stored_is_not_bound_by_the_limit(place: &Place) {
    let db = limited(place, 1 << 10);
    db.declare(tributary::Table::new("t").text_sized("word", 10_000))
        .unwrap();
    let mut store = db.connect().unwrap();
    let word = "x".repeat(5_000);
    let row = serde_json::json!({ "word": word });
    crate::support::databases::insert(&mut *store, &db, "t", &row).unwrap();
    let mut asked = |sql: &str| ask(&mut *store, &db, sql, Timestamp::EPOCH);
    assert!(asked("select word from t").is_err());
    assert_eq!(asked("select count(*) as n from t").unwrap()[0]["n"], 1);
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_row_of_a_server_beyond_the_limit_is_not_read_and_the_window_works_on() {
    use mysql::prelude::Queryable;
    use tributary::window::{QueryWindow, Window, WindowKind, WindowOptions};
    use tributary::{Network, Table, sink};
    // Of its own, since this is a setting of the whole server.
    let server = crate::support::mariadb::Server::start();
    let mut root = server.connect(None).unwrap();
    root.query_drop("set global max_allowed_packet = 1073741824")
        .unwrap();
    let db = Database::open(&server.database()).unwrap();
    db.declare(Table::new("t").integer("k").integer("n").key("k"))
        .unwrap();
    let sql = "select k, repeat('x', sum(n)) as x from t group by k";
    let asked = QueryWindow::new(&db, "select repeat('x', :n) as x").unwrap();
    let options = WindowOptions::new("t", sql, WindowKind::Count(1));
    let window = Window::new(&db, &options).unwrap();
    let network = Network::new();
    let (out, errors) = (std::sync::Arc::default(), std::sync::Arc::default());
    network.add_pipeline("asked", asked).unwrap();
    network.add_pipeline("window", window).unwrap();
    network.add_sink("out", sink::collect(&out)).unwrap();
    network.add_sink("errors", sink::collect(&errors)).unwrap();
    for node in ["asked", "window"] {
        network.link(node, "out").unwrap();
        network.link(format!("{node}.errors"), "errors").unwrap();
    }
    let mut simulation = network.simulate(Timestamp::from_secs(1)).unwrap();
    for node in ["asked", "window"] {
        for (k, n) in [(1, 1), (2, 200_000_000), (3, 2)] {
            simulation
                .inject(node, serde_json::json!({"k": k, "n": n}))
                .unwrap();
        }
    }
    simulation.advance(Duration::from_secs(5));
    drop(simulation);
    let errors: Vec<String> = errors
        .lock()
        .unwrap()
        .iter()
        .map(|event: &tributary::Event| event.meta().get("error").unwrap().to_string())
        .collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    for error in errors {
        assert!(error.contains("the answer has more than 64 MiB"), "{error}");
    }
    let out: Vec<tributary::Event> = std::mem::take(&mut *out.lock().unwrap());
    assert_eq!(out.len(), 4);
}

#[test]
fn a_pattern_of_like_that_would_take_long_is_the_error_of_its_event() -> Tested {
    // Both so long that a comparison of them alone takes a minute.
    let line = |k: u32, text: usize, pattern: usize| {
        let (text, pattern) = ("a".repeat(text), "a".repeat(pattern));
        format!("{{\"k\":{k},\"text\":\"{text}\",\"pattern\":\"%{pattern}b\"}}\n")
    };
    let input = line(1, 10, 10) + &line(2, 900_000, 45_000) + &line(3, 10, 900);
    for operator in ["like", "glob"] {
        let net = format!(
            "{TABLE}tb.create_table('p', {{ key = 'k', columns = {{ k = 'integer', text = 'text', pattern = 'text' }} }})\n\
             tb.query_window('w', [[select :k as k, :text {operator} :pattern as found]])\n\
             tb.chain('in', 'w', 'out') tb.link('w.errors', 'errors')"
        );
        let site = Site::with(&[("net.lua", &net)])?;
        let begun = Instant::now();
        let done = run(&site, &["run", "net.lua"], &input)?;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "{operator} took {took:?}");
        assert_eq!(done.stdout.lines().count(), 2, "{}", done.stderr);
        let errors = site.read("errors.jsonl")?;
        assert_eq!(errors.lines().count(), 1, "{operator}: {}", done.stderr);
        assert!(done.stderr.len() < 10_000, "{operator}");
    }
    Ok(())
}
