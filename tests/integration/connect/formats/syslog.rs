//! Messages of syslog: the examples of RFC 5424 and RFC 3164, their framing, and what is none.

use super::{read, read_within};
use serde_json::{Value, json};

fn one(message: &str) -> Value {
    let events = read(&json!({"format": "syslog"}), message).all();
    assert_eq!(events.len(), 1, "{events:?}");
    events[0].clone()
}

#[test]
fn the_examples_of_rfc_5424_are_read() {
    assert_eq!(
        one(
            "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8"
        ),
        json!({
            "facility": 4, "severity": 2, "time": 1_065_910_455.003, "host": "mymachine.example.com",
            "app": "su", "pid": null, "msgid": "ID47", "data": null,
            "message": "'su root' failed for lonvick on /dev/pts/8",
        })
    );
    assert_eq!(
        one(
            "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts."
        ),
        json!({
            "facility": 20, "severity": 5, "time": 1_061_727_255.000_003, "host": "192.0.2.1",
            "app": "myproc", "pid": "8710", "msgid": null, "data": null,
            "message": "%% It's time to make the do-nuts.",
        })
    );
    let data = r#"[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"]"#;
    let begin = "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 ";
    let event = one(&format!("{begin}{data} An application event log entry..."));
    let params = json!({"iut": "3", "eventSource": "Application", "eventID": "1011"});
    assert_eq!(event["data"], json!({"exampleSDID@32473": params}));
    assert_eq!(event["message"], "An application event log entry...");
    let event = one(&format!(
        "{begin}{data}[examplePriority@32473 class=\"high\"]"
    ));
    assert_eq!(
        event["data"]["examplePriority@32473"],
        json!({"class": "high"})
    );
    assert_eq!(event["message"], json!(null));
    let event = one(&format!("{begin}[a b=\"\\\"q\\\" \\\\ \\] \\x\"][c] text"));
    assert_eq!(
        event["data"],
        json!({"a": {"b": "\"q\" \\ ] \\x"}, "c": {}})
    );
}

#[test]
fn the_examples_of_rfc_3164_are_read_in_the_year_that_fits() {
    // It is 2026-12-01.
    assert_eq!(
        one("<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8"),
        json!({
            "facility": 4, "severity": 2, "time": 1_791_756_855, "host": "mymachine", "app": "su",
            "pid": null, "message": "'su root' failed for lonvick on /dev/pts/8",
        })
    );
    let event = one("<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!");
    assert_eq!(event["message"], "Use the BFG!");
    assert_eq!(
        (&event["app"], &event["host"]),
        (&json!(null), &json!("10.0.0.99"))
    );
    let event = one("<0>Dec 24 10:32:28 host sched[0]: text: more");
    // Not in the future.
    assert_eq!(event["time"], 1_766_572_348);
    assert_eq!(
        (&event["app"], &event["pid"]),
        (&json!("sched"), &json!("0"))
    );
    assert_eq!(event["message"], "text: more");
    // As in a file, which has no priority; and with a time that has a zone.
    let event = one("Dec  1 00:00:00 host cron[7]: (root) CMD (x)");
    assert_eq!(
        (&event["facility"], &event["time"]),
        (&json!(null), &json!(1_796_083_200))
    );
    let event = one("2026-12-01T01:00:00.5+01:00 host cron: x");
    assert_eq!(
        (&event["severity"], &event["time"]),
        (&json!(null), &json!(1_796_083_200.5))
    );
}

#[test]
fn what_is_no_message_is_refused() {
    for (line, error) in [
        ("<192>1 - h a - - - x", "bad priority in \"<192>1 -\""),
        ("<+4>1 - h a - - - x", "bad priority in \"<+4>1 - \""),
        ("<34 x", "bad priority in \"<34 x\""),
        ("<34>1 - h a - -", "the message ends before its msgid does"),
        ("<34>1 yesterday h a - - - x", "bad time \"yesterday\""),
        ("<34>1 - h a - - [a b=\"c] x", "bad structured data"),
        (
            "<34>1 - h a - - [a b=\"c\"]x",
            "a blank is expected behind the structured data",
        ),
        ("<34>1 - h a - - x", "bad structured data"),
        (
            "<34>Foo 11 22:14:15 h a: x",
            "no message of syslog: no time at \"Foo 11 22:14:15 \"",
        ),
        (
            "<34>Oct 11 25:14:15 h a: x",
            "no message of syslog: no time at",
        ),
        ("hello", "no message of syslog: no time at \"hello\""),
        ("ééééééééé", "no message of syslog: no time at"),
    ] {
        let made = read(&json!({"format": "syslog"}), format!("{line}\n"));
        let (payload, why) = &made.refused[0];
        assert_eq!(payload, line);
        assert!(why.starts_with(&format!("1: {error}")), "{why}");
    }
}

fn messages(stream: &str) -> (Vec<String>, Vec<(String, String)>) {
    let made = read_within(&json!({"format": "syslog"}), stream, 200);
    let text = |event: &Value| event["message"].as_str().unwrap_or_default().to_owned();
    (made.events.iter().map(text).collect(), made.refused)
}

#[test]
fn a_message_over_a_stream_may_be_a_line_or_announce_its_length() {
    let message = |text: &str| format!("<34>1 - h a - - - {text}");
    let counted = |text: &str| format!("{} {}", message(text).len(), message(text));
    let stream = format!(
        "{}{}\n{}{}\n",
        counted("one\ntwo"),
        counted("three"),
        counted("four"),
        message("five")
    );
    let (texts, bad) = messages(&stream);
    assert_eq!(texts, ["one\ntwo", "three", "four", "five"]);
    assert!(bad.is_empty());
}

#[test]
fn a_wrong_length_costs_its_message() {
    let good = "<34>1 - h a - - - good\n";
    // Too short: the rest is a line that is none.
    let (texts, bad) = messages(&format!("20 {good}{good}"));
    assert_eq!(texts, ["go", "good"]);
    assert_eq!(bad[0].0, "od");
    // Longer than an event may be.
    let (texts, bad) = messages(&format!(
        "300 {}{good}",
        &"<34>1 - h a - - - x".repeat(20)[..300]
    ));
    assert_eq!(texts, ["good"]);
    assert!(
        bad[0]
            .1
            .starts_with("1: payload of 300 bytes > max_event_bytes (200 bytes)"),
        "{bad:?}"
    );
    // Longer than the stream.
    let (texts, bad) = messages(&format!("{good}100 <34>1 - h"));
    assert_eq!(texts, ["good"]);
    assert_eq!(
        bad,
        [(
            "<34>1 - h".to_owned(),
            "2: the message ends after 9 of 100 bytes".to_owned()
        )]
    );
    // No length at all.
    for stream in [
        "12 monkeys\n",
        "99999999999 <34>1 x\n",
        "0 <34>x\n",
        "12",
        "007 <3>",
    ] {
        let (texts, bad) = messages(stream);
        assert!(texts.is_empty());
        assert_eq!(bad[0].0, stream.trim_end(), "{stream}");
    }
}
