//! Random events, written in each format and read again, are the same events.

use super::{read, written};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Texts with all that a format has to quote.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "[a-c,;\"'\\\\=\r\n\t |é€\u{1F600}\u{feff}-]{0,10}",
        "-?[0-9]{0,3}\\.?[0-9]{0,2}(e-?[0-9])?",
        Just("true".to_owned()),
        Just("null".to_owned()),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ]
}

fn rows() -> impl Strategy<Value = Vec<Vec<String>>> {
    (1_usize..4).prop_flat_map(|width| {
        let row = prop::collection::vec(text(), width);
        prop::collection::vec(row, 1..6)
    })
}

fn delimiter() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(","), Just(";"), Just("\t"), Just("|"), Just(" ")]
}

fn objects(rows: &[Vec<String>]) -> Vec<Value> {
    let names = ["first", "b,\"", "c\nd"];
    let object = |row: &Vec<String>| {
        let fields = names.iter().zip(row);
        fields
            .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
            .collect::<Map<_, _>>()
    };
    rows.iter().map(|row| object(row).into()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn csv_is_the_same_both_ways(rows in rows(), delimiter in delimiter(), quote in prop_oneof![Just("\""), Just("'")]) {
        let events = objects(&rows);
        let options = json!({"format": "csv", "delimiter": delimiter, "quote": quote});
        prop_assert_eq!(read(&options, written(&options, &events)).all(), events);
    }

    #[test]
    fn logfmt_is_the_same_both_ways(
        fields in prop::collection::vec(("[a-zé._/-]{1,5}", scalar()), 1..6),
    ) {
        let event = Value::Object(fields.into_iter().collect());
        let options = json!({"format": "logfmt"});
        let text = written(&options, std::slice::from_ref(&event));
        prop_assert_eq!(text.matches('\n').count(), 1);
        let made = read(&options, &text).all();
        prop_assert_eq!(made, [event], "{}", text);
    }

    #[test]
    fn json_is_the_same_both_ways(fields in prop::collection::vec((text(), scalar()), 0..6)) {
        let event = Value::Object(fields.into_iter().collect());
        let options = json!({});
        let text = written(&options, std::slice::from_ref(&event));
        prop_assert_eq!(read(&options, text).all(), [event]);
    }

    #[test]
    fn text_is_the_same_both_ways(text in "[ -~é€\t\u{1}]{1,20}") {
        prop_assume!(!text.trim_ascii().is_empty());
        let event = json!({"message": text});
        let options = json!({"format": "text"});
        let written = written(&options, std::slice::from_ref(&event));
        prop_assert_eq!(read(&options, written).all(), [event]);
    }

    #[test]
    fn a_pattern_reads_what_its_template_has_written(host in "[a-z.]{1,8}", code in any::<i64>(), rest in "[ -~]{0,9}") {
        let event = json!({"host": host, "code": code, "rest": rest});
        let write = json!({"format": "text", "template": "{data.host} {data.code} [{data.rest}]"});
        let read_as = json!({
            "format": {"pattern": r"^(?<host>\S+) (?<code>-?\d+) \[(?<rest>.*)\]$"}, "types": {"code": "integer"},
        });
        let text = written(&write, std::slice::from_ref(&event));
        prop_assert_eq!(read(&read_as, text).all(), [event]);
    }

    /// No bytes make a format panic, and nothing of them is lost: they are events, refused or white space.
    #[test]
    fn any_bytes_are_events_or_refused(
        bytes in prop::collection::vec(prop_oneof![
            any::<u8>(), prop::sample::select(b"<>[]\"\\=,;\r\n 019aT:-{}".to_vec()),
        ], 0..120),
        format in prop::sample::select(tributary::format::FORMATS.to_vec()),
        grouped in any::<bool>(),
    ) {
        let mut options = json!({"format": format});
        if format == "bytes" {
            // The harness reads payloads as JSON.
            options["format"] = json!("text");
        }
        if grouped && format != "csv" {
            options["multiline"] = json!({"start": "^[a<]", "lines": 3});
        }
        let made = read(&options, &bytes);
        prop_assert!(made.events.len() + made.refused.len() <= bytes.len());
        if format == "syslog" && !grouped {
            let kept = made.refused.iter().any(|(payload, _)| !payload.is_empty());
            prop_assert!(kept || !made.events.is_empty() || bytes.trim_ascii().is_empty() || bytes == *b"\xef\xbb\xbf");
        }
    }
}
