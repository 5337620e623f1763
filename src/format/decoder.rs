//! The events of a stream of bytes that comes in pieces: framing, then parsing.
//!
//! The invariant: what the events take of the stream, in bytes and lines, adds up to what was taken, except
//! for what is held of an event that has not ended. So a position is always the end of an event.

mod step;
#[cfg(test)]
mod tests;

use super::csv;
use super::lines::{Line, Lines, Place};
use super::multiline::Group;
use super::octets::Octets;
use super::parser::{Parser, State};
use super::{Format, Kind};
use crate::error::Error;
use crate::event::Event;
use crate::time::Timestamp;
use step::{Held, Step, end_group, found, octet, refused, take, too_long, without_cr};

/// What was found in a stream.
pub(crate) enum Decoded {
    /// A line that is no event: a blank one, a header.
    Nothing,
    Event(Event),
    /// What is no event, and why.
    Refused(Event, Error),
}

/// What was found, and how much of the stream it takes.
pub(crate) struct Found {
    pub place: Place,
    pub what: Decoded,
}

/// Decodes one stream.
pub(crate) struct Decoder {
    format: Format,
    lines: Lines,
    parser: Parser,
    framing: Framing,
    /// What was taken since the last line ended.
    line: Place,
    /// What was found at the same time as what was given out last.
    queued: Option<Found>,
}

enum Framing {
    Lines,
    Csv(Held),
    Group(Group),
    Octets(Octets),
}

impl Decoder {
    pub fn new(format: &Format) -> Self {
        Decoder {
            lines: Lines::default(),
            parser: Parser::new(format),
            framing: Framing::of(format),
            format: format.clone(),
            line: Place::default(),
            queued: None,
        }
    }

    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Whether no part of an event is held whose end is yet to come.
    pub fn is_empty(&self) -> bool {
        let is_empty = match &self.framing {
            Framing::Csv(held) => held.place == Place::default(),
            Framing::Octets(octets) => octets.is_empty(),
            Framing::Lines | Framing::Group(_) => true,
        };
        is_empty && self.lines.is_empty()
    }

    /// What comes first does not begin the stream. Returns whether the beginning is needed all the same, for
    /// [`head`](Self::head).
    pub fn go_on(&mut self) -> bool {
        self.lines.go_on();
        matches!(&self.parser.state, State::Csv(reader) if !reader.is_past_header())
    }

