//! A clock that jumps: forward, back, to 1970, to 2038, at random and between anything. Nothing
//! panics, hangs or is lost, and when the clock goes on regularly everything works again at once:
//! what was waiting for an instant does not wait for years.
//!
//! The clock is that of a simulation, which steps the same workers as threads do.

use crate::limit::within;
use crate::seed::{Chance, chance};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::time::Timestamp;
use tributary::{Database, Event, Network, Result, Runtime, Simulation, sink};

const LIMIT: Duration = Duration::from_secs(60);
const START: Timestamp = Timestamp::from_secs(1_700_000_000);

const SCRIPT: &str = r#"
local tb = require("tributary")
tb.create_ticker("ticker", "1s")
tb.create_forwarder("in")
tb.create_filter("filter", "10s", { by = { "key" } })
tb.create_filter("stored", "10s", { by = { "key" }, store = true })
tb.create_ratelimit("rate", "1s")
tb.create_throttle("throttle", 2, "1s")
tb.create_delay("delay", "1s")
tb.create_debounce("debounce", "1s")
tb.create_sample("sample", "1s")
tb.create_deadman("deadman", "2s")
tb.create_batch("batch", { time = "1s" })
tb.create_process("process", {
    init = function() return { n = 0 } end,
    process = function(e, emit, state) state.n = state.n + 1 end,
    every = { ["1s"] = function(emit, state) emit({ n = state.n }) end },
})
tb.create_table("rows", { key = "n", columns = { n = "integer", key = "text", at = "real" } })
for _, emit in ipairs({ "all", "changes", "leave" }) do
    tb.window("window_" .. emit, "answer_" .. emit, {
        table = "rows", time = "at", size = "10s", emit = emit, store = true,
        query = "select key, count(*) as n from rows group by key",
    })
end
for _, name in ipairs({ "filter", "stored", "rate", "throttle", "delay", "debounce", "sample",
        "deadman", "batch", "process", "window_all", "window_changes", "window_leave" }) do
    tb.link("in", name)
end
"#;

/// Nodes that must let something through when time has gone on for half a minute.
const LIVELY: &[&str] = &[
    "ticker",
    "filter",
    "stored",
    "rate",
    "throttle",
    "delay",
    "debounce",
    "sample",
    "batch",
    "process",
    "answer_all",
    "answer_changes",
    "answer_leave",
];

struct Bench {
    simulation: Simulation,
    seen: Vec<(&'static str, Arc<Mutex<Vec<Event>>>)>,
    sent: u64,
}

impl Bench {
    fn new() -> Result<Bench> {
        let network = Network::new();
        let database = Database::open("sqlite::memory:")?;
        let runtime = Runtime::with_database(&network, &database)?;
        runtime.run_text("clocks.lua", SCRIPT)?;
        let mut seen = Vec::new();
        for name in LIVELY {
            let events = Arc::default();
            let sink = format!("sink_{name}");
            network.add_sink(&sink, sink::collect(&events))?;
            network.link(*name, sink.as_str())?;
            seen.push((*name, events));
        }
        let simulation = network.simulate(START)?;
        Ok(Bench {
            simulation,
            seen,
            sent: 0,
        })
    }

    fn send(&mut self, key: &str) -> Result<()> {
        self.sent += 1;
        let at = self.simulation.now().as_secs_f64();
        let text = format!(r#"{{"n":{},"key":"{key}","at":{at:?}}}"#, self.sent);
        self.simulation.inject("in", text)
    }

    /// Time goes on regularly, with an event now and then: everything comes to life.
    fn goes_on(&mut self, case: &str) -> Result<()> {
        self.seen
            .iter()
            .for_each(|(_, events)| events.lock().unwrap().clear());
        self.send("regular")?;
        for _ in 0..15 {
            self.simulation.advance(Duration::from_secs(2));
            self.send("regular")?;
        }
        // Then it is silent for so long that what leaves has left.
        self.simulation.advance(Duration::from_secs(30));
        for (name, events) in &self.seen {
            let count = events.lock().unwrap().len();
            assert!(count > 0, "{case}: nothing comes out of {name} any more");
            let most = if *name == "ticker" { 62 } else { 1_000 };
            assert!(count <= most, "{case}: {count} events come out of {name}");
        }
        Ok(())
    }
}

fn instants() -> [Timestamp; 8] {
    [
        Timestamp::from_secs(0),
        Timestamp::from_secs(-1_000),
        Timestamp::from_secs(1),
        Timestamp::from_secs(i64::from(i32::MAX) - 1),
        Timestamp::from_secs(i64::from(i32::MAX) + 1),
        Timestamp::from_secs(4_102_444_800),
        START,
        START.saturating_add(Duration::from_secs(3_600)),
    ]
}

/// Makes one jump.
fn jump(bench: &mut Bench, chance: &mut Chance) -> String {
    let now = bench.simulation.now();
    let size = 1 << chance.below(34);
    let by = Duration::from_millis(chance.below(size));
    let to = match chance.below(3) {
        0 => now.saturating_add(by),
        1 => now.saturating_sub(by),
        _ => *chance.pick(&instants()),
    };
    bench.simulation.set_clock(to);
    format!("from {now:?} to {to:?}")
}

fn jumps(trials: u64, test: &str) {
    let mut chance = chance(test);
    for trial in 0..trials {
        let (seed, at) = (chance.next(), Arc::new(Mutex::new(String::new())));
        let place = at.clone();
        let ran = within(
            LIMIT,
            move || place.lock().unwrap().clone(),
            move || -> Result<()> {
                let mut chance = Chance::new(seed);
                let mut bench = Bench::new()?;
                let mut case = format!("trial {trial}");
                for _ in 0..1 + chance.below(4) {
                    for _ in 0..chance.below(4) {
                        let key = ["a", "b", "c"][chance.below(3) as usize];
                        bench.send(key)?;
                        bench
                            .simulation
                            .advance(Duration::from_millis(chance.below(3_000)));
                    }
                    case += &format!(", {}", jump(&mut bench, &mut chance));
                    at.lock().unwrap().clone_from(&case);
                }
                bench.goes_on(&case)?;
                let breaches = bench.simulation.finish()?.breaches();
                assert_eq!(breaches, [""; 0], "{case}");
                Ok(())
            },
        );
        assert!(ran.is_ok(), "{ran:?}");
    }
}

#[test]
fn a_clock_that_jumps_stops_nothing_for_long() {
    jumps(15, "clocks");
}

mod long {
    #[test]
    #[ignore = "takes minutes"]
    fn many_clocks_that_jump_stop_nothing_for_long() {
        super::jumps(2_000, "clocks");
    }
}
