//! Scripts through the runtime: the seed's functions and scripts, and what a script builds.

use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tributary::time::Timestamp;
use tributary::{Event, Network, Result, Runtime, Table, pipeline, sink, source};

pub const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

/// The seed's own script, to the letter.
pub const SCRIPTED: &str = r#"local tb = require('tributary')

tb.create_tester("tick_printer", ".")
tb.create_ticker("ticker_500ms", "500ms")
tb.create_ratelimit("filter_2s", "2s")
tb.create_forwarder("forwarder1")
tb.create_forwarder("forwarder2")

tb.link("ticker_500ms", "forwarder1")
tb.fanout("forwarder1", "filter_2s", "forwarder2")
tb.fanin("tick_printer", "filter_2s", "forwarder2")
"#;

/// The seed's script with a sliding window, to the letter.
const ADVANCED: &str = r#"local tb = require("tributary")

-- select aggregate customer liability if > 130
local query = [[
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
]]
-- input port, output port, query, table for cleanup, time too cleanup, unix timestamp in table
tb.sliding_window_time("customer_liability", "window_out", query, "example_bets", "10s", "create_time")

tb.create_filter("dedupe_liability", "10s")

-- setup network
tb.link("streaming_ingest", "customer_liability")
tb.link("window_out", "dedupe_liability")
tb.link("dedupe_liability", "liability_printer")
"#;

/// Events that a sink has seen.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<Event>>>);

impl Seen {
    /// Adds a sink that fills this.
    pub fn at(network: &Network, name: &str) -> Result<Self> {
        let seen = Seen::default();
        network.add_sink(name, sink::collect(&seen.0))?;
        Ok(seen)
    }

    /// What came so far, as text; it is gone from here then.
    pub fn take(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let text = |event: &Event| event.payload().text().unwrap_or("?").to_owned();
        events.iter().map(text).collect()
    }
}

/// A bet on one game; its liability is 23.
fn bet(uuid: u32, at: Timestamp, game: i64) -> Value {
    json!({
        "uuid": uuid.to_string(), "create_time": at.as_secs(), "customer_uuid": "c1",
        "stake": 100.0, "currency": "USD", "exchange_rate": 1.0, "odds": 1.23,
        "selections": [{"game_id": game, "market": "home", "odds": 1.23}],
    })
}

fn bets() -> Table {
    let selections = Table::new("example_selections")
        .text("bet_uuid")
        .integer("game_id")
        .text("market")
        .real("odds");
    Table::new("example_bets")
        .text("uuid")
        .integer("create_time")
        .text("customer_uuid")
        .real("stake")
        .text("currency")
        .real("exchange_rate")
        .real("odds")
        .key("uuid")
        .child("selections", selections, &[("bet_uuid", "uuid")])
}

#[test]
fn the_seeds_ticker_script_runs_to_the_letter() -> Result<()> {
    let network = Network::new();
    Runtime::new(&network)?.run_text("network.lua", SCRIPTED)?;
    assert!(network.check().is_empty());
    let links: Vec<String> = network.edges().iter().map(ToString::to_string).collect();
    assert_eq!(
        links,
        [
            "ticker_500ms -> forwarder1",
            "forwarder1 -> filter_2s",
            "forwarder1 -> forwarder2",
            "filter_2s -> tick_printer",
            "forwarder2 -> tick_printer"
        ]
    );
    Ok(())
}

#[test]
fn the_seeds_sliding_window_runs_to_the_letter_and_slides() -> Result<()> {
    let network = Network::new();
    let (_sender, ingest) = source::channel();
    network.add_source("streaming_ingest", ingest)?;
    let alerts = Seen::at(&network, "liability_printer")?;
    let runtime = Runtime::new(&network)?;
    runtime.database().declare(bets())?;
    runtime.run_text("network.lua", ADVANCED)?;
    assert!(network.check().is_empty());

    let mut simulation = network.simulate(NOON)?;
    for number in 0..6 {
        assert!(alerts.take().is_empty(), "{number} bets are not enough");
        let bet = bet(number, simulation.now(), 7);
        simulation.inject("streaming_ingest", bet)?;
    }
    let alert = r#"{"liability":138.0,"customer_uuid":"c1","game_id":7}"#;
    assert_eq!(alerts.take(), [alert]);
    // After eleven seconds the six are out of the window: six more are needed again.
    simulation.advance(Duration::from_secs(11));
    for number in 10..16 {
        assert!(
            alerts.take().is_empty(),
            "{number}: the window has not slid"
        );
        let bet = bet(number, simulation.now(), 7);
        simulation.inject("streaming_ingest", bet)?;
    }
    assert_eq!(alerts.take(), [alert]);
    simulation.finish()?;
    Ok(())
}

