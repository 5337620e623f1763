//! The face of connectors: addresses, options, secrets, templates.

use crate::support::probe::{Log, Scripted, Seen, soon};
use serde_json::json;
use tributary::connect::{self, JsonTemplate, Options, Template};
use tributary::{Error, ErrorKind, Event, Network, ReadStatus, Result, Runtime, time::Timestamp};

fn source_error(url: &str) -> String {
    let made = connect::source(url, &Options::new());
    made.err().expect("it is refused").to_string()
}

fn sink_error(url: &str, options: Options) -> String {
    let made = connect::sink(url, &options);
    made.err().expect("it is refused").to_string()
}

fn event(payload: serde_json::Value) -> Event {
    Event::new(payload, Timestamp::from_secs(0)).with_meta("subject", "bets.uk")
}

#[test]
fn an_address_that_cannot_be_is_refused_with_what_may_be_meant() {
    for (url, expected) in [
        ("bets.jsonl", "no scheme"),
        ("", "no scheme"),
        (":x", "no scheme"),
        ("natz://h/x", "did you mean \"nats\"?"),
        ("fil:x", "did you mean \"file\"?"),
        ("gopher://h", "exec, "),
        ("file:a\r\nb", "it has a control character"),
        ("file:", "file:: no path in the address"),
        ("stdin:x", "nothing can follow the colon"),
        ("stdout:", "stdout can be a sink only"),
    ] {
        let error = source_error(url);
        assert!(error.contains(expected), "{url}: {error}");
    }
    assert!(source_error(&format!("file:{}", "x".repeat(10_000))).contains("more than 4096 bytes"));
}

#[test]
#[cfg(not(feature = "kafka"))]
fn a_scheme_that_is_not_built_in_names_its_feature() {
    let error = source_error("kafka://me:hidden@h/x");
    assert_eq!(
        error,
        "kafka://me:***@h/x: kafka is not built in; build with the feature \"kafka\""
    );
}

#[test]
fn an_option_that_is_unknown_or_wrong_is_refused() {
    for (options, expected) in [
        (
            Options::new().with("apend", true),
            "file sinks has no option \"apend\"; did you mean \"append\"?",
        ),
        (
            Options::new().with("colour", "red"),
            "file sinks has no option \"colour\"; its options are append, sync, rotate_bytes, ",
        ),
        (
            Options::new().with("append", 1),
            "option append of file sinks: boolean expected, got 1",
        ),
    ] {
        let error = sink_error("file:x", options);
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(Options::from_json(json!([1])).is_err());
    assert!(Options::from_json(json!([])).is_ok() && Options::from_json(json!(null)).is_ok());
}

#[test]
fn what_is_filled_in_comes_from_the_environment_or_a_file() -> Result<()> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "hunter2-file\n").expect("written");
    let url = format!("kafkaesque:${{file:{}}}", file.path().display());
    assert!(source_error(&url).starts_with("bad address \"kafkaesque:***\""));
    for (url, expected) in [
        (
            "file:${env:TRIBUTARY_NOT_SET}",
            "${env:TRIBUTARY_NOT_SET}: the variable is not set",
        ),
        (
            "file:${file:/nothing/here}",
            "${file:/nothing/here}: no such file or directory",
        ),
        (
            "file:${PATH}",
            "${PATH}: neither env nor file; write ${env:NAME} or ${file:path}",
        ),
        (
            "file:${env:PATH",
            "a ${ is not closed in \"file:${env:PATH\"; write $${ for the text ${",
        ),
    ] {
        let error = connect::source(url, &Options::new())
            .err()
            .expect("refused");
        assert_eq!(
            (error.to_string().as_str(), error.kind()),
            (expected, ErrorKind::Config)
        );
    }
    // Home is there on every machine, and it is shown to nobody.
    let error = sink_error("file:x", Options::new().with("append", "${env:HOME}"));
    assert_eq!(
        error,
        "option append of file sinks: boolean expected, got \"***\""
    );
    connect::sink("file:$${x}", &Options::new())?;
    Ok(())
}

#[test]
fn a_password_is_not_shown() {
    for url in [
        "gopher://me:hidden@host/x",
        "gopher://me:hid/hidden@host/x",
        "gopher://:hidden@host",
        "gopher://me:hid:hidden@[::1]:99/x?y=z",
    ] {
        let error = source_error(url);
        assert!(!error.contains("hid") && error.contains(":***@"), "{error}");
    }
}

