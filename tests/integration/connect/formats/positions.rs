//! Checkpoints: the position is the end of an event, whatever its format, and a header at
//! the beginning of a file is known behind it.

use super::Made;
use crate::support::probe::Seen;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use tributary::format::Format;
use tributary::source::{Follow, LineSource};
use tributary::{Network, Result};

/// Reads a file from its checkpoint to its end.
fn resume(place: &Path, options: &Value) -> Result<Made> {
    let network = Network::new();
    let source = LineSource::file(place.join("in"), Follow::No).checkpoint(place.join("place"));
    network.add_source("in", source.format(Format::new(options)?))?;
    let (out, bad) = (Seen::at(&network, "out")?, Seen::at(&network, "bad")?);
    network.link("in", "out")?;
    network.link("in.errors", "bad")?;
    network.start()?;
    network.wait()?;
    Ok(Made::of(&out, &bad))
}

fn offset(place: &Path) -> (u64, u64) {
    let text = std::fs::read_to_string(place.join("place")).expect("a checkpoint");
    let saved: Value = serde_json::from_str(&text).expect("JSON");
    let number = |name: &str| saved["files"][0][name].as_u64().expect("a number");
    (number("offset"), number("line"))
}

fn add(place: &Path, text: &str) {
    let file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(place.join("in"));
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("written");
}

#[test]
fn a_header_is_known_again_after_a_restart_in_the_middle_of_the_file() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let options = json!({"format": "csv", "types": {"b": "integer"}});
    let begin = "\u{feff}\na,\"b\"\r\n1,2\r\n\"x\ny\",3\r\n";
    add(place.path(), begin);
    let made = resume(place.path(), &options)?.all();
    assert_eq!(
        made,
        [json!({"a": "1", "b": 2}), json!({"a": "x\ny", "b": 3})]
    );
    assert_eq!(offset(place.path()), (begin.len() as u64, 5));
    add(place.path(), "5,6\n7\n");
    let made = resume(place.path(), &options)?;
    assert_eq!(made.events, [json!({"a": "5", "b": 6})]);
    assert!(
        made.refused[0].1.starts_with("7: 1 field instead of 2"),
        "{made:?}"
    );
    assert_eq!(resume(place.path(), &options)?.all(), [json!(null); 0]);
    // With columns of its own the first row is skipped once.
    let options = json!({"format": "csv", "columns": ["x", "y"], "header": true});
    add(place.path(), "8,9\n");
    assert_eq!(
        resume(place.path(), &options)?.all(),
        [json!({"x": "8", "y": "9"})]
    );
    Ok(())
}

#[test]
fn a_header_that_was_refused_refuses_what_comes_after_a_restart() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let options = json!({"format": "csv"});
    add(place.path(), "a,a\n1,2\n");
    assert_eq!(resume(place.path(), &options)?.refused.len(), 2);
    add(place.path(), "3,4\n");
    let made = resume(place.path(), &options)?;
    let why = "3: bad header: column \"a\" is there twice".to_owned();
    assert_eq!(made.refused, [("3,4".to_owned(), why)]);
    Ok(())
}

#[test]
fn the_position_of_an_event_of_several_lines_is_the_end_of_the_last() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let options = json!({"format": "text", "multiline": {"start": "^x"}});
    add(place.path(), "x1\n  a\nx2\n  b\n\n");
    let made = resume(place.path(), &options)?.all();
    assert_eq!(
        made,
        ["x1\n  a", "x2\n  b"].map(|text| json!({"message": text}))
    );
    assert_eq!(offset(place.path()), (15, 5));
    add(place.path(), "x3\n");
    assert_eq!(
        resume(place.path(), &options)?.all(),
        [json!({"message": "x3"})]
    );
    Ok(())
}
