//! The lines of a connection or a program, as events.

use crate::error::Error;
use crate::event::Event;
use crate::node::Context;
use crate::source::{Decoded, Decoder};

/// Splits bytes into lines and emits each line as an event (JSON lines).
#[derive(Default)]
pub(in crate::connect) struct Lines(Decoder);

impl Lines {
    /// Takes more bytes. Errors name the stream by `name`.
    pub fn add(&mut self, mut bytes: &[u8], name: &str, cx: &mut Context<'_>) {
        while !bytes.is_empty() {
            let (taken, line) = self.0.next(bytes, cx.max_event_bytes());
            if let Some(line) = line {
                emit(line, name, cx);
            }
            bytes = &bytes[taken..];
        }
    }

    /// The stream has ended: what is left is a line too. Bytes that are added later begin another stream.
    pub fn end(&mut self, name: &str, cx: &mut Context<'_>) {
        if let Some(line) = self.0.end(cx.max_event_bytes()) {
            emit(line, name, cx);
        }
    }

    /// Whether no part of a line is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The stream is read no further, though it has not ended: a line without its end is rejected.
    pub fn cut(&mut self, name: &str, cx: &mut Context<'_>) {
        match self.0.end(cx.max_event_bytes()) {
            Some(Decoded::Line(line)) => {
                let error =
                    Error::data("the connection was replaced by another before the line ended");
                cx.reject(Event::new(line, cx.now()), error.at(name));
            }
            Some(line) => emit(line, name, cx),
            None => {}
        }
    }
}

fn emit(line: Decoded<'_>, name: &str, cx: &mut Context<'_>) {
    match line.into_event(cx.max_event_bytes(), cx.now()) {
        None => {}
        Some(Ok(event)) => cx.emit(event),
        Some(Err((event, error))) => cx.reject(event, error.at(name)),
    }
}
