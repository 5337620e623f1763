//! The event of a record, whatever the format.

use super::csv::Reader;
use super::pattern::Matcher;
use super::record::{Record, utf8};
use super::{Format, Kind, logfmt, syslog};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::payload::Payload;
use crate::time::Timestamp;

/// Parses records; what is kept from one to the next belongs to one stream.
pub(crate) struct Parser {
    format: Format,
    pub(super) state: State,
    pub(super) out: Vec<u8>,
}

opaque_debug!(Parser, format);

/// What a format keeps beside its options.
pub(super) enum State {
    None,
    Csv(Box<Reader>),
    Pattern(Matcher),
}

impl Parser {
    pub fn new(format: &Format) -> Self {
        let state = match format.kind() {
            Kind::Csv(options) => State::Csv(Box::new(Reader::new(options))),
            Kind::Pattern(pattern) => State::Pattern(pattern.matcher()),
            Kind::Json | Kind::Bytes | Kind::Text | Kind::Logfmt(_) | Kind::Syslog => State::None,
        };
        Parser {
            format: format.clone(),
            state,
            out: Vec::new(),
        }
    }

    pub fn format(&self) -> &Format {
        &self.format
    }

    /// The event of a record, or the event to reject and the reason.
    pub fn event(
        &mut self,
        record: &[u8],
        limit: usize,
        now: Timestamp,
    ) -> Result<Event, (Event, Error)> {
        match self.format.kind() {
            Kind::Json => Event::new(record, now).checked(limit),
            Kind::Bytes => Event::new(record, now).within(limit),
            _ => match self.write(record, now) {
                Ok(()) => Event::new(self.out.as_slice(), now).within(limit),
                Err(error) => Err((Event::new(record, now), error)),
            },
        }
    }

    /// The event whose payload is a record, with its payload parsed.
    pub fn parsed(&mut self, event: Event, limit: usize) -> Result<Event, (Event, Error)> {
        match self.format.kind() {
            Kind::Json => return event.checked(limit),
            Kind::Bytes => return event.within(limit),
            _ => {}
        }
        let event = event.within(limit)?;
        match self.payload(event.payload().bytes(), event.time()) {
            Ok(payload) => event.with_payload(payload).within(limit),
            Err(error) => Err((event, error)),
        }
    }

    /// The payload of a record, which is an object unless the format is JSON or bytes.
    ///
    /// # Errors
    /// A record that is not of the format.
    pub fn payload(&mut self, record: &[u8], now: Timestamp) -> Result<Payload> {
        if matches!(self.format.kind(), Kind::Json | Kind::Bytes) {
            return Ok(record.into());
        }
        self.write(record, now)?;
        Ok(self.out.as_slice().into())
    }

    /// Writes the payload of a record into `out`.
    fn write(&mut self, record: &[u8], now: Timestamp) -> Result<()> {
        let out = &mut self.out;
        match (self.format.kind(), &mut self.state) {
            (Kind::Csv(options), State::Csv(reader)) => reader.message(options, record, out),
            (Kind::Pattern(pattern), State::Pattern(matcher)) => {
                matcher.write(pattern, utf8(record)?, out)
            }
            (Kind::Logfmt(types), _) => logfmt::write(types, utf8(record)?, out),
            (Kind::Syslog, _) => syslog::write(utf8(record)?, now, out),
            _ => {
                let mut object = Record::begin(out);
                object.text("message", Some(utf8(record)?));
                object.end();
                Ok(())
            }
        }
    }
}
