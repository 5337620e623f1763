//! Row 40: no source brings more than an event may hold, and what is refused says what it was.

use crate::support::binary::Site;
use crate::support::probe::{START, Seen};
use serde_json::json;
use std::error::Error;
use tributary::payload::MAX_EVENT_BYTES;
use tributary::{Event, Network, Outcome, source};

type Tested = Result<(), Box<dyn Error>>;

#[test]
fn an_event_of_any_source_that_is_too_large_leaves_as_its_head_with_size_and_hash() -> Tested {
    let large = "x".repeat(MAX_EVENT_BYTES + 1);
    let most = "y".repeat(MAX_EVENT_BYTES);
    let network = Network::new();
    let payloads = ["a".to_owned(), large.clone(), most, "b".to_owned()];
    network.add_source("in", source::from_iter(payloads))?;
    let out = Seen::at(&network, "out")?;
    let bad = Seen::at(&network, "bad")?;
    network.link("in", "out")?;
    network.link("in.errors", "bad")?;
    let stats = network.simulate(START)?.finish()?;
    let sizes = |seen: &Seen| -> Vec<usize> {
        let events = seen.events();
        events.iter().map(|event| event.payload().size()).collect()
    };
    assert_eq!(sizes(&out), [1, MAX_EVENT_BYTES, 1]);
    assert_eq!(sizes(&bad), [4_096]);
    let refused: &Event = &bad.events()[0];
    let meta = |key: &str| refused.meta().get(key).cloned().unwrap_or_default();
    assert_eq!(meta("size"), json!(large.len()));
    let hash = xxhash_rust::xxh3::xxh3_128(large.as_bytes());
    assert_eq!(meta("xxh3"), json!(format!("{hash:032x}")));
    assert_eq!(
        meta("reason"),
        "payload of 1048577 bytes > max_event_bytes (1 MiB)"
    );
    assert_eq!(
        stats.node("in").map(|n| (n.refused, n.emitted)),
        Some((1, 4))
    );
    Ok(())
}

#[test]
fn a_json_value_whose_text_is_too_large_is_refused_with_an_error_to_its_sender() -> Tested {
    let network = Network::new();
    network.set_max_event_bytes(1_000);
    let (sender, input) = source::channel();
    network.add_source("in", input)?;
    let out = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    assert_eq!(
        sender.deliver(json!({"a": "x".repeat(1_000)}))?,
        Outcome::Failed
    );
    assert_eq!(
        sender.deliver(json!({"a": "x".repeat(900)}))?,
        Outcome::Delivered
    );
    network.stop()?;
    assert_eq!(out.len(), 1);
    Ok(())
}

#[test]
fn the_command_line_sets_the_limit_within_its_range() -> Tested {
    let net = "local tb = require('tributary')
        tb.create_stdin('in') tb.create_stdout('out') tb.link('in', 'out')
        tb.create_dlq('refused', { path = 'refused.db' }) tb.on_error('*', 'refused')";
    let site = Site::with(&[("net.lua", net)])?;
    let input = format!(
        "\"{}\"\n\"{}\"\n1\n",
        "x".repeat(5_000),
        "y".repeat(2_000_000)
    );
    let args = ["run", "net.lua", "--max-event-bytes", "4KiB"];
    site.feed(&args, &input)?.expect(0, "1\n", "");
    let list = site.call(&["dlq", "list", "refused.db"])?;
    for part in [
        "    4096  payload of 5002 bytes > max_event_bytes (4096 bytes) at standard input:1: \"",
        "    4096  payload of 2000002 bytes > max_event_bytes (4096 bytes) at standard input:2: \"",
    ] {
        assert!(list.stdout.contains(part), "{}", list.stdout);
    }
    // What is refused may be more than the limit too: it is not looked at again.
    let args = ["run", "net.lua", "--max-event-bytes", "1KiB"];
    site.feed(&args, &input)?.expect(0, "1\n", "");
    for value in ["0", "1023", "2MiB", "-1", "", "many"] {
        site.call(&["run", "net.lua", "--max-event-bytes", value])?
            .expect(
                2,
                "",
                &format!(
                    "error: invalid value '{value}' for '--max-event-bytes <SIZE>': \
                 a size from 1KiB to 1MiB is expected, as in 64KiB\n\nFor more…"
                ),
            );
    }
    Ok(())
}
