//! CSV: records as RFC 4180 describes them, and what is none.

use super::{read, read_within, refused, write, written};
use serde_json::{Value, json};

fn csv() -> Value {
    json!({"format": "csv"})
}

/// The values of the columns a and b (and so on) of all records.
fn rows(stream: &str) -> Vec<Vec<String>> {
    let events = read(&csv(), stream).all();
    let row = |event: &Value| {
        let fields = event.as_object().expect("an object").values();
        fields
            .map(|value| value.as_str().expect("a text").to_owned())
            .collect()
    };
    events.iter().map(row).collect()
}

#[test]
fn records_are_read_as_rfc_4180_describes_them() {
    let one = |values: &[&str]| vec![values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>()];
    let cases: [(&str, &str, &[&str]); 16] = [
        ("a line end of CR LF", "a,b\r\n1,2\r\n", &["1", "2"]),
        ("a line end of LF", "a,b\n1,2\n", &["1", "2"]),
        ("no line end at the end", "a,b\n1,2", &["1", "2"]),
        ("blanks belong to a value", "a,b\n 1 , 2\n", &[" 1 ", " 2"]),
        ("quotes", "a,b\n\"1\",\"2\"\n", &["1", "2"]),
        ("some are quoted", "a,b\n\"1\",2\n", &["1", "2"]),
        ("a delimiter in quotes", "a,b\n\"1,5\",2\n", &["1,5", "2"]),
        (
            "a quote in quotes",
            "a,b\n\"1 \"\"x\"\"\",2\n",
            &["1 \"x\"", "2"],
        ),
        ("a quote alone", "a,b\n\"\"\"\",\n", &["\"", ""]),
        ("an LF in quotes", "a,b\n\"1\n2\",3\n", &["1\n2", "3"]),
        (
            "a CR LF in quotes",
            "a,b\r\n\"1\r\n\r\n2\",3\r\n",
            &["1\r\n\r\n2", "3"],
        ),
        ("a CR in quotes", "a,b\n\"1\r2\",3\n", &["1\r2", "3"]),
        ("empty values", "a,b\n,\n", &["", ""]),
        ("empty values in quotes", "a,b\n\"\",\"\"\n", &["", ""]),
        (
            "a line end before the end quote",
            "a,b\n1,\"2\n\"\n",
            &["1", "2\n"],
        ),
        ("a quoted header", "\"a\nx\",\"b,y\"\n1,2\n", &["1", "2"]),
    ];
    for (what, stream, expected) in cases {
        assert_eq!(rows(stream), one(expected), "{what}");
    }
    let text = "a,b\n\n1,2\n\r\n3,4\n";
    assert_eq!(rows(text), [["1", "2"], ["3", "4"]], "empty lines");
    assert_eq!(
        rows("\u{feff}a\n\"\"\n\"  \"\n"),
        [[""], ["  "]],
        "one column"
    );
    let made = read(&csv(), "\u{feff}a\n1\n").all();
    assert_eq!(made, [json!({"a": "1"})], "a byte order mark");
}

#[test]
fn columns_delimiter_quote_and_types_are_options() {
    let options = json!({
        "format": "csv", "columns": ["id", "at", "sum", "is_new", "note"], "delimiter": ";", "quote": "'",
        "types": {"id": "integer", "at": "%d.%m.%Y %H:%M", "sum": "real", "is_new": "boolean"},
    });
    let stream = "7;24.11.2025 16:00;12.50;true;'a;b'\n;;;;\n";
    assert_eq!(
        read(&options, stream).all(),
        [
            json!({"id": 7, "at": 1_764_000_000, "sum": 12.5, "is_new": true, "note": "a;b"}),
            json!({"id": null, "at": null, "sum": null, "is_new": null, "note": ""}),
        ]
    );
    let options = json!({"format": "csv", "types": "auto", "delimiter": "\t"});
    let stream = "a\tb\tc\n1\t007\ttrue\n";
    assert_eq!(
        read(&options, stream).all(),
        [json!({"a": 1, "b": "007", "c": true})]
    );
    let options = json!({"format": "csv", "quote": ""});
    assert_eq!(
        read(&options, "a,b\n\"1,2\"\n").all(),
        [json!({"a": "\"1", "b": "2\""})]
    );
    // The names of the file are replaced.
    let options = json!({"format": "csv", "columns": ["x", "y"], "header": true});
    assert_eq!(
        read(&options, "a,b\n1,2\n").all(),
        [json!({"x": "1", "y": "2"})]
    );
}

