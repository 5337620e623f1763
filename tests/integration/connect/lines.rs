//! Files of JSON lines: what is read, what is refused with its place, following, writing.

use crate::support::probe::{START, Seen, burst, soon};
use serde_json::json;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;
use tributary::payload::MAX_EVENT_BYTES;
use tributary::sink::LineSink;
use tributary::source::{Follow, LineSource};
use tributary::{ErrorKind, Network};

type Tested = Result<(), Box<dyn Error>>;

/// Reads a file to its end: what passed, and what was refused.
fn read(path: &Path) -> tributary::Result<(Seen, Seen)> {
    let network = Network::new();
    network.add_source("in", LineSource::file(path, Follow::No))?;
    let (out, bad) = (Seen::at(&network, "out")?, Seen::at(&network, "bad")?);
    network.link("in", "out")?;
    network.link("in.errors", "bad")?;
    network.start()?;
    network.wait()?;
    Ok((out, bad))
}

fn read_text(text: &[u8]) -> Result<(Seen, Seen, String), Box<dyn Error>> {
    let folder = TempDir::new()?;
    let path = folder.path().join("in.jsonl");
    fs::write(&path, text)?;
    let (out, bad) = read(&path)?;
    Ok((out, bad, path.display().to_string()))
}

/// The error of the only line that is refused.
fn refused(line: &[u8]) -> Result<String, Box<dyn Error>> {
    let (out, bad, path) = read_text(line)?;
    assert_eq!((out.len(), bad.len()), (0, 1), "{line:.40?}");
    let event = &bad.events()[0];
    let error = event
        .meta()
        .get("error")
        .and_then(|e| e.as_str())
        .unwrap_or("")
        .to_owned();
    let place = format!("{path}:1: ");
    assert!(error.starts_with(&place), "{error}");
    assert_eq!(event.meta().get("place"), Some(&json!(format!("{path}:1"))));
    Ok(error[place.len()..].to_owned())
}

#[test]
fn lines_are_read_whatever_their_ends() -> Tested {
    let (out, bad, _) = read_text(b"{\"a\":1}\r\n[2]\n\"three\"\n4")?;
    assert_eq!(out.texts(), ["{\"a\":1}", "[2]", "\"three\"", "4"]);
    assert_eq!(bad.len(), 0);
    let (out, bad, _) = read_text(b"")?;
    assert_eq!((out.len(), bad.len()), (0, 0));
    Ok(())
}

#[test]
fn a_bad_line_is_refused_with_its_place_and_the_others_pass() -> Tested {
    let (out, bad, path) = read_text(b"1\n{'a':1}\n\n[1,]\n2\n \r\n{\"cut\":\n")?;
    assert_eq!(out.texts(), ["1", "2"]);
    let places: Vec<_> = bad
        .events()
        .iter()
        .map(|e| e.meta().get("place").cloned())
        .collect();
    let place = |line: u32| Some(json!(format!("{path}:{line}")));
    assert_eq!(places, [place(2), place(4), place(7)]);
    assert_eq!(bad.texts(), ["{'a':1}", "[1,]", "{\"cut\":"]);
    Ok(())
}

#[test]
fn row_38_malformed_json_names_its_offset() -> Tested {
    assert!(refused(b"{\"a\":1,}")?.starts_with("malformed JSON at byte 7: "));
    assert!(refused(b"[1,2")?.starts_with("malformed JSON at byte "));
    assert!(refused(b"{'a':1}")?.starts_with("malformed JSON at byte 1: "));
    assert!(refused(b"1 2")?.starts_with("malformed JSON at byte 2: "));
    assert!(refused(b"\xef\xbb\xbf\xef\xbb\xbf{}")?.contains("begins with a byte order mark"));
    assert!(refused(b"nul")?.starts_with("malformed JSON at byte "));
    assert!(refused(b"\"\xff\xfe\"")?.starts_with("malformed JSON at byte "));
    assert!(refused(b"\"a\x00b\"")?.starts_with("malformed JSON at byte "));
    for good in ["null", "7", " {} ", "\"\""] {
        assert_eq!(read_text(good.as_bytes())?.0.len(), 1, "{good}");
    }
    Ok(())
}

#[test]
fn row_39_deep_nesting_is_refused() -> Tested {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(refused(nested(129).as_bytes())?.contains("nesting deeper than 128"));
    assert!(refused("[".repeat(100_000).as_bytes())?.contains("nesting deeper than 128"));
    let objects = format!("{}1{}", "{\"a\":".repeat(129), "}".repeat(129));
    assert!(refused(objects.as_bytes())?.contains("nesting deeper than"));
    assert_eq!(read_text(nested(127).as_bytes())?.0.len(), 1);
    Ok(())
}

