//! A line that comes in pieces, of which no more is kept than an event may hold.

use crate::payload::MAX_EVENT_BYTES;
use xxhash_rust::xxh3::Xxh3;

/// How much of a line that is too long is kept, in bytes.
const HEAD: usize = 4 << 10;

/// A line that has not ended yet.
#[derive(Default)]
pub(super) struct Line {
    pub bytes: Vec<u8>,
    /// Of a line that is too long: its size and hash so far.
    pub too_long: Option<(usize, Box<Xxh3>)>,
    /// A carriage return came last of such a line, and belongs to it if more follows.
    held: bool,
}

impl Line {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.too_long.is_none()
    }

    pub fn add(&mut self, part: &[u8]) {
        if self.too_long.is_some() {
            return self.count(part);
        }
        self.bytes.extend(part);
        // The greatest line may have a carriage return behind it.
        if self.bytes.len() > MAX_EVENT_BYTES + 1 {
            self.cut();
        }
    }

    /// From here on only the head of the line is kept.
    pub fn cut(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.too_long = Some((0, Box::new(Xxh3::new())));
        self.count(&bytes);
        self.bytes.extend(&bytes[..HEAD]);
    }

    fn count(&mut self, part: &[u8]) {
        let Some((size, hash)) = &mut self.too_long else {
            return;
        };
        if self.held && !part.is_empty() {
            *size += 1;
            hash.update(b"\r");
            self.held = false;
        }
        let rest = part.strip_suffix(b"\r").unwrap_or(part);
        self.held |= rest.len() < part.len();
        *size += rest.len();
        hash.update(rest);
    }
}
