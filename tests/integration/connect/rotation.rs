//! `file:` that is set aside when it has had enough.

use crate::support::probe::START;
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use tributary::connect::{self, Options};
use tributary::time::Timestamp;
use tributary::{Network, Result, Simulation};

/// What there is of `out.jsonl`, by name, with its content.
fn files(place: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(place)
        .expect("a directory")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let bytes = std::fs::read(&path).expect("read");
            let mut text = String::new();
            if path.extension().is_some_and(|end| end == "gz") {
                let mut unpacked = GzDecoder::new(&*bytes);
                unpacked.read_to_string(&mut text).expect("unpacked");
            } else {
                text = String::from_utf8(bytes).expect("text");
            }
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, text)
        })
        .collect();
    files.sort();
    files
}

fn writing(place: &Path, start: Timestamp, options: Options) -> Result<Simulation> {
    let network = Network::new();
    let url = format!("file:{}", place.join("out.jsonl").display());
    network.add_sink("out", connect::sink(&url, &options)?)?;
    network.simulate(start)
}

#[test]
fn a_file_is_set_aside_before_it_has_too_much() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let options = Options::new().with("rotate_bytes", 8).with("keep", 2);
    let mut simulation = writing(place.path(), START, options)?;
    std::fs::write(place.path().join("out.jsonl.mine"), "").expect("written");
    for number in 1..=9 {
        simulation.inject("out", format!("{number}{number}{number}"))?;
    }
    simulation.finish()?;
    let line = |number: i32| format!("{number}{number}{number}\n");
    let pair = |first: i32| format!("{}{}", line(first), line(first + 1));
    let expected = [
        ("out.jsonl".to_owned(), line(9)),
        ("out.jsonl.1970-01-01T00:16:40Z-0002".to_owned(), pair(5)),
        ("out.jsonl.1970-01-01T00:16:40Z-0003".to_owned(), pair(7)),
        ("out.jsonl.mine".to_owned(), String::new()),
    ];
    assert_eq!(files(place.path()), expected);
    Ok(())
}

#[test]
fn a_file_is_set_aside_when_its_time_is_over_and_compressed() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let options = Options::new().with("rotate_time", "1h").with("gzip", true);
    let mut simulation = writing(place.path(), START, options)?;
    for number in 1..=3 {
        simulation.inject("out", number.to_string())?;
        simulation.advance(Duration::from_secs(1500));
    }
    simulation.finish()?;
    // The hour is over at 3600: the third comes at 4000.
    let expected = [
        ("out.jsonl".to_owned(), "3\n".to_owned()),
        (
            "out.jsonl.1970-01-01T01:06:40Z-0000.gz".to_owned(),
            "1\n2\n".to_owned(),
        ),
    ];
    assert_eq!(files(place.path()), expected);
    let error = connect::sink("file:x", &Options::new().with("gzip", true)).err();
    let error = error.expect("it is refused").to_string();
    assert!(
        error.contains("option gzip needs rotate_bytes or rotate_time"),
        "{error}"
    );
    Ok(())
}
