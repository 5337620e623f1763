//! Lines in bytes that come in pieces, of which no more is kept than an event may hold.

use crate::error::Error;
use crate::event::Event;
use crate::node::Context;
use crate::payload::{MAX_EVENT_BYTES, check_json};

/// How much of a line that is too long is kept, in bytes.
const HEAD: usize = 4 << 10;

/// Splits bytes into lines and emits each as an event: JSON lines.
#[derive(Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
    /// The size so far of a line that is too long; its head is kept.
    too_long: Option<usize>,
}

impl Lines {
    /// Takes more bytes, which came from what is called `from`.
    pub fn add(&mut self, mut bytes: &[u8], from: &str, cx: &mut Context<'_>) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            if self.rest.is_empty() && end <= MAX_EVENT_BYTES {
                emit(&bytes[..end], from, cx);
            } else {
                self.keep(&bytes[..end]);
                self.end(from, cx);
            }
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// No more will come: what is left is a line too.
    pub fn end(&mut self, from: &str, cx: &mut Context<'_>) {
        match self.too_long.take() {
            None if self.rest.is_empty() => {}
            None => emit(&self.rest, from, cx),
            Some(size) => {
                let event = Event::new(self.rest.as_slice(), cx.now()).with_meta("size", size);
                let error = format!("payload of {size} bytes > max_event_bytes (1 MiB)");
                cx.reject(event, Error::data(error).at(from));
            }
        }
        self.rest.clear();
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some(size) = &mut self.too_long {
            *size += bytes.len();
            return;
        }
        self.rest.extend(bytes);
        if self.rest.len() > MAX_EVENT_BYTES {
            self.too_long = Some(self.rest.len());
            self.rest.truncate(HEAD);
            self.rest.shrink_to_fit();
        }
    }
}

fn emit(line: &[u8], from: &str, cx: &mut Context<'_>) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return;
    }
    let event = Event::new(line, cx.now());
    match check_json(line) {
        Ok(()) => cx.emit(event),
        Err(error) => cx.reject(event, error.at(from)),
    }
}

/// Adds the event as a line.
pub(super) fn write_line(event: &Event, buffer: &mut Vec<u8>) -> crate::Result<()> {
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