#[test]
fn row_40_a_line_that_is_too_long_keeps_its_head_its_size_and_its_hash() -> Tested {
    for end in ["\n", "\r\n"] {
        a_long_line(end)?;
    }
    Ok(())
}

fn a_long_line(end: &str) -> Tested {
    let mut long = vec![b'x'; 3 << 20];
    long[(64 << 10) - 1] = b'\r';
    long[(2 << 20) - 1] = b'\r';
    let text = [&long, end.as_bytes(), b"{}\n"].concat();
    let (out, bad, path) = read_text(&text)?;
    assert_eq!(out.texts(), ["{}"]);
    let event = &bad.events()[0];
    assert_eq!(event.payload().size(), 4_096);
    assert_eq!(event.meta().get("size"), Some(&json!(3 << 20)));
    let hash = xxhash_rust::xxh3::xxh3_128(&long);
    assert_eq!(
        event.meta().get("xxh3"),
        Some(&json!(format!("{hash:032x}")))
    );
    let error = format!("{path}:1: payload of 3145728 bytes > max_event_bytes (1 MiB)");
    assert_eq!(event.meta().get("error"), Some(&json!(error)));
    Ok(())
}

#[test]
fn a_line_of_just_the_greatest_length_passes_whatever_its_end() -> Tested {
    let line = format!("\"{}\"", "x".repeat(MAX_EVENT_BYTES - 2));
    for end in ["", "\n", "\r\n"] {
        let (out, bad, _) = read_text(format!("{line}{end}").as_bytes())?;
        assert_eq!((out.len(), bad.len()), (1, 0), "{end:?}");
    }
    for end in ["", "\n", "\r\n"] {
        let (out, bad, _) = read_text(format!("{line} {end}").as_bytes())?;
        assert_eq!((out.len(), bad.len()), (0, 1), "{end:?}");
    }
    Ok(())
}

#[test]
fn row_41_the_last_of_two_equal_keys_counts() -> Tested {
    let line = r#"{"a":1,"a":2,"__proto__":{"x":1},"b.c":3,"d\u0000e":4}"#;
    let (out, ..) = read_text(line.as_bytes())?;
    let event = &out.events()[0];
    assert_eq!(
        event.payload().text(),
        Some(line),
        "the bytes stay as they were"
    );
    let expected = json!({"a": 2, "__proto__": {"x": 1}, "b.c": 3, "d\u{0}e": 4});
    assert_eq!(event.payload().json()?, &expected);
    Ok(())
}

#[test]
fn row_42_no_number_is_rounded_in_silence() -> Tested {
    assert!(refused(b"1e999")?.contains("number out of range"));
    let digits = "1234567890".repeat(4);
    let error = refused(format!("{{\"id\":{digits}}}").as_bytes())?;
    assert_eq!(
        error,
        format!(
            "number out of range at byte 6: \"{digits}\" does not fit 64 bits; write it as a string"
        )
    );
    assert!(refused(b"18446744073709551616")?.contains("does not fit 64 bits"));
    assert!(refused(b"-9223372036854775809")?.contains("does not fit 64 bits"));
    assert!(refused(b"[\"1\\\"\",0x10]")?.contains("malformed JSON"));
    for exact in [
        "18446744073709551615",
        "-9223372036854775808",
        "9007199254740993",
        "1e300",
    ] {
        let (out, ..) = read_text(exact.as_bytes())?;
        let written = out.events()[0].payload().json()?.to_string();
        assert_eq!(written.replace("e+", "e"), exact);
    }
    Ok(())
}

#[test]
fn a_file_that_is_not_there_or_is_a_directory_is_named() -> Tested {
    let folder = TempDir::new()?;
    let error = read(&folder.path().join("none.jsonl"))
        .err()
        .ok_or("it opened")?;
    assert_eq!(
        (error.kind(), error.kind().exit_code()),
        (ErrorKind::NoInput, 66)
    );
    assert!(
        error
            .to_string()
            .ends_with("none.jsonl\": no such file or directory"),
        "{error}"
    );
    let error = read(folder.path()).err().ok_or("it opened")?;
    assert!(error.to_string().ends_with("\": is a directory"), "{error}");
    Ok(())
}

