//! Text and bytes.

use super::{read, read_within, written};
use serde_json::json;

#[test]
fn a_line_of_text_is_the_field_message() {
    let stream = "\u{feff}one\r\n\n  two \"and\" \\ \t\nπ\u{0}";
    let made = read(&json!({"format": "text"}), stream).all();
    let expected = ["one", "  two \"and\" \\ \t", "π\u{0}"];
    assert_eq!(made, expected.map(|text| json!({"message": text})));
}

#[test]
fn text_that_is_not_utf_8_is_refused_as_it_is_and_bytes_are_not() {
    let stream = b"one\n\xff\xfe\ntwo\n";
    let made = read(&json!({"format": "text"}), stream);
    assert_eq!(made.events.len(), 2);
    let (_, why) = &made.refused[0];
    assert_eq!(why, "2: not UTF-8 at byte 0");
    // Bytes need not be JSON; these are.
    let made = read(&json!({"format": "bytes"}), "1\n[2]\n").all();
    assert_eq!(made, [json!(1), json!([2])]);
}

#[test]
fn a_line_that_is_larger_as_an_event_than_an_event_may_be_is_refused() {
    let made = read_within(&json!({"format": "text"}), "short\n123456789012345\n", 20);
    assert_eq!(made.events, [json!({"message": "short"})]);
    let (_, why) = &made.refused[0];
    assert_eq!(why, "2: payload of 29 bytes > max_event_bytes (20 bytes)");
}

#[test]
fn text_is_written_by_a_template_or_from_the_field_message() {
    let events = [
        json!({"message": "one", "n": 1}),
        json!({"message": "π", "n": 2}),
    ];
    assert_eq!(written(&json!({"format": "text"}), &events), "one\nπ\n");
    let options = json!({"format": "text", "template": "{data.n}: {data.message} at {time}"});
    let expected = "1: one at 2026-12-01T00:00:00Z\n2: π at 2026-12-01T00:00:00.001Z\n";
    assert_eq!(written(&options, &events), expected);
}

#[test]
fn an_event_without_the_fields_of_its_line_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("out");
    let events = [json!({"message": 1}), json!({"message": "two"}), json!([])];
    let refused = super::write(&path, &json!({"format": "text"}), &events).expect("it runs");
    assert_eq!(
        refused,
        [
            "the event has no text \"message\"",
            "a JSON object was expected, this is an array"
        ]
    );
    assert_eq!(std::fs::read_to_string(path).expect("a file"), "two\n");
}
