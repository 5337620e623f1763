//! Which options there are, and what is said of others.

use super::refused;
use serde_json::json;
use tributary::connect::{self, Options};
use tributary::format::Encoder;

#[test]
fn a_format_that_is_unknown_or_an_option_that_does_not_fit_is_refused_with_a_hint() {
    for (options, error) in [
        (
            json!({"format": "cvs"}),
            "option format of a format: no format \"cvs\"; did you mean \"csv\"?",
        ),
        (
            json!({"format": "xml"}),
            "option format of a format: no format \"xml\"; there are json, text, bytes, csv, logfmt, syslog, combined, common, nginx_error",
        ),
        (
            json!({"format": 7}),
            "option format of a format: the name of a format or {pattern = \"…\"} expected, got 7",
        ),
        (
            json!({"format": {"pattern": "(?<a>x)", "types": {}}}),
            "option format of a format: the name of a format or {pattern = \"…\"} expected",
        ),
        (
            json!({"fromat": "csv"}),
            "a format has no option \"fromat\"; did you mean \"format\"?",
        ),
        (
            json!({"columns": ["a"]}),
            "option columns of a format does not fit the format json",
        ),
        (
            json!({"format": "text", "types": "auto"}),
            "option types of a format does not fit the format text",
        ),
        (
            json!({"multiline": "x"}),
            "option multiline of a format: {start = \"a pattern\"} expected, got \"x\"",
        ),
        (
            json!({"multiline": {}}),
            "option start of multiline of a format: a pattern expected",
        ),
        (
            json!({"multiline": {"start": "("}}),
            "option start of multiline of a format: bad pattern \"(\"",
        ),
        (
            json!({"multiline": {"start": "x", "timeout": "never"}}),
            "option timeout of multiline of a format: ",
        ),
        (
            json!({"multiline": {"start": "x", "lines": 0}}),
            "option lines of multiline of a format: a whole number from 1 expected, got 0",
        ),
        (
            json!({"multiline": {"strat": "x"}}),
            "option multiline of a format: a format has no option \"strat\"; did you mean \"start\"?",
        ),
    ] {
        let text = refused(&options);
        assert!(text.starts_with(error), "{text}");
    }
    for (options, error) in [
        (
            json!({"format": "syslog"}),
            "option format of a format: syslog can be read only; there are json, text, bytes, csv, logfmt",
        ),
        (
            json!({"format": {"pattern": "(?<a>x)"}}),
            "option format of a format: pattern can be read only",
        ),
        (
            json!({"template": "x"}),
            "option template of a format does not fit the format json",
        ),
        (
            json!({"format": "text", "template": "{data"}),
            "option template of a format: bad template",
        ),
        (
            json!({"format": "text", "template": 1}),
            "option template of a format: string expected, got 1",
        ),
        (
            json!({"format": "csv", "columns": ["a", "a"]}),
            "option columns of a format: column \"a\" is there twice",
        ),
    ] {
        let text = Encoder::new(&options).expect_err("refused").to_string();
        assert!(text.starts_with(error), "{text}");
    }
}

#[test]
fn options_of_a_stream_are_none_of_messages() {
    let url = "redis://127.0.0.1";
    let options = Options::new().with("channel", "c");
    for (name, value, error) in [
        (
            "header",
            json!(true),
            "redis sources has no option \"header\"",
        ),
        (
            "multiline",
            json!({"start": "x"}),
            "redis sources has no option \"multiline\"",
        ),
        (
            "format",
            json!("csv"),
            "the format csv of redis sources needs the option columns",
        ),
        (
            "format",
            json!("cvs"),
            "option format of redis sources: no format \"cvs\"; did you mean \"csv\"?",
        ),
    ] {
        let text = connect::source(url, &options.clone().with(name, value)).err();
        let text = text.expect("refused").to_string();
        assert!(text.starts_with(error), "{text}");
    }
    let csv = options.with("format", "csv");
    let text = connect::sink(url, &csv).err().expect("refused").to_string();
    assert!(
        text.starts_with("the format csv of redis sinks needs the option columns"),
        "{text}"
    );
}
