//! What a line, or a message of syslog, brings: an event, a part of one, what is refused.

use super::{Decoded, Found};
use crate::error::Error;
use crate::event::{Event, Oversized};
use crate::format::csv::{self, Csv};
use crate::format::lines::{Line, Lines, Place};
use crate::format::multiline::{Group, Multiline};
use crate::format::octets::{Framed, Octets};
use crate::format::parser::{Parser, State};
use crate::time::Timestamp;
use std::borrow::Cow;

/// The lines of a CSV record that has not ended.
#[derive(Default)]
pub(super) struct Held {
    pub text: Vec<u8>,
    pub place: Place,
}

/// What a line that has ended brings.
pub(super) struct Step<'a> {
    pub parser: &'a mut Parser,
    pub queued: &'a mut Option<Found>,
    pub limit: usize,
    pub now: Timestamp,
}

impl Step<'_> {
    pub fn csv(
        self,
        options: &Csv,
        held: &mut Held,
        line: Line<'_>,
        place: Place,
    ) -> Option<Found> {
        let (limit, now) = (self.limit, self.now);
        let Parser { state, out, .. } = self.parser;
        let State::Csv(reader) = state else {
            return None;
        };
        let is_open = held.place != Place::default();
        let line = match line {
            Line::Text([] | b"\r") if !is_open => {
                return nothing(place);
            }
            // It may end with a carriage return.
            Line::Text(line) if line.len() <= limit + 1 => line,
            Line::Blank => return nothing(place),
            Line::Text(_) | Line::TooLong(_) => {
                let whole = match line {
                    Line::TooLong(whole) => whole,
                    Line::Text(line) => Oversized::of(line.strip_suffix(b"\r").unwrap_or(line)),
                    Line::Blank => Oversized::default(),
                };
                reader.restart();
                let found = Found {
                    place,
                    what: too_long(whole, limit, now),
                };
                return match held.refuse(csv::unclosed(), now) {
                    None => Some(found),
                    before => {
                        *self.queued = Some(found);
                        before
                    }
                };
            }
        };
        let what = reader.line(options, line, out);
        if is_open || matches!(what, csv::Line::Open) {
            held.add(line, place);
            if matches!(what, csv::Line::Open) && held.text.len() <= limit {
                return None;
            }
        }
        let (record, place) = if held.place == Place::default() {
            (line.strip_suffix(b"\r").unwrap_or(line).into(), place)
        } else {
            let held = std::mem::take(held);
            (Cow::Owned(held.text), held.place)
        };
        if record.len() > limit {
            reader.restart();
            let whole = Oversized::of(&record);
            let what = match (what, too_long(whole, limit, now)) {
                (csv::Line::Open, Decoded::Refused(event, error)) => {
                    let error = error.with_hint("a quote may not be closed");
                    Decoded::Refused(event, error)
                }
                (_, what) => what,
            };
            return Some(Found { place, what });
        }
        let what = match what {
            csv::Line::Open | csv::Line::Header => Decoded::Nothing,
            csv::Line::Payload => of(Event::new(out.as_slice(), now).within(limit)),
            csv::Line::Refused(error) => Decoded::Refused(Event::new(&*record, now), error),
        };
        Some(Found { place, what })
    }

    pub fn group(
        self,
        options: &Multiline,
        group: &mut Group,
        line: Line<'_>,
        place: Place,
    ) -> Option<Found> {
        let (limit, now) = (self.limit, self.now);
        match line {
            Line::Text(line) if group.is_empty() && line.trim_ascii_start().is_empty() => {
                nothing(place)
            }
            Line::Text(line) => {
                let ended = if group.ends_before(line, options, limit) {
                    end_group(group, self.parser, limit, now)
                } else {
                    None
                };
                group.add(line, place, now);
                ended
            }
            Line::Blank => nothing(place),
            Line::TooLong(whole) => {
                let found = Found {
                    place,
                    what: too_long(whole, limit, now),
                };
                match end_group(group, self.parser, limit, now) {
                    None => Some(found),
                    before => {
                        *self.queued = Some(found);
                        before
                    }
                }
            }
        }
    }
}

impl Held {
    fn add(&mut self, line: &[u8], place: Place) {
        if self.place != Place::default() {
            self.text.push(b'\n');
        }
        self.text.extend(line);
        self.place += place;
    }

    pub fn refuse(&mut self, error: Error, now: Timestamp) -> Option<Found> {
        let held = std::mem::take(self);
        let is_open = held.place != Place::default();
        is_open.then(|| refused(held.text, error, held.place, now))
    }
}

/// A message of syslog, or what is there of one.
pub(super) fn octet(
    octets: &mut Octets,
    lines: &mut Lines,
    parser: &mut Parser,
    partial: &mut Place,
    bytes: &[u8],
    limit: usize,
    now: Timestamp,
) -> (usize, Option<Found>) {
    let (begun, framed) = octets.next(bytes, limit);
    partial.bytes += begun as u64;
    let what = match framed {
        Framed::Nothing => return (begun, None),
        Framed::Message(message) => match message.trim_ascii() {
            [] => Decoded::Nothing,
            _ => of(parser.event(&message, limit, now)),
        },
        Framed::TooLong(whole) => too_long(whole, limit, now),
        Framed::Line(_) | Framed::InLine => {
            if let Framed::Line(prefix) = framed {
                lines.next(&prefix, limit);
            }
            let (taken, line) = lines.next(&bytes[begun..], limit);
            partial.bytes += taken as u64;
            let Some(line) = line else {
                return (begun + taken, None);
            };
            octets.end_line();
            return (
                begun + taken,
                Some(found(line, take(partial), parser, limit, now)),
            );
        }
    };
    let place = take(partial);
    (begun, Some(Found { place, what }))
}

/// What was taken is a line.
pub(super) fn take(partial: &mut Place) -> Place {
    let place = std::mem::take(partial);
    Place { lines: 1, ..place }
}

pub(super) fn found(
    line: Line<'_>,
    place: Place,
    parser: &mut Parser,
    limit: usize,
    now: Timestamp,
) -> Found {
    let what = match line {
        Line::Text(line) => of(parser.event(line, limit, now)),
        Line::TooLong(whole) => too_long(whole, limit, now),
        Line::Blank => Decoded::Nothing,
    };
    Found { place, what }
}

fn nothing(place: Place) -> Option<Found> {
    let what = Decoded::Nothing;
    Some(Found { place, what })
}

fn of(event: Result<Event, (Event, Error)>) -> Decoded {
    match event {
        Ok(event) => Decoded::Event(event),
        Err((event, error)) => Decoded::Refused(event, error),
    }
}

pub(super) fn too_long(whole: Oversized, limit: usize, now: Timestamp) -> Decoded {
    let (event, error) = whole.into_event(limit, now);
    Decoded::Refused(event, error)
}

pub(super) fn refused(text: Vec<u8>, error: Error, place: Place, now: Timestamp) -> Found {
    let what = Decoded::Refused(Event::new(text, now), error);
    Found { place, what }
}

pub(super) fn end_group(
    group: &mut Group,
    parser: &mut Parser,
    limit: usize,
    now: Timestamp,
) -> Option<Found> {
    if group.is_empty() {
        return None;
    }
    let (text, place) = group.end();
    let what = of(parser.event(&text, limit, now));
    Some(Found { place, what })
}

/// The line as one of several, which may be blank.
pub(super) fn without_cr(line: Line<'_>, limit: usize) -> Line<'_> {
    match line {
        Line::Text(line) if line.trim_ascii_start().is_empty() => Line::Text(&[]),
        line => line.judged(limit),
    }
}
