//! Joins of two streams: over two branches they are warned of, on one path they are exact.

use crate::support::binary::Site;
use crate::support::probe::Seen;
use serde_json::{Value, json};
use std::error::Error;
use tributary::pipeline::Forwarder;
use tributary::time::Timestamp;
use tributary::{Database, Network, Runtime};

type Tested = Result<(), Box<dyn Error>>;

const TABLES: &str = "local tb = require('tributary')
tb.create_table('orders', {key = 'id', columns = {id = 'text', ref = 'text'}})
tb.create_table('payments', {key = 'id', columns = {id = 'text', ref = 'text'}})
tb.create_stdin('in')
tb.create_window('keep_orders', 'orders')
tb.create_window('keep_payments', 'payments')
tb.create_stdout('out')
";

const JOIN: &str = "select o.id as o, p.id as p from orders o join payments p on p.ref = o.ref";

#[test]
fn a_join_over_two_branches_is_warned_of() -> Tested {
    let one = format!(
        "{TABLES}tb.query_window('pairs', '{JOIN}')
tb.fanout('in', 'keep_orders', 'keep_payments')
tb.fanin('pairs', 'keep_orders', 'keep_payments')
tb.link('pairs', 'out')
"
    );
    let two = format!(
        "{TABLES}tb.query_window('pairs', '{JOIN}')
tb.query_window('others', '{JOIN}')
tb.fanout('in', 'keep_orders', 'keep_payments')
tb.link('keep_orders', 'pairs')
tb.link('keep_payments', 'others')
tb.fanin('out', 'pairs', 'others')
"
    );
    let site = Site::with(&[("one.lua", &one), ("two.lua", &two)])?;
    let wanted = "lua:8: node pairs joins tables that keep_orders and keep_payments fill on several \
                  branches: in a live run a pair comes twice or not at all";
    for script in ["one.lua", "two.lua"] {
        for verb in ["check", "explain"] {
            let done = site.call(&[verb, script])?;
            assert!(
                done.stdout.contains(wanted),
                "{verb} {script}: {}",
                done.stdout
            );
            let others = done.stdout.contains("node others joins tables");
            assert_eq!(others, script == "two.lua", "{verb} {script}");
        }
    }
    Ok(())
}

#[test]
fn what_is_on_one_path_or_reads_one_table_is_not_warned_of() -> Tested {
    let path = format!(
        "{TABLES}tb.query_window('pairs', '{JOIN}')
tb.chain('in', 'keep_orders', 'keep_payments', 'pairs', 'out')
"
    );
    let single = format!(
        "{TABLES}tb.query_window('pairs', 'select id from orders')
tb.fanout('in', 'keep_orders', 'keep_payments')
tb.fanin('pairs', 'keep_orders', 'keep_payments')
tb.link('pairs', 'out')
"
    );
    let site = Site::with(&[("path.lua", &path), ("single.lua", &single)])?;
    for script in ["path.lua", "single.lua"] {
        let done = site.call(&["check", script])?;
        assert!(
            !done.stdout.contains("joins tables"),
            "{script}: {}",
            done.stdout
        );
    }
    Ok(())
}

/// The form that the guide shows.
const ON_ONE_PATH: &str = r#"
local tb = require("tributary")
tb.create_table("events", { key = "id", columns = { id = "text", kind = "text", ref = "text", at = "integer" } })
tb.window("pairs", "pairs_out", { table = "events", time = "at", size = "10s", query = [[
    select o.id as order_id, p.id as payment_id from events o join events p on p.ref = o.ref
    where o.kind = 'order' and p.kind = 'payment' and :id in (o.id, p.id)
]] })
tb.fanin("pairs", "orders", "payments")
tb.link("pairs_out", "seen")
"#;

#[test]
fn a_join_on_one_path_finds_each_pair_once_whichever_comes_first() -> Tested {
    let guide = std::fs::read_to_string("src/doc/guide/windows.md")?;
    for line in ON_ONE_PATH.lines().filter(|line| line.contains("events o")) {
        assert!(guide.contains(line.trim()), "{line}");
    }
    let network = Network::new();
    let seen = Seen::at(&network, "seen")?;
    network.add_pipeline("orders", Forwarder)?;
    network.add_pipeline("payments", Forwarder)?;
    let database = Database::open("sqlite::memory:")?;
    Runtime::with_database(&network, &database)?.run_text("net.lua", ON_ONE_PATH)?;
    let mut simulation = network.simulate(Timestamp::from_secs(1_000))?;
    let mut send = |node: &str, id: &str, r: &str| {
        let kind = node.trim_end_matches('s');
        let event = json!({"id": id, "kind": kind, "ref": r, "at": 1_000});
        simulation.inject(node, event)
    };
    send("orders", "o1", "a")?;
    send("payments", "p1", "a")?;
    send("payments", "p2", "b")?;
    send("orders", "o2", "b")?;
    send("payments", "p3", "a")?;
    let pairs: Vec<Value> = seen
        .texts()
        .iter()
        .map(|text| serde_json::from_str(text))
        .collect::<Result<_, _>>()?;
    let pair = |o: &str, p: &str| json!({"order_id": o, "payment_id": p});
    assert_eq!(
        pairs,
        [pair("o1", "p1"), pair("o2", "p2"), pair("o1", "p3")]
    );
    Ok(())
}
