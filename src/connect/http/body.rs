//! The events in the body of a request: a JSON document, a list of them, or JSON lines; or a stream in the
//! format of the source.

use crate::connect::support::http::Whole;
use crate::error::Error;
use crate::event::Event;
use crate::format::{Decoded, Decoder, Format, Found};
use crate::node::Context;
use crate::payload::{check_json, parse_json};
use serde_json::Value;

/// Why a body is rejected.
pub(super) enum Rejected {
    Malformed(Error),
    /// An event of the body is too large. This is its head.
    Oversized(Event, Error),
}

impl From<Error> for Rejected {
    fn from(error: Error) -> Self {
        Rejected::Malformed(error)
    }
}

/// The events of a body.
pub(super) fn events(
    request: &Whole,
    format: &Format,
    cx: &Context<'_>,
) -> Result<Vec<Event>, Rejected> {
    if *format != Format::default() {
        return decode(&request.body, format, cx);
    }
    let body = request.body.as_slice();
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body = body.trim_ascii();
    let fits = |event: Event| {
        let fits = event.within(cx.max_event_bytes());
        fits.map_err(|(head, error)| Rejected::Oversized(head, error))
    };
    let now = cx.now();
    let is_lines = ["ndjson", "jsonl", "json-lines", "jsonlines"];
    let is_lines = is_lines
        .iter()
        .any(|word| request.head.content_type.contains(word));
    if !is_lines {
        match body.first() {
            None => return Ok(Vec::new()),
            Some(b'[') => match parse_json(body) {
                Ok(Value::Array(items)) => {
                    let events = items.into_iter().map(|item| Event::new(item, now));
                    return events.map(fits).collect();
                }
                Err(error) if !body.contains(&b'\n') => return Err(error.into()),
                _ => {}
            },
            Some(_) => match check_json(body) {
                Ok(()) => return Ok(vec![fits(Event::new(body, now))?]),
                Err(error) if !body.contains(&b'\n') => return Err(error.into()),
                // Lines without their content type.
                Err(_) => {}
            },
        }
    }
    decode(&request.body, format, cx)
}

/// The events of a stream.
fn decode(mut body: &[u8], format: &Format, cx: &Context<'_>) -> Result<Vec<Event>, Rejected> {
    let (limit, now) = (cx.max_event_bytes(), cx.now());
    let mut decoder = Decoder::new(format);
    let (mut events, mut lines) = (Vec::new(), 0);
    let mut add = |found: Found| -> Result<(), Rejected> {
        let here = |error: Error| error.within(format!("line {}", lines + 1));
        match found.what {
            Decoded::Nothing => {}
            Decoded::Event(event) => events.push(event),
            Decoded::Refused(head, error) if head.meta().get("size").is_some() => {
                return Err(Rejected::Oversized(head, here(error)));
            }
            Decoded::Refused(_, error) => return Err(here(error).into()),
        }
        lines += found.place.lines;
        Ok(())
    };
    while !body.is_empty() {
        let (taken, found) = decoder.next(body, limit, now);
        found.map_or(Ok(()), &mut add)?;
        body = &body[taken..];
    }
    while let Some(found) = decoder.end(limit, now) {
        add(found)?;
    }
    Ok(events)
}
