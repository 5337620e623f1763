//! What is left of a payload that is larger than an event may be: one policy for every source.
//!
//! The event keeps the first 4 KiB, with `size` and `xxh3` (the hash of the whole, in hexadecimal) in
//! its meta, and leaves by `errors`.

use super::Event;
use crate::error::Error;
use crate::payload::{MAX_EVENT_BYTES, check_json};
use crate::time::Timestamp;
use xxhash_rust::xxh3::Xxh3;

/// How much of the payload is kept, in bytes.
const HEAD: usize = 4 << 10;

/// Head, size and hash of bytes that come in pieces.
#[derive(Default)]
pub(crate) struct Oversized {
    head: Vec<u8>,
    size: usize,
    hash: Box<Xxh3>,
}

impl Oversized {
    /// That of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut whole = Oversized::default();
        whole.add(bytes);
        whole
    }

    pub fn add(&mut self, bytes: &[u8]) {
        let room = HEAD - self.head.len();
        self.head.extend(&bytes[..bytes.len().min(room)]);
        self.size += bytes.len();
        self.hash.update(bytes);
    }

    /// How many bytes came.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The event that leaves by `errors`, and why.
    pub fn into_event(self, limit: usize, now: Timestamp) -> (Event, Error) {
        let event = Event::new(self.head.as_slice(), now);
        (
            event.mark(self.size, &self.hash),
            too_large(self.size, limit),
        )
    }
}

impl Event {
    /// The event where its payload is within the limit, or what is left of it and the error.
    pub(crate) fn within(self, limit: usize) -> Result<Event, (Event, Error)> {
        // The size of a JSON value is an estimate until its bytes are written.
        if self.payload.size() <= limit || self.payload.bytes().len() <= limit {
            return Ok(self);
        }
        let Oversized { head, size, hash } = Oversized::of(self.payload.bytes());
        let (_, time, meta, ack) = self.into_parts();
        let event = Event::from_parts(head.into(), time, meta, ack);
        Err((event.mark(size, &hash), too_large(size, limit)))
    }

    /// The event if its payload is JSON and within the limit. Otherwise what is left of it, and the error.
    pub(crate) fn checked(self, limit: usize) -> Result<Event, (Event, Error)> {
        let event = self.within(limit)?;
        match check_json(event.payload.bytes()) {
            Ok(()) => Ok(event),
            Err(error) => Err((event, error)),
        }
    }

    fn mark(self, size: usize, hash: &Xxh3) -> Event {
        self.with_meta("size", size)
            .with_meta("xxh3", format!("{:032x}", hash.digest128()))
    }
}

fn too_large(size: usize, limit: usize) -> Error {
    let limit = match limit {
        MAX_EVENT_BYTES => "1 MiB".to_owned(),
        bytes => format!("{bytes} bytes"),
    };
    Error::data(format!(
        "payload of {size} bytes > max_event_bytes ({limit})"
    ))
}
