//! The stream of a connection or a program, as events.

use crate::error::Error;
use crate::format::{Decoded, Decoder, Format, Found};
use crate::node::Context;
use crate::time::Timestamp;

/// Decodes bytes and emits what is in them: each line as an event (JSON lines), or each record of another format.
pub(in crate::connect) struct Lines(Decoder);

impl Lines {
    pub fn new(format: &Format) -> Self {
        Lines(Decoder::new(format))
    }

    /// Takes what is held out of it, for a successor.
    pub fn take(&mut self) -> Self {
        let empty = Lines::new(self.format());
        std::mem::replace(self, empty)
    }

    pub fn format(&self) -> &Format {
        self.0.format()
    }

    /// Takes more bytes. Errors name the stream by `name`.
    pub fn add(&mut self, mut bytes: &[u8], name: &str, cx: &mut Context<'_>) {
        while !bytes.is_empty() {
            let (taken, found) = self.0.next(bytes, cx.max_event_bytes(), cx.now());
            emit(found, name, cx);
            bytes = &bytes[taken..];
        }
    }

    /// The stream has ended: what is left is an event too. Bytes that are added later begin another stream.
    pub fn end(&mut self, name: &str, cx: &mut Context<'_>) {
        while let Some(found) = self.0.end(cx.max_event_bytes(), cx.now()) {
            emit(Some(found), name, cx);
        }
    }

    /// Whether no part of an event is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When an event ends to which nothing is added.
    pub fn due(&self) -> Option<Timestamp> {
        self.0.due()
    }

    /// Emits an event to which nothing was added for long enough.
    pub fn flush(&mut self, name: &str, cx: &mut Context<'_>) {
        while self.due().is_some_and(|due| due <= cx.now()) {
            let found = self.0.flush(cx.max_event_bytes(), cx.now());
            emit(found, name, cx);
        }
    }

    /// The stream is read no further, though it has not ended: a line without its end is rejected.
    pub fn cut(&mut self, name: &str, cx: &mut Context<'_>) {
        let error = || Error::data("the connection was replaced by another before the line ended");
        while let Some(found) = self.0.cut(error(), cx.max_event_bytes(), cx.now()) {
            emit(Some(found), name, cx);
        }
    }
}

fn emit(found: Option<Found>, name: &str, cx: &mut Context<'_>) {
    match found.map(|found| found.what) {
        None | Some(Decoded::Nothing) => {}
        Some(Decoded::Event(event)) => cx.emit(event),
        Some(Decoded::Refused(event, error)) => cx.reject(event, error.at(name)),
    }
}