#[test]
fn a_table_that_a_script_declares_feeds_its_windows() -> Result<()> {
    let network = Network::new();
    let (last, all) = (Seen::at(&network, "last")?, Seen::at(&network, "all")?);
    let text = r#"
        local tb = require("tributary")
        tb.create_table("trades", {
            key = "id",
            columns = { id = "integer", price = "real" },
            children = { legs = { table = "legs", parent = { trade = "id" },
                columns = { trade = "integer", symbol = "text" } } },
        })
        tb.create_forwarder("trades_in")
        tb.create_window("stored", "trades")
        tb.query_window("dear", "select id, price, symbol from trades join legs on trade = id "
            .. "where price > 10 order by id desc limit 1")
        tb.chain("trades_in", "stored", "dear", "last")
        tb.link("stored", "all")
    "#;
    Runtime::new(&network)?.run_text("network.lua", text)?;
    let mut simulation = network.simulate(NOON)?;
    let trade = r#"{"id":9007199254740993,"price":11.5,"legs":[{"symbol":"X"}]}"#;
    simulation.inject(
        "trades_in",
        r#"{"id":1,"price":2.5,"legs":[{"symbol":"Y"}]}"#,
    )?;
    simulation.inject("trades_in", trade)?;
    assert_eq!(all.take().len(), 2);
    let row = r#"{"id":9007199254740993,"price":11.5,"symbol":"X"}"#;
    assert_eq!(last.take(), [row]);
    simulation.finish()?;
    Ok(())
}

#[test]
fn a_filter_drops_what_is_the_same_by_payload_or_by_fields() -> Result<()> {
    let network = Network::new();
    let (whole, by) = (Seen::at(&network, "whole")?, Seen::at(&network, "by")?);
    let text = r#"
        local tb = require("tributary")
        tb.create_forwarder("in")
        tb.create_filter("f", "10s")
        tb.create_filter("g", "10s", {by = {"a"}})
        tb.fanout("in", "f", "g")
        tb.link("f", "whole")
        tb.link("g", "by")
    "#;
    Runtime::new(&network)?.run_text("network.lua", text)?;
    let mut simulation = network.simulate(NOON)?;
    for payload in [r#"{"a":1,"b":1}"#, r#"{"a":1,"b":2}"#, r#"{"a":1,"b":1}"#] {
        simulation.inject("in", payload)?;
    }
    assert_eq!(whole.take(), [r#"{"a":1,"b":1}"#, r#"{"a":1,"b":2}"#]);
    assert_eq!(by.take(), [r#"{"a":1,"b":1}"#]);
    simulation.advance(Duration::from_secs(10));
    simulation.inject("in", r#"{"a":1,"b":1}"#)?;
    assert_eq!((whole.take().len(), by.take().len()), (1, 1));
    Ok(())
}

#[test]
fn balance_shares_and_a_key_stays_with_one_member() -> Result<()> {
    let network = Network::new();
    let (one, two) = (Seen::at(&network, "one")?, Seen::at(&network, "two")?);
    let text = r#"
        local tb = require("tributary")
        tb.create_forwarder("in")
        tb.balance("in", "one", "two", {key = "k"})
    "#;
    Runtime::new(&network)?.run_text("network.lua", text)?;
    let mut simulation = network.simulate(NOON)?;
    for number in 0..100 {
        simulation.inject("in", json!({"k": number % 10}))?;
    }
    let (one, two) = (one.take(), two.take());
    assert_eq!(one.len() + two.len(), 100, "each event goes to one member");
    assert!(one.iter().all(|event| !two.contains(event)));
    assert!(!one.is_empty() && !two.is_empty());
    Ok(())
}

#[test]
fn chain_links_each_node_to_the_next() -> Result<()> {
    let network = Network::new();
    let text = r#"
        local tb = require("tributary")
        for _, name in ipairs({"a", "b", "c", "d"}) do tb.create_forwarder(name) end
        assert(tb.chain("a", "b", "c", "d") == true)
    "#;
    Runtime::new(&network)?.run_text("network.lua", text)?;
    let links: Vec<String> = network.edges().iter().map(ToString::to_string).collect();
    assert_eq!(links, ["a -> b", "b -> c", "c -> d"]);
    Ok(())
}

#[test]
fn a_port_is_linked_by_node_and_dot() -> Result<()> {
    let network = Network::new();
    let (good, bad) = (Seen::at(&network, "good")?, Seen::at(&network, "bad")?);
    let runtime = Runtime::new(&network)?;
    runtime.export_pipeline("create_odd", |_| {
        Ok(pipeline::interceptor(|e| {
            let number = e.payload().json()?.as_i64();
            number
                .map(|n| n % 2 == 1)
                .ok_or_else(|| tributary::Error::data("no number"))
        }))
    })?;
    let text = r#"
        local tb = require("tributary")
        tb.create_odd("odd")
        tb.link("odd", "good")
        tb.link("odd.errors", "bad")
    "#;
    runtime.run_text("network.lua", text)?;
    let mut simulation = network.simulate(NOON)?;
    for payload in ["1", "2", "x", "3"] {
        simulation.inject("odd", payload)?;
    }
    assert_eq!(
        (good.take(), bad.take()),
        (vec!["1".into(), "3".into()], vec!["x".into()])
    );
    Ok(())
}
