//! Webhooks, Slack and Telegram against a fake server.

use super::web::Web;
use crate::support::probe::{Seen, soon, text};
use serde_json::json;
use std::time::{Duration, Instant};
use tributary::connect::{self, Options};
use tributary::{ErrorKind, Network, Result, source};

/// A network that has posted these events; what was rejected, and the error of it.
fn post(url: &str, options: &Options, events: &[&str]) -> Result<Vec<(String, String)>> {
    let network = Network::new();
    let events: Vec<String> = events.iter().map(|&event| event.to_owned()).collect();
    network.add_source("in", source::from_iter(events))?;
    network.add_sink("out", connect::sink(url, options)?)?;
    let errors = Seen::at(&network, "errors")?;
    network.link("in", "out")?;
    network.link("out.errors", "errors")?;
    network.start()?;
    network
        .wait_timeout(Duration::from_secs(30))
        .expect("it ends")?;
    let message = |event: &tributary::Event| event.meta().get("error").map(ToString::to_string);
    let errors = errors.events();
    Ok(errors
        .iter()
        .map(|event| (text(event), message(event).unwrap_or_default()))
        .collect())
}

fn refused(url: &str, options: &Options) -> String {
    let error = connect::sink(url, options).err().expect("it is refused");
    error.to_string()
}

