//! `true` and `false` of JSON are 1 and 0 in an integer column: in windows of every plan, in SQL sinks and
//! as fields of an event in a query, on both databases.

use crate::support::databases::Place;
use crate::support::probe::Seen;
use tributary::time::Timestamp;
use tributary::{Network, Result, Runtime};

macro_rules! over_databases {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[test] fn $name() -> tributary::Result<()> { super::$name(&super::Place::file()) })*
        }
        mod mariadb {
            $(
                #[test]
                #[ignore = "needs mariadbd: run tests/run"]
                fn $name() -> tributary::Result<()> { super::$name(&super::Place::mariadb()) }
            )*
        }
    };
}

over_databases! {
    a_window_counts_them_under_every_plan
    a_sql_sink_stores_them
}

const TABLE: &str = "local tb = require('tributary')
tb.create_table('ev', { key = 'n', columns = { n = 'integer', ok = 'integer', t = 'integer' } })
";

/// What comes out of `node` when these go in.
fn run(
    place: &Place,
    script: &str,
    from: &str,
    events: &[&str],
) -> Result<(Vec<String>, Vec<String>)> {
    let network = Network::new();
    let (seen, errors) = (Seen::at(&network, "seen")?, Seen::at(&network, "rejected")?);
    let runtime = Runtime::with_database(&network, &place.open())?;
    runtime.run_text("net.lua", format!("{TABLE}{script}"))?;
    network.link("node.errors", "rejected")?;
    if from != "node" || script.contains("query_window") {
        network.link(from, "seen")?;
    }
    let mut simulation = network.simulate(Timestamp::from_secs(1_000))?;
    for event in events {
        simulation.inject("node", *event)?;
    }
    let out = (seen.texts(), errors.texts());
    simulation.finish()?;
    Ok(out)
}

const EVENTS: [&str; 4] = [
    r#"{"n":1,"ok":true,"t":1000}"#,
    r#"{ "n": 2, "ok": false , "t": 1000 }"#,
    r#"{"n":3,"ok":true,"t":1000}"#,
    r#"{"n":4,"ok":1,"t":1000}"#,
];

fn a_window_counts_them_under_every_plan(place: &Place) -> Result<()> {
    for plan in ["incremental", "keyed", "requery"] {
        let script = format!(
            "tb.window('node', 'out', {{ table = 'ev', size = '1h', time = 't', plan = '{plan}',
                 emit = 'touched', query = 'select ok, count(*) as c from ev group by ok' }})"
        );
        let place = &place.another();
        let (seen, errors) = run(place, &script, "out", &EVENTS)?;
        assert_eq!(errors, [""; 0], "{plan}");
        let expected = [
            r#"{"ok":1,"c":1}"#,
            r#"{"ok":0,"c":1}"#,
            r#"{"ok":1,"c":2}"#,
            r#"{"ok":1,"c":3}"#,
        ];
        assert_eq!(seen, expected, "{plan}");
        // A text is still none.
        let (_, errors) = run(place, &script, "out", &[r#"{"n":9,"ok":"true","t":1000}"#])?;
        assert_eq!(errors.len(), 1, "{plan}");
    }
    // A field of the event in the query.
    let script = "tb.window('node', 'out', { table = 'ev', size = '1h', time = 't',
        query = 'select count(*) as c from ev where ok = :ok' })";
    let (seen, errors) = run(&place.another(), script, "out", &EVENTS)?;
    assert_eq!(errors, [""; 0]);
    assert_eq!(
        seen,
        [r#"{"c":1}"#, r#"{"c":1}"#, r#"{"c":2}"#, r#"{"c":3}"#]
    );
    Ok(())
}

fn a_sql_sink_stores_them(place: &Place) -> Result<()> {
    for mode in ["insert", "upsert"] {
        let place = &place.another();
        let script = format!("tb.create_sql_sink('node', {{ table = 'ev', mode = '{mode}' }})");
        let (_, errors) = run(place, &script, "node", &EVENTS)?;
        assert_eq!(errors, [""; 0], "{mode}");
        let script = "tb.query_window('node', 'select n, ok from ev order by n')";
        let (seen, errors) = run(place, script, "node", &["{}"])?;
        assert_eq!(errors, [""; 0], "{mode}");
        let rows = [
            r#"{"n":1,"ok":1}"#,
            r#"{"n":2,"ok":0}"#,
            r#"{"n":3,"ok":1}"#,
            r#"{"n":4,"ok":1}"#,
        ];
        assert_eq!(seen, rows, "{mode}");
    }
    Ok(())
}
