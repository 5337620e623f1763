//! Every connector of the registry, held against what all of them promise.

use super::registry::connectors;
use super::support::secret::fill;
use super::{Address, Options, Settings, sink};
use crate::event::Event;
use crate::time::Timestamp;
use serde_json::{Value, json};
use std::io::Write as _;

/// What is no template, or another one, where it is parsed as one.
const SECRETS: [&str; 9] = [
    "pa{ss",
    "pa}ss",
    "pa{{ss}}word",
    "{data.private}",
    "{meta.x}{time}",
    "{nothing}",
    "${env:HOME}",
    "$${x}}",
    "%7Bdata.private%7D",
];

/// A sink that can be made: its address, and the options that it needs beside `option`.
fn sink_of(scheme: &str, option: &str) -> (&'static str, Value) {
    match scheme {
        "amqp" if option == "key" => ("amqp://127.0.0.1/", json!({})),
        "amqp" => ("amqp://127.0.0.1/", json!({"key": "q"})),
        "exec" => ("exec:true", json!({})),
        "file" => ("file:/tmp/never-opened", json!({})),
        "stdout" => ("stdout:", json!({})),
        "tcp" => ("tcp://127.0.0.1:9", json!({})),
        "unix" => ("unix:/tmp/never-opened", json!({})),
        "http" => ("http://127.0.0.1:9/", json!({})),
        "https" => ("https://127.0.0.1:9/", json!({})),
        "kafka" => ("kafka://127.0.0.1/topic", json!({})),
        "mqtt" if option == "topic" => ("mqtt://127.0.0.1", json!({})),
        "mqtt" => ("mqtt://127.0.0.1", json!({"topic": "t"})),
        "nats" => ("nats://127.0.0.1/subject", json!({})),
        "tls" => ("tls://127.0.0.1/subject", json!({})),
        "redis" if option == "template" => ("redis://127.0.0.1", json!({"channel": "c"})),
        "redis" => ("redis://127.0.0.1", json!({})),
        "slack" => ("slack:https://127.0.0.1/x", json!({})),
        "telegram" if option == "text" => ("telegram:1:a", json!({"chat": 1})),
        "telegram" => ("telegram:1:a", json!({"text": "x"})),
        other => panic!("add here how a sink of {other} is made"),
    }
}

/// How an option may hold a text.
fn shapes(option: &str, text: &str) -> Vec<Value> {
    match option {
        "args" => vec![json!(text), json!(["-c", text])],
        "headers" => vec![json!({"x-token": text})],
        "body" => vec![json!({"a": text, "b": [text, {"c": text}]})],
        // An id tells events apart.
        "id" => vec![json!(format!("{{data.n}}{text}"))],
        _ => vec![json!(text), json!(format!("a{text}b"))],
    }
}

fn event() -> Event {
    let payload = json!({"n": 1, "private": "of the event"});
    Event::new(payload, Timestamp::from_secs(0)).with_meta("x", "y")
}

#[test]
fn a_secret_is_no_template_in_any_option_of_any_connector() {
    let mut options = 0;
    for connector in connectors() {
        let sink_of_it = connector.sink.as_ref();
        let known = sink_of_it.map_or_else(Vec::new, |make| make.all_options());
        for option in connector.templates {
            assert!(known.contains(option), "{option} of {}", connector.scheme);
            options += 1;
            for secret in SECRETS {
                let mut file = tempfile::NamedTempFile::new().expect("a file");
                writeln!(file, "{secret}").expect("written");
                let place = format!("${{file:{}}}", file.path().display());
                let (url, mut base) = sink_of(connector.scheme, option);
                if *option == "template" {
                    base["format"] = json!("text");
                }
                let filled = shapes(option, &place);
                let expected = shapes(option, secret);
                for (filled, expected) in filled.into_iter().zip(expected) {
                    let mut given = Options::from_json(base.clone()).expect("an object");
                    given = given.with(option, filled);
                    let of = format!("{option} of {} with {secret}", connector.scheme);
                    if let Err(error) = sink(url, &given) {
                        panic!("{of}: {error}");
                    }
                    let settings =
                        Settings::new(String::new(), &given, &known, connector.templates);
                    let template = settings.expect("settings").json_template(option);
                    let template = template.expect(&of).expect("it is given");
                    let expected = expected.to_string();
                    let expected = expected.replace("{data.n}", "1");
                    let rendered = template.render(&event()).expect(&of);
                    assert_eq!(rendered.to_string(), expected, "{of}");
                }
            }
        }
    }
    #[cfg(all(feature = "amqp", feature = "kafka", feature = "telegram"))]
    assert!(options > 15, "{options}");
}

#[test]
fn a_secret_in_the_path_of_an_address_is_no_template() {
    for secret in SECRETS {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        writeln!(file, "{secret}").expect("written");
        let text = format!(
            "nats://host/a.{{data.n}}.${{file:{}}}",
            file.path().display()
        );
        let text = fill(&text).expect("filled in");
        let address = Address::new(text).expect("an address");
        let template = address.path_template().expect(secret);
        let rendered = template.render(&event()).expect(secret);
        assert_eq!(rendered, format!("a.1.{secret}"));
        let server = address.server_with_path(0).expect("a server");
        let path = server.decoded_path().expect(secret);
        assert_eq!(path, format!("a.{{data.n}}.{secret}"));
    }
}

#[test]
fn an_error_of_a_template_shows_no_secret() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "se{{cret \"{{{{quoted}}}}\"").expect("written");
    let text = format!("{{nope}} ${{file:{}}}", file.path().display());
    let made = sink("exec:true", &Options::new().with("args", text));
    let error = made.err().expect("refused").to_string();
    assert!(error.contains("unknown placeholder \"nope\""), "{error}");
    assert!(
        !error.contains("cret") && !error.contains("quoted"),
        "{error}"
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_secret() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"\xef\xbb\xbfhunter2\r\n").expect("written");
    let text = format!("${{file:{}}}", file.path().display());
    let filled = fill(&text).expect("filled in");
    assert_eq!(filled.reveal(), "hunter2");
}