#[test]
fn a_record_that_is_bad_costs_itself_and_names_its_line() {
    let stream = "a,b\n1,2\n1\n1,2,3\n\"x\ny\",2,3\n1,2\n3,\0\na,b\n4,\"5\"\n";
    let made = read(&csv(), stream);
    let expected = [("1", "2"), ("1", "2"), ("4", "5")];
    assert_eq!(made.events, expected.map(|(a, b)| json!({"a": a, "b": b})));
    let expected = [
        ("1", "3: 1 field instead of 2"),
        ("1,2,3", "4: 3 fields instead of 2"),
        ("\"x\ny\",2,3", "5: 3 fields instead of 2"),
        ("3,\0", "8: NUL in the value \"\\0\""),
        ("a,b", "9: the header again"),
    ];
    let expected = expected.map(|(payload, why)| (payload.to_owned(), why.to_owned()));
    assert_eq!(made.refused, expected);
    let made = read(
        &json!({"format": "csv", "types": {"b": "integer"}}),
        "a,b\n1,x\n1,2\n",
    );
    assert_eq!(made.events, [json!({"a": "1", "b": 2})]);
    assert_eq!(made.refused[0].1, "2: field \"b\": \"x\" is not an integer");
    let made = read(&csv(), "a\nx\ry\n1\n");
    assert_eq!(made.events, [json!({"a": "1"})]);
    assert!(
        made.refused[0]
            .1
            .starts_with("2: a carriage return in the middle of a line")
    );
    let made = read(&csv(), b"a\n\xff\n1\n");
    assert!(made.refused[0].1.starts_with("2: not UTF-8 at byte 0"));
}

#[test]
fn a_quote_that_is_not_closed_is_bounded_and_nothing_of_it_is_lost() {
    let made = read(&csv(), "a,b\n1,2\n3,\"4\n5,6\n");
    assert_eq!(made.events, [json!({"a": "1", "b": "2"})]);
    let expected = (
        "3,\"4\n5,6".to_owned(),
        "3: a quote is not closed".to_owned(),
    );
    assert_eq!(made.refused, [expected]);

    let long = format!("a,b\n1,\"{}", "2,3\n".repeat(50));
    let made = read_within(&csv(), format!("{long}4,5\n"), 100);
    // The rest is read as rows again, and those are some.
    assert!(
        made.events.contains(&json!({"a": "4", "b": "5"})),
        "{made:?}"
    );
    let sizes = [made.events.len(), made.refused.len()];
    assert_eq!(sizes[1], 1, "{made:?}");
    let why = &made.refused[0].1;
    assert!(why.starts_with("2: payload of 1"), "{why}");
}

#[test]
fn a_line_that_is_too_long_within_quotes_costs_what_was_open_too() {
    let stream = format!("a,b\n1,\"2\n{}\n3,4\n", "x".repeat(200));
    let made = read_within(&csv(), stream, 100);
    assert_eq!(made.events, [json!({"a": "3", "b": "4"})]);
    let payloads: Vec<_> = made
        .refused
        .iter()
        .map(|(payload, _)| payload.len())
        .collect();
    assert_eq!(payloads, ["1,\"2".len(), 200]);
    assert_eq!(made.refused[0].1, "2: a quote is not closed");
    assert!(
        made.refused[1].1.starts_with("3: payload of 200 bytes"),
        "{made:?}"
    );
}

#[test]
fn a_header_that_has_a_name_twice_refuses_every_record() {
    let made = read(&csv(), "a,b,a\n1,2,3\n4,5,6\n");
    assert!(made.events.is_empty());
    let why: Vec<_> = made.refused.iter().map(|(_, why)| why.as_str()).collect();
    let error = "bad header: column \"a\" is there twice";
    assert_eq!(why, [1, 2, 3].map(|line| format!("{line}: {error}")));
    let made = read(
        &json!({"format": "csv", "types": {"c": "integer"}}),
        "a,b\n1,2\n",
    );
    let why = "1: bad header: types has \"c\", and there is no such field";
    assert_eq!(made.refused[0].1, why);
}

