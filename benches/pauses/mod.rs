//! How long single calls of a Lua function take: what collecting garbage costs the event that meets
//! it.

use std::time::{Duration, Instant};
use tributary::time::Timestamp;
use tributary::{Network, Result, Runtime};

const NAME: &str = "map-pauses";
const EVENTS: usize = 1_000_000;
/// 100,000 events a second.
const EVERY: Duration = Duration::from_micros(10);

/// A map that makes garbage of every event, with a hundred thousand values that live on.
const SCRIPT: &str = r#"
local tb = require("tributary")
local known = {}
for i = 1, 100000 do known[i] = "value " .. i end
tb.create_map("map", function(e)
    local n = e.data.stake // 1
    return { stake = n, known = known[n % #known + 1] }
end)
tb.create_discarder("out")
tb.link("map", "out")
"#;

/// Prints how long calls take, one event at a time on one thread, 100,000 a second.
pub fn measure(start: &str) {
    if NAME.starts_with(start) {
        let mut took = run().expect("a map runs");
        took.sort_unstable();
        let at = |share: f64| took[(share * (EVENTS - 1) as f64) as usize].as_secs_f64() * 1e6;
        println!(
            "{NAME} p50 {:.1} us, p99 {:.1} us, p99.9 {:.1} us, p99.99 {:.1} us, most {:.1} us",
            at(0.5),
            at(0.99),
            at(0.999),
            at(0.9999),
            at(1.0)
        );
    }
}

fn run() -> Result<Vec<Duration>> {
    let network = Network::new();
    Runtime::new(&network)?.run_text("pauses.lua", SCRIPT)?;
    let mut simulation = network.simulate(Timestamp::EPOCH)?;
    let mut took = Vec::with_capacity(EVENTS);
    let mut due = Instant::now();
    for number in 0..EVENTS {
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        let begun = Instant::now();
        // Behind schedule, the next one is due at once and no more.
        due = begun.max(due) + EVERY;
        simulation.inject("map", format!(r#"{{"uuid":"{number}","stake":{number}}}"#))?;
        took.push(begun.elapsed());
    }
    Ok(took)
}
