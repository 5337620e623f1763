//! The events in the body of a request: a JSON document, a list of them, or JSON lines.

use crate::connect::support::http::Whole;
use crate::error::Error;
use crate::event::Event;
use crate::node::Context;
use crate::payload::{check_json, parse_json};
use crate::source::{Decoded, Decoder};
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
pub(super) fn events(request: &Whole, cx: &Context<'_>) -> Result<Vec<Event>, Rejected> {
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
    lines(&request.body, cx)
}

fn lines(mut body: &[u8], cx: &Context<'_>) -> Result<Vec<Event>, Rejected> {
    let limit = cx.max_event_bytes();
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    let mut number = 0;
    let mut line = |found: Decoded<'_>| -> Result<(), Rejected> {
        number += 1;
        let here = |error: Error| error.within(format!("line {number}"));
        match found {
            Decoded::Blank => {}
            Decoded::Line(line) => {
                check_json(line).map_err(here)?;
                events.push(Event::new(line, cx.now()));
            }
            Decoded::TooLong(whole) => {
                let (head, error) = whole.into_event(limit, cx.now());
                return Err(Rejected::Oversized(head, here(error)));
            }
        }
        Ok(())
    };
    while !body.is_empty() {
        let (taken, found) = decoder.next(body, limit);
        found.map_or(Ok(()), &mut line)?;
        body = &body[taken..];
    }
    decoder.end(limit).map_or(Ok(()), &mut line)?;
    Ok(events)
}
