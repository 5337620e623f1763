//! Windows by the names that scripts have for them.

use crate::support::probe::Seen;
use serde_json::json;
use std::error::Error;
use std::time::Duration;
use tributary::time::Timestamp;
use tributary::{Database, Network, Runtime};

type Tested = Result<(), Box<dyn Error>>;

const TABLE: &str = "local tb = require('tributary')
tb.create_table('ev', {key = 'k', columns = {k = 'text', t = 'integer', g = 'text', n = 'integer'}})
";

/// What leaves by `out` for rows `(t, g, n)` that come at their times, and 100 seconds after the last.
fn run(window: &str, rows: &[(i64, &str, i64)]) -> Result<Vec<String>, Box<dyn Error>> {
    let network = Network::new();
    let seen = Seen::at(&network, "seen")?;
    let database = Database::open("sqlite::memory:")?;
    let runtime = Runtime::with_database(&network, &database)?;
    let script = format!("{TABLE}{window}\ntb.link('out', 'seen')");
    runtime.run_text("net.lua", &script)?;
    let mut simulation = network.simulate(Timestamp::from_secs(1_000))?;
    for (number, (t, g, n)) in rows.iter().enumerate() {
        simulation.advance_to(Timestamp::from_secs(1_000 + t));
        let row = json!({"k": number.to_string(), "t": 1_000 + t, "g": g, "n": n});
        simulation.inject("w", row)?;
    }
    simulation.advance(Duration::from_secs(100));
    Ok(seen.texts())
}

const ROWS: [(i64, &str, i64); 5] = [
    (0, "a", 1),
    (4, "a", 2),
    (7, "b", 4),
    (12, "a", 8),
    (31, "a", 16),
];

#[test]
fn sliding_window_count_answers_over_the_last_rows() -> Tested {
    let sums = run(
        "tb.sliding_window_count('w', 'out', 'select sum(n) as s from ev', 'ev', 2)",
        &ROWS,
    )?;
    assert_eq!(
        sums,
        [
            "{\"s\":1}",
            "{\"s\":3}",
            "{\"s\":6}",
            "{\"s\":12}",
            "{\"s\":24}"
        ]
    );
    Ok(())
}

#[test]
fn tumbling_window_answers_for_each_stretch_of_time() -> Tested {
    let sums = run(
        "tb.tumbling_window('w', 'out', 'select :window_start as at, sum(n) as s from ev', 'ev', '10s', 't')",
        &ROWS,
    )?;
    assert_eq!(
        sums,
        [
            "{\"at\":1000,\"s\":7}",
            "{\"at\":1010,\"s\":8}",
            "{\"at\":1030,\"s\":16}"
        ]
    );
    Ok(())
}

#[test]
fn hopping_window_answers_for_stretches_that_overlap() -> Tested {
    let sums = run(
        "tb.hopping_window('w', 'out', 'select sum(n) as s from ev', 'ev', '10s', '5s', 't')",
        &ROWS,
    )?;
    // From 995, 1000, 1005, 1010, 1025 and 1030 on.
    assert_eq!(
        sums,
        [
            "{\"s\":3}",
            "{\"s\":7}",
            "{\"s\":12}",
            "{\"s\":8}",
            "{\"s\":16}",
            "{\"s\":16}"
        ]
    );
    Ok(())
}

#[test]
fn session_window_answers_when_a_group_has_been_silent() -> Tested {
    let sums = run(
        "tb.session_window('w', 'out', 'select g, sum(n) as s, count(*) as c from ev group by g', 'ev', '10s', 't')",
        &ROWS,
    )?;
    assert_eq!(
        sums,
        [
            "{\"g\":\"b\",\"s\":4,\"c\":1}",
            "{\"g\":\"a\",\"s\":11,\"c\":3}",
            "{\"g\":\"a\",\"s\":16,\"c\":1}"
        ]
    );
    Ok(())
}

#[test]
fn what_is_missing_or_too_much_is_named_with_its_line() -> Tested {
    let refused = |line: &str| {
        let error = run(line, &[]).expect_err("it is refused");
        error.to_string().replace("\n  hint: ", "; ")
    };
    for (line, wanted) in [
        (
            "tb.sliding_window_count('w', 'out', 'select 1 as a from ev', 'ev')",
            "net.lua:3: bad argument #5 to sliding_window_count: a value expected, got nothing",
        ),
        (
            "tb.session_window('w', 'out', 'select 1 as a from ev', 'ev', '5s', 't', 'extra', 'more')",
            "net.lua:3: too many arguments to session_window: 7 at most, got 8",
        ),
        (
            "tb.tumbling_window('w', 'out', nil, 'ev', '5s', 't')",
            "net.lua:3: bad argument #3 to tumbling_window: a value expected, got nil",
        ),
        (
            "tb.hopping_window('w', 'out', 'select 1 as a from ev', 'evs', '5s', '1s', 't')",
            "net.lua:3: no table \"evs\" is declared; did you mean \"ev\"?",
        ),
        (
            "tb.sliding_window_count('w', 'out', 'selec 1 as a from ev', 'ev', 2)",
            "net.lua:3: window queries must be one SELECT; did you mean \"select\"?",
        ),
        (
            "tb.sliding_window_count('w', 'out', '', 'ev', 2)",
            "net.lua:3: window queries must be one SELECT; it begins with no word",
        ),
    ] {
        assert_eq!(refused(line), wanted);
    }
    Ok(())
}
