//! Lines that are one event: a stack trace, a statement over several lines.
//!
//! An event begins with a line that matches, and ends before the next one that does, after a time without
//! another line, or when it has as many lines as it may have.

use super::lines::Place;
use crate::time::Timestamp;
use regex::bytes::Regex;
use std::time::Duration;

/// The option `multiline`.
#[derive(Debug)]
pub(super) struct Multiline {
    pub start: Regex,
    pub timeout: Duration,
    pub lines: usize,
}

/// The lines of an event that has not ended.
#[derive(Default)]
pub(super) struct Group {
    text: Vec<u8>,
    lines: usize,
    /// What it takes of the stream, up to its last line.
    place: Place,
    /// When its last line came.
    last: Timestamp,
}

impl Group {
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Whether this line, which is not longer than an event may be, is not a part of it.
    pub fn ends_before(&self, line: &[u8], options: &Multiline, limit: usize) -> bool {
        !self.is_empty()
            && (self.lines >= options.lines
                || self.text.len() + 1 + line.len() > limit
                || options.start.is_match(line))
    }

    pub fn add(&mut self, line: &[u8], place: Place, now: Timestamp) {
        if !self.is_empty() {
            self.text.push(b'\n');
        }
        self.text.extend(line);
        self.lines += 1;
        self.place += place;
        self.last = now;
    }

    /// When it ends without another line.
    pub fn due(&self, options: &Multiline) -> Option<Timestamp> {
        (!self.is_empty()).then(|| self.last.saturating_add(options.timeout))
    }

    /// Ends it: its text, without blank lines at its end, and what it takes of the stream.
    pub fn end(&mut self) -> (Vec<u8>, Place) {
        let mut group = std::mem::take(self);
        while group.text.last() == Some(&b'\n') {
            group.text.pop();
        }
        (group.text, group.place)
    }
}