#[test]
fn a_script_makes_sources_and_sinks_by_address() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let path = |name: &str| place.path().join(name).display().to_string();
    std::fs::write(path("in"), "1\n2\n").expect("written");
    let network = Network::new();
    let script = format!(
        "local tb = require('tributary')
         tb.create_source('in', 'file:{}')
         tb.create_sink('out', 'file:{}', {{ append = false }})
         tb.link('in', 'out')",
        path("in"),
        path("out")
    );
    Runtime::new(&network)?.run_text("net.lua", &script)?;
    network.start()?;
    network.wait()?;
    assert_eq!(
        std::fs::read_to_string(path("out")).expect("read"),
        "1\n2\n"
    );
    let run = |script: &str| {
        let made = Runtime::new(&Network::new()).and_then(|runtime| {
            runtime.run_text("net.lua", format!("tb = require('tributary') {script}"))
        });
        made.expect_err("it is refused").to_string()
    };
    assert_eq!(
        run("tb.create_sink('x', 'file:x', {sink = 1})"),
        "net.lua:1: file sinks has no option \"sink\"; did you mean \"sync\"?"
    );
    assert!(run("tb.create_source('x', 'file:x', 1)").contains("options are an object, not 1"));
    assert!(run("tb.create_source('x')").contains("string expected, got nothing"));
    Ok(())
}

#[test]
fn a_template_puts_in_what_the_event_has() -> Result<()> {
    let bet =
        event(json!({"id": "a", "n": 1.5, "game": {"name": "A-B"}, "odds": [1, 2], "x": null}));
    for (template, expected) in [
        ("", ""),
        ("plain", "plain"),
        ("{data.id}/{data.n}/{data.x}", "a/1.5/null"),
        ("{data.game.name} {data.odds.1} {data.odds}", "A-B 2 [1,2]"),
        (
            "{meta.subject} at {time}",
            "bets.uk at 1970-01-01T00:00:00Z",
        ),
        ("{{{data.id}}}", "{a}"),
    ] {
        assert_eq!(Template::parse(template)?.render(&bet)?, expected);
    }
    let whole = Template::parse("{data}")?.render(&event(json!({"a": 1})))?;
    assert_eq!(whole, r#"{"a":1}"#);
    let template =
        JsonTemplate::parse(&json!({"text": "on {data.id}", "n": "{data.n}", "k": [true]}))?;
    assert_eq!(
        template.render(&bet)?,
        json!({"text": "on a", "n": 1.5, "k": [true]})
    );
    Ok(())
}

#[test]
fn a_template_with_an_unknown_field_is_refused() -> Result<()> {
    for (template, expected) in [
        (
            "{dat.x}",
            "bad template \"{dat.x}\": unknown placeholder \"dat\"; did you mean \"data\"?",
        ),
        ("{x", "a { is not closed; write {{ for a brace"),
        ("x}", "a } closes nothing; write }} for a brace"),
        ("{}", "unknown placeholder \"\"; write {data.field}"),
        ("{time.x}", "time has no fields"),
        ("{meta}", "meta needs a field"),
        ("{data..x}", "a name is empty"),
    ] {
        let error = Template::parse(template).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
    for (template, field) in [
        ("{data.y.z}", "data.y.z"),
        ("{meta.y}", "meta.y"),
        ("{data.id.0}", "data.id.0"),
    ] {
        let error = Template::parse(template)?.render(&event(json!({"id": "a"})));
        let error = error.expect_err("refused").to_string();
        assert_eq!(error, format!("the event has no field \"{field}\""));
    }
    Ok(())
}

#[test]
fn a_node_that_cannot_be_opened_yet_is_opened_later_unless_it_is_to_fail_fast() -> Result<()> {
    let network = || -> Result<(Network, Log, Seen)> {
        let (network, log) = (Network::new(), Log::default());
        let mut attempts = 0;
        let source = Scripted::new(&log).on_open(move || {
            attempts += 1;
            match attempts {
                1 | 2 => Err(Error::new(ErrorKind::Unavailable, "nobody answers").retryable()),
                _ => Ok(()),
            }
        });
        let mut sent = false;
        network.add_source(
            "in",
            source.on_read(move |cx| {
                if !std::mem::replace(&mut sent, true) {
                    cx.emit(Event::new("1", cx.now()));
                }
                Ok(ReadStatus::Idle)
            }),
        )?;
        let seen = Seen::at(&network, "out")?;
        network.link("in", "out")?;
        Ok((network, log, seen))
    };
    let (late, log, seen) = network()?;
    late.start()?;
    assert!(soon(|| seen.len() == 1));
    assert_eq!(log.count("open"), 3);
    late.stop()?;
    let (fast, _, _) = network()?;
    fast.fail_fast(true);
    let error = fast.start().expect_err("it fails");
    assert_eq!(error.to_string(), "node in: nobody answers");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    Ok(())
}
