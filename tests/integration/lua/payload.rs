//! The payload and the data of an event in Lua are one content: what is assigned last counts.

use crate::lua::functions::out;
use tributary::Result;

const IN: &str = r#"{"n":1}"#;

/// What leaves a map with this body when `{"n":1}` comes in.
#[track_caller]
fn leaves(body: &str, expected: &str) -> Result<()> {
    let script = format!("tb.create_map('f', function(e) {body} end)");
    assert_eq!(out(&script, &[IN])?, [expected], "of {body}");
    Ok(())
}

#[test]
fn a_payload_that_is_assigned_after_the_data_counts() -> Result<()> {
    let new = r#"{"new":2}"#;
    for before in [
        "local _ = e.data.n",
        "local _ = e.payload",
        "local _ = e.payload local _ = e.data.n",
        "local _ = e.data.n local _ = e.payload",
        "e.data.n = 7",
        "e.data = { n = 7 }",
        "local _ = e.data e.data = { n = 7 }",
        "e.data = { n = 7 } e.data.m = 8",
        "e.payload = '{\"old\":1}' e.data.n = 7",
        "e.payload = '{\"old\":1}' local _ = e.payload",
    ] {
        leaves(&format!("{before} e.payload = '{new}' return e"), new)?;
    }
    leaves("e.data.n = 7 e.payload = 'no json' return e", "no json")
}

#[test]
fn data_that_is_assigned_after_the_payload_counts() -> Result<()> {
    let new = r#"{"new":2}"#;
    for before in [
        "e.payload = '[0]'",
        "e.payload = 'no json'",
        "local _ = e.payload e.payload = '[0]'",
        "e.payload = '[0]' local _ = e.data[1]",
        "e.data.n = 7 e.payload = '[0]'",
    ] {
        leaves(&format!("{before} e.data = {{ new = 2 }} return e"), new)?;
    }
    leaves(
        "e.payload = '{\"a\":1}' e.data.b = 2 return e",
        r#"{"a":1,"b":2}"#,
    )
}

#[test]
fn data_that_is_read_after_a_payload_was_assigned_is_its_json() -> Result<()> {
    for before in ["", "local _ = e.data.n", "e.data = { n = 7 }"] {
        let body = format!("{before} e.payload = '{{\"a\":[5]}}' return {{ got = e.data.a[1] }}");
        leaves(&body, r#"{"got":5}"#)?;
    }
    // What was only read leaves byte for byte.
    leaves(
        "e.payload = '{ \"a\" : 1.0 }' assert(e.data.a == 1) return e",
        "{ \"a\" : 1.0 }",
    )
}

#[test]
fn data_that_was_read_before_a_payload_was_assigned_is_no_longer_that_of_the_event() -> Result<()> {
    leaves(
        "local old = e.data e.payload = '{\"new\":2}' old.n = 7 return e",
        r#"{"new":2}"#,
    )?;
    leaves(
        "local old = e.data e.payload = '{\"new\":2}' old.n = 7 e.data = old return e",
        r#"{"n":7}"#,
    )
}

#[test]
fn a_payload_can_be_assigned_back() -> Result<()> {
    leaves("e.data.n = 7 e.payload = e.payload return e", IN)?;
    leaves("e.data.n = 7 e.payload = nil return e", IN)?;
    leaves("e.payload = '[0]' e.payload = nil return e", IN)
}

#[test]
fn what_is_assigned_last_counts_in_every_kind_of_function() -> Result<()> {
    let change = "local _ = e.data.n e.payload = '[0]'";
    for made in [
        format!("tb.create_flat_map('f', function(e, emit) {change} emit(e) end)"),
        format!("tb.create_process('f', {{ process = function(e, emit) {change} emit(e) end }})"),
        format!("tb.create_map('f', function(e) {change} return e end)"),
    ] {
        assert_eq!(out(&made, &[IN])?, ["[0]"], "of {made}");
    }
    Ok(())
}