#[test]
fn each_event_is_a_request() -> Result<()> {
    let web = Web::start();
    let options = Options::new()
        .with("method", "PUT")
        .with("token", "s3cret-token")
        .with("headers", json!({"X-Game": "{data.game}"}));
    let url = web.url("/hook?a=b");
    assert!(post(&url, &options, &[r#"{"game":"x"}"#, r#"{"game":"y"}"#])?.is_empty());
    let asked = web.asked();
    assert_eq!(asked[0].line, "PUT /hook?a=b HTTP/1.1");
    assert_eq!(asked[1].header("x-game"), Some("y"));
    assert_eq!(
        asked[1].header("authorization"),
        Some("Bearer s3cret-token")
    );
    assert_eq!(asked[1].header("content-type"), Some("application/json"));
    assert_eq!(web.bodies(), [r#"{"game":"x"}"#, r#"{"game":"y"}"#]);
    let with_password = url.replace("//", "//me:secret@");
    post(&with_password, &Options::new(), &["1"])?;
    assert_eq!(
        web.asked()[2].header("authorization"),
        Some("Basic bWU6c2VjcmV0")
    );
    Ok(())
}

#[test]
fn a_body_is_made_by_a_template_and_a_batch_is_one_request() -> Result<()> {
    let web = Web::start();
    let url = web.url("/");
    post(
        &url,
        &Options::new().with("body", "on {data.game}"),
        &[r#"{"game":"x"}"#],
    )?;
    let body = json!({"text": "on {data.game}", "sum": "{data.sum}"});
    let errors = post(
        &url,
        &Options::new().with("body", body),
        &[r#"{"game":"\"x","sum":3}"#, "{}"],
    )?;
    assert!(errors[0].1.contains("the event has no field"), "{errors:?}");
    let batch = Options::new().with("batch", 3);
    post(&url, &batch, &["1", "2", "3", "4"])?;
    post(&url, &batch.with("format", "lines"), &["1", "2"])?;
    let expected = [
        "on x",
        r#"{"text":"on \"x","sum":3}"#,
        "[1,2,3]",
        "[4]",
        "1\n2",
    ];
    assert_eq!(web.bodies(), expected);
    Ok(())
}

#[test]
fn each_event_of_a_body_of_lines_is_one_line() -> Result<()> {
    let web = Web::start();
    let lines = Options::new().with("batch", 3).with("format", "lines");
    let events = ["{\n\"a\": 1\n}", "2", "two\nlines"];
    let errors = post(&web.url("/"), &lines, &events)?;
    assert_eq!(web.bodies(), ["{\"a\":1}", "2"]);
    let reason = "a payload that spans lines and is not JSON does not fit on a line";
    assert_eq!(errors[0].0, "two\nlines");
    assert!(errors[0].1.contains(reason), "{errors:?}");
    let texts = lines.with("body", "{data}");
    post(&web.url("/"), &texts, &events[..2])?;
    assert_eq!(web.bodies()[2..], ["{\"a\":1}\n2"]);
    Ok(())
}

#[test]
fn what_is_refused_is_rejected_at_once_and_what_fails_is_sent_again_once_it_may() -> Result<()> {
    let web = Web::start();
    web.answer(&[
        "200",
        "404",
        "429 Retry-After: 1",
        "503",
        "200",
        "302 Location: http://127.0.0.1:1/",
    ]);
    let begun = Instant::now();
    let errors = post(&web.url("/"), &Options::new(), &["1", "2", "3", "4"])?;
    assert_eq!(web.bodies(), ["1", "2", "3", "3", "3", "4"]);
    assert_eq!(
        errors
            .iter()
            .map(|error| error.0.as_str())
            .collect::<Vec<_>>(),
        ["2", "4"]
    );
    assert!(
        errors[0]
            .1
            .contains("it answers 404 Not Found: \\\"answer\\\""),
        "{errors:?}"
    );
    let asked = web.asked();
    assert!(asked[3].at - asked[2].at >= Duration::from_millis(950));
    assert!(begun.elapsed() < Duration::from_secs(10));
    Ok(())
}

#[test]
fn a_batch_that_is_refused_is_sent_one_by_one() -> Result<()> {
    let web = Web::start();
    web.answer(&["200", "400", "200", "503", "400", "200"]);
    let options = Options::new().with("batch", 3);
    let errors = post(&web.url("/"), &options, &["1", "2", "3", "4", "5", "6"])?;
    assert_eq!(
        web.bodies(),
        ["[1,2,3]", "[4,5,6]", "[4]", "[5]", "[5,6]", "[5]", "[6]"]
    );
    assert!(errors.is_empty(), "{errors:?}");
    Ok(())
}

#[test]
fn an_address_or_option_that_cannot_be_is_refused() {
    let none = Options::new();
    for (url, options, expected) in [
        ("http:///x", none.clone(), "no host in the address"),
        ("http://h:99999/x", none.clone(), "its port is not a number"),
        ("https://h/a b", none.clone(), "not a valid URL"),
        (
            "http://h/",
            none.clone().with("method", "GET"),
            "one of POST, PUT, PATCH expected",
        ),
        (
            "http://h/",
            none.clone().with("headers", json!({"a": "b\r\nc: d"})),
            "header a is not allowed in a request",
        ),
        (
            "http://h/",
            none.clone().with("headers", json!({"a b": "c"})),
            "header a b is not allowed",
        ),
        (
            "http://h/",
            none.clone().with("body", "{dta.x}"),
            "did you mean \"data\"?",
        ),
        (
            "http://h/",
            none.clone().with("format", "lines"),
            "option format needs the option batch",
        ),
        ("ftp://h/", none.clone(), "unknown scheme"),
    ] {
        let error = refused(url, &options);
        assert!(error.contains(expected), "{error}");
    }
    assert!(refused("http://me:hidden@h:x/", &none).starts_with("http://me:***@h:x/: "));
}

#[test]
fn a_server_that_is_not_there_is_asked_again_until_the_stop() -> Result<()> {
    let url = format!("http://127.0.0.1:{}/", crate::support::process::free_port());
    let network = Network::new();
    network.add_source("in", source::from_iter(["1"]))?;
    network.add_sink(
        "out",
        connect::sink(&url, &Options::new().with("timeout", "1s"))?,
    )?;
    network.link("in", "out")?;
    network.start()?;
    assert!(soon(|| network
        .stats()
        .node("out")
        .is_some_and(|n| n.reopened > 0)));
    let error = network
        .stop_within(Duration::from_secs(1))
        .expect_err("it cannot drain");
    assert_eq!(error.kind(), ErrorKind::DrainTimeout);
    Ok(())
}

#[test]
#[cfg(feature = "slack")]
fn slack_gets_a_text_at_its_pace_and_its_address_is_a_secret() -> Result<()> {
    let web = Web::start();
    web.answer(&["200", "404"]);
    let url = format!("slack:{}", web.url("/services/T0/B0/xyzzy"));
    let options = Options::new()
        .with("text", "liability {data.n} on \"{data.game}\"")
        .with("pace", "300ms");
    let begun = Instant::now();
    let event = r#"{"n":1.5,"game":"A"}"#;
    let errors = post(&url, &options, &[event, event, event])?;
    assert_eq!(web.bodies()[0], r#"{"text":"liability 1.5 on \"A\""}"#);
    assert!(begun.elapsed() >= Duration::from_millis(600));
    assert!(
        errors[0].1.contains("slack:***: it answers 404") && errors.len() == 1,
        "{errors:?}"
    );
    for (url, options, expected) in [
        (
            "slack:ftp://xyzzy",
            options.clone(),
            "slack:***: the scheme must be https or http",
        ),
        (
            "slack:https://xyzzy",
            Options::new(),
            "slack sinks needs the option text",
        ),
        (
            "slack:https://xyzzy",
            options.with("channel", "x"),
            "slack sinks has no option \"channel\"",
        ),
    ] {
        let error = refused(url, &options);
        assert!(
            error.starts_with(expected) && !error.contains("xyzzy"),
            "{error}"
        );
    }
    Ok(())
}

#[test]
#[cfg(feature = "telegram")]
fn telegram_gets_a_text_and_its_token_is_a_secret() -> Result<()> {
    let web = Web::start();
    web.answer(&["429 Retry-After: 1", "200", "400"]);
    let options = Options::new()
        .with("text", "{data.n}")
        .with("chat", -100123)
        .with("api", web.url(""))
        .with("pace", "0s");
    let errors = post(
        "telegram:123:AA-xyzzy",
        &options,
        &[r#"{"n":1}"#, r#"{"n":2}"#],
    )?;
    let asked = web.asked();
    assert_eq!(asked[1].line, "POST /bot123:AA-xyzzy/sendMessage HTTP/1.1");
    assert_eq!(asked[1].body, r#"{"chat_id":"-100123","text":"1"}"#);
    assert_eq!(asked.len(), 3);
    assert!(
        errors[0].1.contains("telegram:***: it answers 400"),
        "{errors:?}"
    );
    assert!(refused("telegram:123/xyzzy", &options).starts_with("telegram:***: not a bot token"));
    Ok(())
}

#[test]
fn a_token_that_cannot_stand_in_a_header_is_refused_at_the_start() {
    let token = |token: &str| Options::new().with("token", token);
    for (given, expected) in [
        ("hidd\u{e9}n", "it has a character that is not ASCII"),
        ("\u{feff}hidden", "it has a character that is not ASCII"),
        ("hid\nden", "it has a control character"),
        (" hidden", "it begins or ends with a space"),
        ("", "a token expected"),
    ] {
        let source = connect::source("http://127.0.0.1:1/x", &token(given)).err();
        let errors = [
            refused("http://127.0.0.1:1/x", &token(given)),
            source.expect("it is refused").to_string(),
        ];
        for error in errors {
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hid"), "{error}");
        }
    }
}
