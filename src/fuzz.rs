//! Readers of bytes that have no public function, for the fuzz targets in `tests/fuzz`: no API.

use crate::format::{Decoded, Decoder, Format, Found, Line, Lines};
use crate::time::Timestamp;
use serde_json::Value;
use std::ops::Range;

pub use crate::network::spilled;
pub use crate::source::sealed_checkpoint;
pub use crate::window::outbox_line;

/// Parses one JSON document.
pub fn parse_json(bytes: &[u8]) -> crate::Result<Value> {
    crate::payload::parse_json(bytes)
}

/// Checks that the bytes are one JSON document.
pub fn check_json(bytes: &[u8]) -> crate::Result<()> {
    crate::payload::check_json(bytes)
}

/// Reads the time of an event.
pub fn read_instant(value: &Value) -> crate::Result<Timestamp> {
    crate::time::read_instant(value)
}

/// The longest line and body here.
const LIMIT: usize = 4 << 10;

/// What the HTTP server reads of bytes that come in pieces of this size: requests with their bodies, or
/// the status with which one is refused. Nothing where the server is not built in.
pub fn http_requests(bytes: &[u8], piece: usize) -> Vec<Result<(String, Vec<u8>), u16>> {
    #[cfg(feature = "http")]
    return crate::connect::http_requests(bytes, piece, LIMIT);
    #[cfg(not(feature = "http"))]
    {
        let _ = (bytes, piece);
        Vec::new()
    }
}

/// The lines of bytes that come in pieces of this size.
pub fn lines(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let (mut decoder, mut lines) = (Lines::default(), Vec::new());
    let mut add = |found: Line<'_>| match found {
        Line::Blank => {}
        Line::Text(line) => lines.push(line.to_vec()),
        Line::TooLong(whole) => {
            let (head, error) = whole.into_event(LIMIT, Timestamp::from_secs(0));
            lines.push(head.payload().bytes().to_vec());
            lines.push(error.to_string().into());
        }
    };
    for mut rest in bytes.chunks(piece.max(1)) {
        while !rest.is_empty() {
            let (taken, found) = decoder.next(rest, LIMIT);
            found.into_iter().for_each(&mut add);
            rest = &rest[taken..];
        }
    }
    decoder.end(LIMIT).into_iter().for_each(&mut add);
    lines
}

/// What a stream in this format, that comes in pieces of this size, becomes: each event with its end in the
/// stream, and at last the end of all of them.
pub fn decoded(format: &Format, bytes: &[u8], piece: usize) -> Vec<(u64, String)> {
    let (mut decoder, mut found, mut end) = (Decoder::new(format), Vec::new(), 0);
    let now = Timestamp::from_secs(0);
    let mut add = |one: Found| {
        end += one.place.bytes;
        let what = match one.what {
            Decoded::Nothing => String::new(),
            Decoded::Event(event) => format!("{:?}", event.payload()),
            Decoded::Refused(event, error) => format!("{:?}: {error}", event.payload()),
        };
        found.push((end, what));
    };
    for mut rest in bytes.chunks(piece.max(1)) {
        while !rest.is_empty() {
            let (taken, one) = decoder.next(rest, LIMIT, now);
            one.into_iter().for_each(&mut add);
            rest = &rest[taken..];
        }
    }
    while let Some(one) = decoder.end(LIMIT, now) {
        add(one);
    }
    found
}

/// Where the tokens of SQL are, by the rules of each database, and the names of its parameters.
pub fn sql(text: &str) -> Vec<(Vec<Range<usize>>, Vec<String>)> {
    let dialects = crate::store::dialects();
    dialects
        .filter_map(|dialect| crate::store::dialect::tokens_of(dialect, text))
        .collect()
}
