//! Lines over a connection: what a source makes of bytes, and how a sink writes an event.

use crate::error::Error;
use crate::event::Event;
use crate::node::Context;
use crate::payload::check_json;
use crate::source::{Decoded, Decoder};

/// Splits bytes into lines and emits each as an event: JSON lines.
#[derive(Default)]
pub(in crate::connect) struct Lines(Decoder);

impl Lines {
    /// Takes more bytes, which came from what is called `from`.
    pub fn add(&mut self, mut bytes: &[u8], from: &str, cx: &mut Context<'_>) {
        while !bytes.is_empty() {
            let (taken, found) = self.0.next(bytes, cx.max_event_bytes());
            if let Some(found) = found {
                emit(found, from, cx);
            }
            bytes = &bytes[taken..];
        }
    }

    /// No more will come: what is left is a line too. What is added next is another stream.
    pub fn end(&mut self, from: &str, cx: &mut Context<'_>) {
        if let Some(found) = self.0.end(cx.max_event_bytes()) {
            emit(found, from, cx);
        }
    }

    /// Whether no line has begun.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// No more is read, though the stream goes on: a line that has begun is rejected.
    pub fn cut(&mut self, from: &str, cx: &mut Context<'_>) {
        match self.0.end(cx.max_event_bytes()) {
            Some(Decoded::Line(line)) => {
                let error = Error::data("its connection gave way to another before the line ended");
                cx.reject(Event::new(line, cx.now()), error.at(from));
            }
            Some(found) => emit(found, from, cx),
            None => {}
        }
    }
}

fn emit(found: Decoded<'_>, from: &str, cx: &mut Context<'_>) {
    let (event, error) = match found {
        Decoded::Blank => return,
        Decoded::TooLong(whole) => whole.into_event(cx.max_event_bytes(), cx.now()),
        Decoded::Line(line) => {
            let event = Event::new(line, cx.now());
            match check_json(line) {
                Ok(()) => return cx.emit(event),
                Err(error) => (event, error),
            }
        }
    };
    cx.reject(event, error.at(from));
}

/// Adds the event as a line.
pub(in crate::connect) fn write_line(event: &Event, buffer: &mut Vec<u8>) -> crate::Result<()> {
    let bytes = event.payload().bytes();
    if bytes.contains(&b'\n') {
        let json = event.payload().json().map_err(|_| {
            Error::data("a payload that spans lines and is no JSON does not fit a line")
        })?;
        buffer.extend(json.to_string().as_bytes());
    } else {
        buffer.extend(bytes);
    }
    buffer.push(b'\n');
    Ok(())
}