#[test]
fn options_that_fit_no_csv_are_refused() {
    for (options, error) in [
        (
            json!({"delimiter": ";;"}),
            "option delimiter of a format: one ASCII character expected, got \";;\"",
        ),
        (
            json!({"delimiter": "é"}),
            "option delimiter of a format: one ASCII character expected, got \"é\"",
        ),
        (
            json!({"delimiter": ""}),
            "option delimiter of a format: one ASCII character expected, got \"\"",
        ),
        (
            json!({"quote": ","}),
            "option quote of a format: another character than the delimiter expected, got \",\"",
        ),
        (
            json!({"columns": []}),
            "option columns of a format: a list of names expected, got []",
        ),
        (
            json!({"columns": ["a", 1]}),
            "option columns of a format: a list of names expected, got [\"a\",1]",
        ),
        (
            json!({"columns": ["a", "a"]}),
            "option columns of a format: column \"a\" is there twice",
        ),
        (
            json!({"header": false}),
            "the format csv of a format needs the option columns",
        ),
        (
            json!({"types": {"a": "int"}}),
            "option types of a format: \"a\": unknown type \"int\"",
        ),
        (
            json!({"columns": ["a"], "types": {"b": "text"}}),
            "option columns of a format: types has \"b\", and there is no such field",
        ),
        (
            json!({"multiline": {"start": "x"}}),
            "option multiline of a format does not fit the format csv",
        ),
    ] {
        let mut options = options;
        options["format"] = json!("csv");
        let text = refused(&options);
        assert!(text.starts_with(error), "{text}");
    }
}

#[test]
fn a_sink_writes_rows_under_a_header() {
    let events = [
        json!({"a": 1, "b": "x,y", "c": null}),
        json!({"c": "\"q\"", "a": true}),
        json!({"a": "two\nlines", "b": [1], "c": 2.5}),
    ];
    let expected = "a,b,c\n1,\"x,y\",\ntrue,,\"\"\"q\"\"\"\n\"two\nlines\",[1],2.5\n";
    assert_eq!(written(&csv(), &events), expected);
    let options =
        json!({"format": "csv", "columns": ["c", "a"], "header": false, "delimiter": ";"});
    assert_eq!(
        written(&options, &events),
        ";1\n\"\"\"q\"\"\";true\n2.5;\"two\nlines\"\n"
    );
}

#[test]
fn a_file_has_one_header_however_often_it_is_opened() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("out");
    for n in 0..3 {
        let refused = write(&path, &csv(), &[json!({"n": n})]).expect("it runs");
        assert!(refused.is_empty());
    }
    assert_eq!(
        std::fs::read_to_string(path).expect("a file"),
        "n\n0\n1\n2\n"
    );
}

#[test]
fn an_event_that_is_no_row_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("out");
    let events = [
        json!([1]),
        json!({}),
        json!({"a": 1}),
        json!({"a": 2, "b": 3}),
        json!({"a": "\u{0}"}),
    ];
    let refused = write(&path, &csv(), &events).expect("it runs");
    assert_eq!(
        refused,
        [
            "a JSON object was expected, this is an array",
            "the first event has no fields, which would be the columns",
            "no column \"b\", which the first event had not",
            "NUL in the value \"\\0\"",
        ]
    );
    assert_eq!(std::fs::read_to_string(path).expect("a file"), "a\n1\n");
}

#[test]
fn no_row_is_added_under_another_header() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("out");
    std::fs::write(&path, "a,b\r\n1,2\r\n").expect("a file");
    let events = [json!({"b": 4, "a": 3})];
    // The columns are known only with the first event.
    let refused = write(&path, &csv(), &events).expect("it runs");
    let [error] = refused.as_slice() else {
        panic!("{refused:?}");
    };
    assert!(
        error.contains("begins with \"a,b\", not with the header \"b,a\""),
        "{error}"
    );
    // Here they are known before.
    let columns = |names: [&str; 2]| json!({"format": "csv", "columns": names});
    let error = write(&path, &columns(["b", "a"]), &events).expect_err("another header");
    assert!(error.to_string().contains("not with the header"), "{error}");
    let refused = write(&path, &columns(["a", "b"]), &events).expect("it runs");
    assert!(refused.is_empty(), "{refused:?}");
    let text = std::fs::read_to_string(path).expect("a file");
    assert_eq!(text, "a,b\r\n1,2\r\n3,4\n");
}
