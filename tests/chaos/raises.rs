//! One event in a thousand raises in Lua, or panics in Rust: exactly those are rejected, byte for
//! byte as they came.

use crate::limit::within;
use crate::record;
use crate::seed::{Chance, chance};
use std::fmt::Write;
use std::time::Duration;
use tempfile::TempDir;
use tributary::{Error, Network, Runtime, pipeline};

const LIMIT: Duration = Duration::from_secs(600);

/// How many kinds of failure there are.
const KINDS: u64 = 5;

const SCRIPT: &str = r#"
local tb = require("tributary")
tb.create_file_source("in", "$/log.jsonl", { checkpoint = "$/place" })
tb.create_map("raises", function(e)
    local kind = e.data.kind
    if kind == 1 then error("not this one") end
    if kind == 2 then return e.data.missing.field end
    if kind == 3 then e.data.extra = 0 / 0; return e end
    return e
end)
tb.create_panics("panics")
tb.create_file_sink("out", "$/out.jsonl")
tb.create_file_sink("raised", "$/raised.jsonl")
tb.create_file_sink("panicked", "$/panicked.jsonl")
tb.chain("in", "raises", "panics", "out")
tb.link("raises.errors", "raised")
tb.link("panics.errors", "panicked")
"#;

/// A line that would not survive being written anew.
fn odd(n: u64, kind: u64, chance: &mut Chance) -> String {
    let space = " ".repeat(chance.below(3) as usize);
    let fields = format!(
        r#""kind":{space}{kind}, "z" : [1.0e2,{space}10000000000000001, "\u00e4€\/"],"a":{{ }}"#
    );
    record::line("r", "a", n, &fields)
}

/// Panics or fails at those whose kind says so.
fn panics(event: &tributary::Event) -> tributary::Result<Option<tributary::Event>> {
    match event.payload().object()?["kind"].as_u64() {
        Some(4) => panic!("kind 4 is not known"),
        Some(5) => Err(Error::data("kind 5 is refused")),
        _ => Ok(Some(event.clone())),
    }
}

/// Keeps those panics from filling the output.
fn expect_panics() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload_as_str().unwrap_or_default();
        if text != "kind 4 is not known" {
            others(info);
        }
    }));
}

fn raises(events: u64) {
    expect_panics();
    let mut chance = chance("raises");
    let dir = TempDir::new().expect("there is a temporary directory");
    let (mut log, mut good) = (String::new(), String::new());
    let (mut raised, mut panicked) = (String::new(), String::new());
    for n in 0..events {
        let kind = if chance.once_in(1_000) {
            1 + chance.below(KINDS)
        } else {
            0
        };
        let line = odd(n, kind, &mut chance);
        let to = match kind {
            0 => &mut good,
            1..=3 => &mut raised,
            _ => &mut panicked,
        };
        let _ = writeln!(to, "{line}");
        let _ = writeln!(log, "{line}");
    }
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("log.jsonl"), &log).expect("a file can be written");
    let script = SCRIPT.replace('$', &dir.path().display().to_string());
    let network = Network::new();
    let ran = {
        let network = network.clone();
        within(
            LIMIT,
            || "the network with panics".to_owned(),
            move || {
                let runtime = Runtime::new(&network)?;
                runtime.export_pipeline("create_panics", |_| Ok(pipeline::interceptor(panics)))?;
                runtime.run_text("net.lua", script)?;
                network.start()?;
                network.wait()
            },
        )
    };
    assert!(ran.is_ok(), "{ran:?}");
    assert_eq!(network.stats().breaches(), [""; 0]);
    for (name, wanted) in [("out", good), ("raised", raised), ("panicked", panicked)] {
        let got = std::fs::read_to_string(path(&format!("{name}.jsonl"))).unwrap_or_default();
        let differs = wanted
            .lines()
            .zip(got.lines())
            .find(|(wanted, got)| wanted != got);
        assert_eq!(differs, None, "{name}");
        assert_eq!(got.lines().count(), wanted.lines().count(), "{name}");
        println!("{name}: {} lines, byte for byte", got.lines().count());
    }
}

#[test]
fn exactly_the_events_that_raise_or_panic_are_rejected_byte_for_byte() {
    raises(10_000);
}

mod long {
    #[test]
    #[ignore = "takes minutes"]
    fn of_a_million_events_exactly_those_that_raise_or_panic_are_rejected() {
        super::raises(1_000_000);
    }
}
