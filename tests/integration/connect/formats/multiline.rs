//! Several lines that are one event.

use super::{Made, NOW, read, read_within};
use crate::support::probe::Seen;
use serde_json::json;
use std::io::Write;
use std::time::Duration;
use tributary::Network;
use tributary::format::Format;
use tributary::source::{Follow, LineSource};

#[test]
fn an_event_goes_on_up_to_the_next_line_that_begins_one() {
    let options = json!({"format": "text", "multiline": {"start": "^\\d{4}-"}});
    let stream =
        "  before\n2026-12-01 one\n  at a\r\n\n  at b\n\n2026-12-02 two\n2026-12-03 three\n  at c";
    let made = read(&options, stream).all();
    let expected = [
        "  before",
        "2026-12-01 one\n  at a\n\n  at b",
        "2026-12-02 two",
        "2026-12-03 three\n  at c",
    ];
    assert_eq!(made, expected.map(|text| json!({"message": text})));
}

#[test]
fn any_format_of_lines_may_be_of_several() {
    let options = json!({"multiline": {"start": "^\\{"}});
    let stream = "{\n  \"a\": 1\n}\n{\"a\": 2}\n{\n\"a\": 3 }\n";
    let made = read(&options, stream).all();
    assert_eq!(made, [1, 2, 3].map(|n| json!({"a": n})));
    let options = json!({
        "format": {"pattern": "(?s)^(?<level>[A-Z]+) (?<text>.*)$"}, "multiline": {"start": "^[A-Z]+ "},
    });
    let made = read(&options, "ERROR a\n  b\nINFO c\n").all();
    assert_eq!(made[0], json!({"level": "ERROR", "text": "a\n  b"}));
}

#[test]
fn an_event_has_at_most_so_many_lines_and_bytes() {
    let options = json!({"format": "text", "multiline": {"start": "^x", "lines": 2}});
    let made = read(&options, "x1\n2\n3\n4\n5\nx6\n").all();
    let expected = ["x1\n2", "3\n4", "5", "x6"];
    assert_eq!(made, expected.map(|text| json!({"message": text})));
    let options = json!({"format": "text", "multiline": {"start": "^x"}});
    let made = read_within(&options, format!("1\n{}\n2\n3\n", "4".repeat(50)), 40);
    let expected = ["1", "2\n3"];
    assert_eq!(made.events, expected.map(|text| json!({"message": text})));
    assert_eq!(made.refused.len(), 1);
    assert!(
        made.refused[0].1.starts_with("2: payload of 50 bytes"),
        "{made:?}"
    );
}

#[test]
fn the_last_event_of_a_followed_file_ends_after_a_time_without_a_line() -> super::Result<()> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let add = |text: &str| {
        (&mut file.as_file())
            .write_all(text.as_bytes())
            .expect("written")
    };
    add("x one\n  more\n");
    let options = json!({"format": "text", "multiline": {"start": "^x", "timeout": "2s"}});
    let network = Network::new();
    let source = LineSource::file(file.path(), Follow::Yes).format(Format::new(&options)?);
    network.add_source("in", source)?;
    let (out, bad) = (Seen::at(&network, "out")?, Seen::at(&network, "bad")?);
    network.link("in", "out")?;
    network.link("in.errors", "bad")?;
    let mut simulation = network.simulate(NOW)?;
    simulation.advance(Duration::from_millis(1_900));
    assert_eq!(out.len(), 0);
    add("  still\n");
    simulation.inject("out", "null")?;
    simulation.advance(Duration::from_millis(1_900));
    assert_eq!(Made::of(&out, &bad).events, [json!(null)]);
    simulation.advance(Duration::from_millis(2_200));
    let events = Made::of(&out, &bad).all();
    assert_eq!(events[1..], [json!({"message": "x one\n  more\n  still"})]);
    Ok(())
}
