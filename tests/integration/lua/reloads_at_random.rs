//! A network under load whose script is loaded again at random, some of the times with an error: each event
//! arrives once, those of one way in order, the account balances, and no thread is left.
//!
//! `RELOADS` is the number of reloads, `RELOADS_SEED` the seed.

use crate::support::probe::{Seen, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tributary::{Network, Runtime, source};

type Tested = Result<(), Box<dyn std::error::Error>>;

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        // xorshift
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most as u64).unwrap_or(0)
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// A chain of nodes from `in` to `out`, in any order, with settings and links that differ from time to time.
/// Each node notes its name and version in the event.
fn script(random: &mut Random) -> String {
    let mut text = String::from("local tb = require('tributary')\n");
    let mut names: Vec<char> = "abcdef".chars().collect();
    let mut chain = vec!["in".to_owned()];
    for _ in 0..random.below(5) {
        let name = names.swap_remove(random.below(names.len()));
        let version = random.below(3) + 1;
        text.push_str(&match name {
            'a' | 'b' => format!(
                "tb.create_map('{name}', function(e) e.data.way = e.data.way .. '{name}{version}' return e end)\n"
            ),
            'c' | 'd' => format!(
                "tb.create_flat_map('{name}', function(e, emit) e.data.way = e.data.way .. '{name}{version}' emit(e) end)\n"
            ),
            _ => format!(
                "tb.create_process('{name}', {{ key = 'k', process = function(e, emit, state)
                    state.n = (state.n or 0) + {version}
                    e.data.way = e.data.way .. '{name}{version}' emit(e.data) end }})\n"
            ),
        });
        chain.push(name.to_string());
    }
    chain.push("out".to_owned());
    for pair in chain.windows(2) {
        let options = if random.flip() {
            ", { capacity = 64 }"
        } else {
            ""
        };
        text.push_str(&format!("tb.link('{}', '{}'{options})\n", pair[0], pair[1]));
    }
    if random.flip() {
        text.push_str("tb.create_discarder('aside') tb.link('in', 'aside')\n");
    }
    text
}

/// The same with an error of one of several kinds.
fn broken(random: &mut Random) -> String {
    let text = script(random);
    match random.below(4) {
        0 => text + "x = = 1",
        1 => text + "error('no')",
        2 => text + "tb.link('in', 'nobody')",
        _ => text + "tb.create_sink('nowhere', 'file:/no/such/directory/file')",
    }
}

fn number(name: &str, or: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.and_then(|set| set.parse().ok()).unwrap_or(or)
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, |tasks| {
        let names = tasks
            .flatten()
            .map(|task| std::fs::read_to_string(task.path().join("comm")));
        // The nodes of this test have names of one letter.
        names
            .flatten()
            .filter(|name| name.trim().len() == 1)
            .count()
    })
}

#[test]
fn reloads_at_random_lose_double_and_reorder_nothing() -> Tested {
    let reloads = number("RELOADS", 150);
    let seed = number("RELOADS_SEED", 0x5eed_1234_abcd);
    let mut random = Random(seed);
    let (sender, input) = source::channel();
    let network = Network::new();
    network.add_source("in", input)?;
    let seen = Seen::at(&network, "out")?;
    let runtime = Runtime::new(&network)?;
    runtime.run_text("net.lua", script(&mut random))?;
    network.start()?;
    let (sent, ends) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let load = {
        let (sent, ends) = (sent.clone(), ends.clone());
        std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let n = sent.load(Ordering::Relaxed);
                let event = json!({ "n": n, "k": n % 7, "way": "" });
                if sender.send(event).is_err() {
                    break;
                }
                sent.store(n + 1, Ordering::Relaxed);
                if n % 50 == 49 {
                    // About as much as nodes in Lua can do in a build without optimisation.
                    std::thread::sleep(Duration::from_millis(4));
                }
            }
        })
    };
    let mut failed = 0;
    // The numbers that were sent between two changes, from one and before another.
    let mut quiet: Vec<(u64, u64)> = Vec::new();
    for step in 0..reloads {
        let is_broken = random.below(5) == 0;
        let text = if is_broken {
            broken(&mut random)
        } else {
            script(&mut random)
        };
        let reloaded = runtime.reload_text("net.lua", text.as_str());
        assert_eq!(
            reloaded.is_err(),
            is_broken,
            "step {step}, seed {seed}: {reloaded:?}\n{text}"
        );
        failed += u64::from(is_broken);
        // Between two changes some events flow. The one that is being sent may go either way.
        let before = sent.load(Ordering::Relaxed) + 1;
        let until = Instant::now() + Duration::from_secs(10);
        while sent.load(Ordering::Relaxed) < before + 20 && Instant::now() < until {
            std::thread::yield_now();
        }
        quiet.push((before, sent.load(Ordering::Relaxed)));
    }
    ends.store(true, Ordering::Relaxed);
    load.join().map_err(|_| "the load panicked")?;
    network.wait()?;
    assert!(failed > 0 || reloads < 20);
    let mut last: BTreeMap<(u64, String), u64> = BTreeMap::new();
    let mut counts = vec![0_u32; usize::try_from(sent.load(Ordering::Relaxed))?];
    for event in seen.events() {
        let data: Value = serde_json::from_str(&text(&event))?;
        let n = data["n"].as_u64().ok_or("no number")?;
        counts[usize::try_from(n)?] += 1;
        let way = data["way"].as_str().unwrap_or_default().to_owned();
        // Of the events that were sent between the same two changes, those that took the same way.
        let period = quiet
            .partition_point(|(begin, _)| *begin <= n)
            .checked_sub(1);
        let inside = period
            .and_then(|period| quiet.get(period))
            .filter(|(_, end)| n < *end);
        if let Some((begin, _)) = inside
            && let Some(before) = last.insert((*begin, way.clone()), n)
        {
            assert!(n > before, "way {way}: {n} after {before}, seed {seed}");
        }
    }
    let wrong = counts.iter().enumerate().filter(|(_, count)| **count != 1);
    let wrong: Vec<_> = wrong.take(10).collect();
    assert!(
        wrong.is_empty(),
        "number and how often it arrived: {wrong:?}, seed {seed}"
    );
    assert_eq!(network.stats().breaches(), [""; 0]);
    let until = Instant::now() + Duration::from_secs(10);
    while threads() > 0 && Instant::now() < until {
        std::thread::yield_now();
    }
    assert_eq!(threads(), 0, "threads of nodes that have ended");
    Ok(())
}
