//! logfmt.

use super::{read, written};
use serde_json::json;

#[test]
fn pairs_are_fields_and_values_without_quotes_may_be_numbers() {
    let stream = "level=info msg=\"a \\\"text\\\" \\\\ \\n\" took=12.5 n=-3 id=007 sha=12e4 ok=true none=null \
                  path=/a?b=c empty= q=\"1\" π=\"\ttab\"\n";
    let expected = json!({
        "level": "info", "msg": "a \"text\" \\ \n", "took": 12.5, "n": -3, "id": "007", "sha": "12e4",
        "ok": true, "none": null, "path": "/a?b=c", "empty": "", "q": "1", "π": "\ttab",
    });
    assert_eq!(read(&json!({"format": "logfmt"}), stream).all(), [expected]);
    let options =
        json!({"format": "logfmt", "types": {"at": "time", "id": "integer", "n": "text"}});
    let stream = "at=2025-11-24T16:00:00Z id=\"007\" n=5 other=5\n";
    let expected = json!({"at": 1_764_000_000, "id": 7, "n": "5", "other": 5});
    assert_eq!(read(&options, stream).all(), [expected]);
}

#[test]
fn what_is_no_pair_is_refused_with_its_place() {
    for (line, error) in [
        ("a=1 bare b=2", "the word \"bare\" at byte 4 has no value"),
        ("word", "the word \"word\" at byte 0 has no value"),
        ("a=1 b=2 a=3", "key \"a\" is there twice, at byte 8"),
        ("a=1 =2", "bad key \"\" at byte 4"),
        ("\"a\"=1", "bad key \"\"a\"\" at byte 0"),
        (
            "a=\"1",
            "field \"a\": a quote is not closed, or a bad escape",
        ),
        (
            "a=\"\\q\"",
            "field \"a\": a quote is not closed, or a bad escape",
        ),
        (
            "a=\"\\",
            "field \"a\": a quote is not closed, or a bad escape",
        ),
        (
            "a=\"1\"2",
            "field \"a\": a blank is expected behind the closing quote",
        ),
        (
            "a=x\"y\"",
            "field \"a\": a quote within the value \"x\"y\"\"",
        ),
    ] {
        let made = read(&json!({"format": "logfmt"}), format!("{line}\nb=1\n"));
        assert_eq!(made.events, [json!({"b": 1})]);
        assert_eq!(made.refused, [(line.to_owned(), format!("1: {error}"))]);
    }
}

#[test]
fn fields_are_written_as_pairs_and_quoted_where_they_need_it() {
    let events = [json!({
        "s": "plain", "q": "two words", "n": 1e300, "t": "7", "u": "", "v": "a=b", "w": null, "x": true,
        "y": [1, "z"], "é": "π",
    })];
    let expected = "s=plain q=\"two words\" n=1.0e+300 t=\"7\" u=\"\" v=\"a=b\" w=null x=true \
                    y=\"[1,\\\"z\\\"]\" é=π\n";
    assert_eq!(written(&json!({"format": "logfmt"}), &events), expected);
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("out");
    let events = [json!({"a b": 1}), json!({"": 1}), json!(1)];
    let refused = super::write(&path, &json!({"format": "logfmt"}), &events).expect("it runs");
    assert_eq!(
        refused,
        [
            "the field \"a b\" cannot be a key of logfmt",
            "the field \"\" cannot be a key of logfmt",
            "a JSON object was expected, this is a number",
        ]
    );
}
