//! What holds of every format, however the bytes of a stream come.

use super::{Decoded, Decoder, Found, Place};
use crate::format::{FORMATS, Format};
use crate::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_796_083_200);
const LIMIT: usize = 64;

/// What comes of a stream in pieces of this size, with the place of each, and all that they take of it.
fn decode(format: &Format, stream: &[u8], piece: usize) -> (Vec<String>, Place) {
    let (mut decoder, mut shown, mut end) = (Decoder::new(format), Vec::new(), Place::default());
    let mut add = |found: Found| {
        end += found.place;
        let what = match found.what {
            Decoded::Nothing => "nothing".to_owned(),
            Decoded::Event(event) => format!("{:?}", event.payload()),
            Decoded::Refused(event, error) => format!("{:?}: {error}", event.payload()),
        };
        shown.push(format!("{} {} {what}", end.bytes, end.lines));
    };
    for mut rest in stream.chunks(piece) {
        while !rest.is_empty() {
            let (taken, found) = decoder.next(rest, LIMIT, NOW);
            rest = &rest[taken..];
            found.into_iter().for_each(&mut add);
        }
    }
    while let Some(found) = decoder.end(LIMIT, NOW) {
        add(found);
    }
    assert!(decoder.is_empty());
    (shown, end)
}

fn formats() -> Vec<Value> {
    let mut all: Vec<Value> = FORMATS.iter().map(|name| json!({"format": name})).collect();
    all.push(json!({"format": "csv", "columns": ["a", "b"], "quote": "'"}));
    all.push(json!({"format": "text", "multiline": {"start": "^[a<]", "lines": 3}}));
    all.push(json!({"format": "syslog", "multiline": {"start": "^<"}}));
    all.push(json!({"format": {"pattern": "^(?<a>[^,]*),(?<b>.*)$"}, "types": "auto"}));
    all
}

/// Streams that have something of all formats.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(b"a,b\n".to_vec()),
        Just(b"\"x\r\n\r\ny\",'2\n3'\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"22 <34>1 - h a - - - text".to_vec()),
        Just(b"<34>1 - h a - - - text\n".to_vec()),
        Just(b"a=1 b=\"2 3\"\n".to_vec()),
        Just(b"{\"a\":1}\n".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        Just(vec![b'x'; LIMIT / 2]),
        prop::collection::vec(
            prop::sample::select(b"a,\"'\r\n 19<\\=\xff\0{}".to_vec()),
            0..12
        ),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn events_and_their_places_are_the_same_in_pieces_of_any_size(
        stream in streams(),
        format in prop::sample::select(formats()),
        piece in 1_usize..40,
    ) {
        let format = Format::new(&format).expect("a format");
        let whole = decode(&format, &stream, stream.len().max(1));
        prop_assert_eq!(decode(&format, &stream, piece), whole);
    }

    #[test]
    fn what_the_events_take_adds_up_to_the_stream(
        stream in streams(),
        format in prop::sample::select(formats()),
    ) {
        let format = Format::new(&format).expect("a format");
        let (_, end) = decode(&format, &stream, 7);
        prop_assert_eq!(end.bytes, stream.len() as u64);
        if !format!("{format:?}").contains("syslog") {
            let lines = stream.split_inclusive(|byte| *byte == b'\n').count();
            prop_assert_eq!(end.lines, lines as u64);
        }
    }
}

#[test]
fn a_stream_that_is_cut_refuses_what_has_not_ended() {
    let error = || crate::Error::data("cut");
    for (options, stream, expected) in [
        (json!({}), "1\n{\"a\":", "\"{\"a\":\": cut"),
        (
            json!({"format": "csv", "columns": ["a"]}),
            "1\n\"2\n3",
            "\"\"2\\n3\": cut",
        ),
        (
            json!({"format": "syslog"}),
            "<34>1 - h a - - - x\n30 <34>",
            "\"<34>\": cut",
        ),
        (
            json!({"format": "syslog"}),
            "<34>1 - h a - - - x\n30",
            "\"30\": cut",
        ),
    ] {
        let format = Format::new(&options).expect("a format");
        let mut decoder = Decoder::new(&format);
        let mut rest = stream.as_bytes();
        while !rest.is_empty() {
            rest = &rest[decoder.next(rest, LIMIT, NOW).0..];
        }
        assert!(!decoder.is_empty());
        let Some(Decoded::Refused(event, error)) = decoder.cut(error(), LIMIT, NOW).map(|f| f.what)
        else {
            panic!("nothing was refused of {stream:?}");
        };
        assert_eq!(format!("{:?}: {error}", event.payload()), expected);
        assert!(decoder.cut(error, LIMIT, NOW).is_none() && decoder.is_empty());
    }
}