#[test]
fn a_followed_file_may_grow_be_cut_and_be_replaced() -> Tested {
    let folder = TempDir::new()?;
    let path = folder.path().join("log.jsonl");
    fs::write(&path, "1\n2")?;
    let network = Network::new();
    network.add_source("in", LineSource::file(&path, Follow::Yes))?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    let mut simulation = network.simulate(START)?;
    let mut look = || simulation.advance(std::time::Duration::from_secs(1));
    assert_eq!(
        seen.texts(),
        ["1"],
        "a line without its end is not read yet"
    );
    let append = |text: &str| -> Tested {
        let mut file = fs::OpenOptions::new().append(true).open(&path)?;
        Ok(file.write_all(text.as_bytes())?)
    };
    append("3\n4\n")?;
    look();
    assert_eq!(seen.texts(), ["1", "23", "4"]);
    fs::write(&path, "5\n")?;
    look();
    assert_eq!(seen.texts()[3..], ["5"], "the file was cut");
    append("6")?;
    look();
    fs::rename(&path, folder.path().join("log.1"))?;
    look();
    fs::write(&path, "7\n8\n")?;
    look();
    assert_eq!(seen.texts()[4..], ["7", "8"], "the file was replaced");
    for _ in 0..5 {
        look();
    }
    assert_eq!(
        seen.texts()[6..],
        ["6"],
        "nothing is added to the last line any more"
    );
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn a_followed_file_on_a_thread_is_read_as_it_grows_and_stops() -> Tested {
    let folder = TempDir::new()?;
    let path = folder.path().join("log.jsonl");
    fs::write(&path, "")?;
    let network = Network::new();
    network.add_source("in", LineSource::file(&path, Follow::Yes))?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    for n in 0..3 {
        writeln!(fs::OpenOptions::new().append(true).open(&path)?, "{n}")?;
        assert!(soon(|| seen.len() == n + 1));
    }
    Ok(network.stop()?)
}

/// Writes payloads through a network to this file.
fn write(path: &Path, append: bool, payloads: &[&str]) -> tributary::Result<Seen> {
    let network = Network::new();
    network.add_source("in", burst(payloads))?;
    network.add_sink("file", LineSink::file(path, append))?;
    let bad = Seen::at(&network, "bad")?;
    network.link("in", "file")?;
    network.link("file.errors", "bad")?;
    network.simulate(START)?.finish()?;
    Ok(bad)
}

#[test]
fn a_file_is_overwritten_or_appended_to() -> Tested {
    let folder = TempDir::new()?;
    let path = folder.path().join("out.jsonl");
    write(&path, false, &["1", "2"])?;
    write(&path, true, &["3"])?;
    assert_eq!(fs::read_to_string(&path)?, "1\n2\n3\n");
    write(&path, false, &["4"])?;
    assert_eq!(fs::read_to_string(&path)?, "4\n");
    let bad = write(&path, false, &["{\n\"a\":\n1}", "two\nlines", "5"])?;
    assert_eq!(
        fs::read_to_string(&path)?,
        "{\"a\":1}\n5\n",
        "one line for each event"
    );
    assert_eq!(bad.texts(), ["two\nlines"]);
    Ok(())
}

#[test]
fn a_file_that_cannot_be_written_is_named_with_its_exit_code() -> Tested {
    let folder = TempDir::new()?;
    let missing = folder.path().join("no/such/folder/out.jsonl");
    let error = write(&missing, false, &[]).err().ok_or("it opened")?;
    assert_eq!(error.kind().exit_code(), 73);
    assert!(error.message().contains("cannot create \""), "{error}");
    assert!(write(folder.path(), true, &[]).is_err(), "a directory");
    let locked = folder.path().join("locked");
    fs::write(&locked, "")?;
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o444))?;
    // Root may write anywhere.
    if fs::OpenOptions::new().append(true).open(&locked).is_err() {
        let error = write(&locked, true, &[]).err().ok_or("it opened")?;
        assert_eq!(error.kind().exit_code(), 77);
    }
    Ok(())
}

#[test]
fn a_full_disk_holds_back_what_comes_and_rejects_nothing() -> Tested {
    let network = Network::new();
    network.add_source("in", burst(&["1", "2"]))?;
    network.add_sink("file", LineSink::file("/dev/full", true))?;
    let bad = Seen::at(&network, "bad")?;
    network.link("in", "file")?;
    network.link("file.errors", "bad")?;
    let mut simulation = network.simulate(START)?;
    simulation.advance(std::time::Duration::from_secs(60));
    let stats = simulation.stats();
    let node = stats.node("file").ok_or("there is no such node")?;
    assert!(node.reopened > 10 && node.held == 2, "{stats}");
    assert_eq!(bad.texts(), [""; 0]);
    Ok(())
}
