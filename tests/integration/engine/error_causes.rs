//! The causes of errors: what `source` returns.

use std::error::Error as _;
use std::io;
use tributary::sink::LineSink;
use tributary::{Database, Error, ErrorKind, Network, Payload, Result, source};

#[test]
fn the_error_of_a_file_has_the_code_of_the_system_as_its_cause() -> Result<()> {
    let network = Network::new();
    network.add_source("in", source::from_iter(["1"]))?;
    network.add_sink("out", LineSink::file("/no/such/place/out.jsonl", true))?;
    network.link("in", "out")?;
    let error = network.start().unwrap_err();
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    let cause: &io::Error = cause.expect("the cause of the system");
    assert_eq!(cause.kind(), io::ErrorKind::NotFound);
    assert!(cause.raw_os_error().is_some());
    Ok(())
}

#[test]
fn the_error_of_a_database_has_its_code_as_its_cause() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [b'x'; 8_192]).unwrap();
    let error = Database::open(&format!("sqlite:{}", file.path().display())).unwrap_err();
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    let cause: &rusqlite::ffi::Error = cause.expect("the code of SQLite");
    assert_eq!(cause.code, rusqlite::ErrorCode::NotADatabase);
}

#[test]
fn the_error_of_a_payload_has_that_of_the_parser_as_its_cause() {
    let error = Payload::from("{\"n\": tru}").json().unwrap_err();
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    let cause: &serde_json::Error = cause.expect("the error of the parser");
    assert!(cause.is_syntax());
}

#[test]
fn an_error_keeps_its_cause_whatever_is_added_to_it() {
    let cause = "x".parse::<u8>().unwrap_err();
    let error = Error::data("bad number").with_source(cause);
    let error = error
        .clone()
        .within("option n")
        .with_kind(ErrorKind::Config)
        .with_hint("write a number")
        .at("net.lua:3")
        .retryable();
    assert!(
        error
            .source()
            .is_some_and(|cause| cause.is::<std::num::ParseIntError>())
    );
    assert!(Error::data("no cause").source().is_none());
}