    /// The beginning of the stream, for what it determines of all that follows.
    pub fn head(&mut self, bytes: &[u8], limit: usize, now: Timestamp) {
        let mut decoder = Decoder::new(&self.format);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, _) = decoder.next(rest, limit, now);
            rest = &rest[taken..];
            if let State::Csv(reader) = &decoder.parser.state
                && reader.is_past_header()
            {
                break;
            }
        }
        if let State::Csv(reader) = &mut decoder.parser.state {
            reader.restart();
        }
        self.parser = decoder.parser;
    }

    /// Takes bytes up to the end of the next event, or all of them. Returns how many it took: none where
    /// something was found before.
    pub fn next(&mut self, bytes: &[u8], limit: usize, now: Timestamp) -> (usize, Option<Found>) {
        if let Some(found) = self.queued.take() {
            return (0, Some(found));
        }
        let Decoder {
            format,
            lines,
            parser,
            framing,
            line: partial,
            queued,
        } = self;
        let (taken, line) = match framing {
            Framing::Lines => {
                let (taken, line) = lines.next(bytes, limit);
                partial.bytes += taken as u64;
                let found = line.map(|line| found(line, take(partial), parser, limit, now));
                return (taken, found);
            }
            Framing::Octets(octets) => {
                return octet(octets, lines, parser, partial, bytes, limit, now);
            }
            Framing::Csv(_) => lines.next_raw(bytes, limit),
            Framing::Group(_) => {
                let (taken, line) = lines.next_raw(bytes, limit);
                (taken, line.map(|line| without_cr(line, limit)))
            }
        };
        partial.bytes += taken as u64;
        let Some(line) = line else {
            return (taken, None);
        };
        let place = take(partial);
        let step = Step {
            parser,
            queued,
            limit,
            now,
        };
        let found = match (framing, format.kind(), &format.0.multiline) {
            (Framing::Csv(held), Kind::Csv(options), _) => step.csv(options, held, line, place),
            (Framing::Group(group), _, Some(options)) => step.group(options, group, line, place),
            _ => None,
        };
        (taken, found)
    }

    /// The stream has ended: what is held is an event too. To be called until it returns `None`; what is
    /// added after that begins another stream.
    pub fn end(&mut self, limit: usize, now: Timestamp) -> Option<Found> {
        if let Some(found) = self.queued.take() {
            return Some(found);
        }
        let Decoder {
            format,
            lines,
            parser,
            framing,
            line: partial,
            queued,
        } = self;
        let last = match framing {
            Framing::Lines => lines
                .end(limit)
                .map(|line| found(line, take(partial), parser, limit, now)),
            Framing::Octets(octets) => {
                let prefix = octets.take_prefix();
                lines.next(&prefix, limit);
                match (octets.end(), lines.end(limit)) {
                    (Some((held, error)), _) => Some(refused(held, error, take(partial), now)),
                    (None, line) => line.map(|line| found(line, take(partial), parser, limit, now)),
                }
            }
            Framing::Csv(held) => {
                let last = match (lines.end_raw(), format.kind()) {
                    (Some(line), Kind::Csv(options)) => {
                        let step = Step {
                            parser,
                            queued,
                            limit,
                            now,
                        };
                        step.csv(options, held, line, take(partial))
                    }
                    _ => None,
                };
                last.or_else(|| held.refuse(csv::unclosed(), now))
            }
            Framing::Group(group) => {
                let last = match (lines.end_raw(), &format.0.multiline) {
                    (Some(line), Some(options)) => {
                        let step = Step {
                            parser: &mut *parser,
                            queued,
                            limit,
                            now,
                        };
                        step.group(options, group, without_cr(line, limit), take(partial))
                    }
                    _ => None,
                };
                last.or_else(|| end_group(group, parser, limit, now))
            }
        };
        if last.is_some() {
            return last;
        }
        // A byte order mark alone.
        let rest = take(&mut self.line);
        *self = Decoder::new(&self.format);
        (rest.bytes > 0).then_some(Found {
            place: rest,
            what: Decoded::Nothing,
        })
    }

    /// The stream is read no further, though it has not ended. What is whole is an event; what is not is
    /// refused with this error. To be called until it returns `None`.
    pub fn cut(&mut self, error: Error, limit: usize, now: Timestamp) -> Option<Found> {
        if let Some(found) = self.flush(limit, now) {
            return Some(found);
        }
        let mut held = match &mut self.framing {
            Framing::Csv(held) => std::mem::take(&mut held.text),
            Framing::Octets(octets) => match octets.end() {
                Some((held, _)) => held,
                None => octets.take_prefix(),
            },
            Framing::Lines | Framing::Group(_) => Vec::new(),
        };
        let place = take(&mut self.line);
        let what = match self.lines.end(limit) {
            Some(Line::TooLong(whole)) => Some(too_long(whole, limit, now)),
            Some(Line::Text(line)) => {
                if !held.is_empty() {
                    held.push(b'\n');
                }
                held.extend(line);
                None
            }
            Some(Line::Blank) | None => None,
        };
        let what = what
            .or_else(|| (!held.is_empty()).then(|| Decoded::Refused(Event::new(held, now), error)));
        *self = Decoder::new(&self.format);
        what.map(|what| Found { place, what })
    }

    /// When an event ends without another line.
    pub fn due(&self) -> Option<Timestamp> {
        if self.queued.is_some() {
            return Some(Timestamp::EPOCH);
        }
        match (&self.framing, &self.format.0.multiline) {
            // A line that has begun may belong to it.
            (Framing::Group(group), Some(options)) if self.lines.is_empty() => group.due(options),
            _ => None,
        }
    }

    /// Ends an event to which lines could be added.
    pub fn flush(&mut self, limit: usize, now: Timestamp) -> Option<Found> {
        if let Some(found) = self.queued.take() {
            return Some(found);
        }
        match &mut self.framing {
            Framing::Group(group) => end_group(group, &mut self.parser, limit, now),
            _ => None,
        }
    }
}

impl Framing {
    fn of(format: &Format) -> Self {
        match (format.kind(), &format.0.multiline) {
            (_, Some(_)) => Framing::Group(Group::default()),
            (Kind::Csv(_), None) => Framing::Csv(Held::default()),
            (Kind::Syslog, None) => Framing::Octets(Octets::default()),
            _ => Framing::Lines,
        }
    }
}
