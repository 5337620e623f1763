//! Patterns with named groups, and those that have a name.

use super::{read, refused};
use serde_json::json;

#[test]
fn named_groups_are_fields_of_their_types() {
    let options = json!({
        "format": {"pattern": r"^(?<host>\S+) took (?<took>[\d.]+)ms(?: code (?<code>\d+))?(x)?$"},
        "types": {"took": "real", "code": "integer"},
    });
    let made = read(
        &options,
        "web-1 took 12.5ms code 7\nweb-2 took 3ms\nnothing\n",
    );
    assert_eq!(
        made.events,
        [
            json!({"host": "web-1", "took": 12.5, "code": 7}),
            json!({"host": "web-2", "took": 3, "code": null}),
        ]
    );
    let why = "3: the pattern does not match \"nothing\"".to_owned();
    assert_eq!(made.refused, [("nothing".to_owned(), why)]);
    // A value that is not of its type is the error of its line.
    let options = json!({"format": {"pattern": "(?<n>.*)"}, "types": "integer"});
    let made = read(&options, "7\nx\n");
    assert_eq!(made.refused[0].1, "2: field \"n\": \"x\" is not an integer");
}

#[test]
fn a_pattern_that_is_none_or_too_large_stops_the_load() {
    for (pattern, error) in [
        (
            json!("no groups"),
            "option format of a format: pattern \"no groups\" has no named group; name what is to be a field, as in (?<host>\\S+)",
        ),
        (
            json!("(\\d+)"),
            "option format of a format: pattern \"(\\d+)\" has no named group",
        ),
        (
            json!("(?<a"),
            "option format of a format: bad pattern \"(?<a\": unclosed capture group name",
        ),
        (
            json!("(?<a>x)(?<a>y)"),
            "option format of a format: bad pattern",
        ),
        (
            json!("(?<a>\\w{1000}){1000}"),
            "option format of a format: pattern \"(?<a>\\w{1000}){1000}\" is too large when it is compiled; use smaller counts in {n,m}",
        ),
        (
            json!(format!("(?<a>{})", "x".repeat(20_000))),
            "option format of a format: pattern of 20006 bytes > 16384 bytes",
        ),
        (
            json!(7),
            "option format of a format: the name of a format or {pattern = \"…\"} expected, got {\"pattern\":7}",
        ),
    ] {
        let text = refused(&json!({"format": {"pattern": pattern}}));
        assert!(
            text.starts_with(&error.replace('\\', "\\\\")) || text.starts_with(error),
            "{text}"
        );
    }
    let options = json!({"format": {"pattern": "(?<host>x)"}, "types": {"hst": "text"}});
    assert_eq!(
        refused(&options),
        "option format of a format: types has \"hst\", and there is no such field; did you mean \"host\"?"
    );
}

/// A backtracking engine takes longer than the age of the earth for it.
#[test]
fn no_pattern_takes_more_than_time_in_proportion_to_the_line() {
    let options = json!({"format": {"pattern": "^(?<a>(x+x+)+)y$"}});
    let made = read(&options, format!("{}\nxxy\n", "x".repeat(10_000)));
    assert_eq!(made.events, [json!({"a": "xx"})]);
    assert_eq!(made.refused.len(), 1);
}

#[test]
fn the_access_log_of_a_web_server_is_read() {
    let stream = r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"
::1 - - [01/Dec/2026:00:00:01 +0000] "POST /a?b=%20c HTTP/2.0" 502 - "-" "curl/8 \"x\""
10.0.0.1 - - [01/Dec/2026:00:00:02 +0000] "\x16\x03\x01" 400 157 "-" "-"
10.0.0.1 - - [01/Dec/2026:00:00:02 +0000] "-" 408 0 "-" "-"
10.0.0.1 - - [32/Dec/2026:00:00:02 +0000] "GET / HTTP/1.1" 200 0 "-" "-"
"#;
    let made = read(&json!({"format": "combined"}), stream);
    assert_eq!(
        made.events,
        [
            json!({
                "host": "127.0.0.1", "user": "frank", "time": 971_211_336, "method": "GET",
                "path": "/apache_pb.gif", "protocol": "HTTP/1.0", "status": 200, "bytes": 2326,
                "referer": "http://www.example.com/start.html",
                "agent": "Mozilla/4.08 [en] (Win98; I ;Nav)",
            }),
            json!({
                "host": "::1", "user": null, "time": 1_796_083_201, "method": "POST", "path": "/a?b=%20c",
                "protocol": "HTTP/2.0", "status": 502, "bytes": null, "referer": null,
                "agent": "curl/8 \\\"x\\\"",
            }),
            json!({
                "host": "10.0.0.1", "user": null, "time": 1_796_083_202, "method": null, "path": null,
                "protocol": null, "request": "\\x16\\x03\\x01", "status": 400, "bytes": 157,
                "referer": null, "agent": null,
            }),
            json!({
                "host": "10.0.0.1", "user": null, "time": 1_796_083_202, "method": null, "path": null,
                "protocol": null, "request": null, "status": 408, "bytes": 0, "referer": null, "agent": null,
            }),
        ]
    );
    let why = &made.refused[0].1;
    assert!(
        why.starts_with("5: field \"time\": bad time \"32/Dec/2026:00:00:02 +0000\""),
        "{why}"
    );
    let options = json!({"format": "common", "types": {"bytes": "text"}});
    let made = read(&options, stream).events;
    assert_eq!(made[0]["bytes"], "2326");
    assert_eq!(made[0]["agent"], json!(null));
}

#[test]
fn the_error_log_of_nginx_is_read() {
    let stream = r#"2026/12/01 00:00:00 [error] 29#30: *7 open() "/x" failed (2: No such file), client: 10.0.0.9, server: _, request: "GET /x HTTP/1.1", host: "h", referrer: "http://r/"
2026/12/01 00:00:01 [notice] 1#1: start worker processes
"#;
    let made = read(&json!({"format": "nginx_error"}), stream).all();
    assert_eq!(
        made[0],
        json!({
            "time": 1_796_083_200, "level": "error", "pid": 29, "tid": 30, "connection": 7,
            "message": "open() \"/x\" failed (2: No such file)", "client": "10.0.0.9", "server": "_",
            "request": "GET /x HTTP/1.1", "upstream": null, "host": "h", "referrer": "http://r/",
        })
    );
    assert_eq!(made[1]["message"], "start worker processes");
    assert_eq!(made[1]["client"], json!(null));
}
