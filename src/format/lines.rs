//! Lines in bytes that come in pieces.
//!
//! A line ends with LF or CRLF. Blank lines are no events, a byte order mark at the beginning of the
//! stream belongs to no line, and of a line no more is kept than an event may hold.

use crate::event::Oversized;
use std::ops::AddAssign;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A part of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub bytes: u64,
    pub lines: u64,
}

impl AddAssign for Place {
    fn add_assign(&mut self, other: Place) {
        self.bytes += other.bytes;
        self.lines += other.lines;
    }
}

/// A line that has ended.
pub(crate) enum Line<'a> {
    /// Without its line end.
    Text(&'a [u8]),
    /// It is longer than an event may be.
    TooLong(Oversized),
    /// It is empty, or has only white space.
    Blank,
}

/// Splits a stream of bytes into lines.
#[derive(Default)]
pub(crate) struct Lines {
    /// The line that has not ended yet.
    held: Vec<u8>,
    /// The line in `held` was given out.
    spent: bool,
    /// Of a line that is too long: what is kept of it.
    too_long: Option<Oversized>,
    /// All of such a line is white space so far.
    blank: bool,
    /// A carriage return came last of such a line, and belongs to it if more follows.
    cr: bool,
    /// The place where a byte order mark may be has passed.
    begun: bool,
}

impl Lines {
    /// Whether no part of a line is held.
    pub fn is_empty(&self) -> bool {
        (self.held.is_empty() || self.spent) && self.too_long.is_none()
    }

    /// What comes first does not begin the stream.
    pub fn go_on(&mut self) {
        self.begun = true;
    }

    /// Takes bytes up to the end of the next line, or all of them. Returns how many it took.
    pub fn next<'a>(&'a mut self, bytes: &'a [u8], limit: usize) -> (usize, Option<Line<'a>>) {
        let (taken, line) = self.next_raw(bytes, limit);
        (taken, line.map(|line| line.judged(limit)))
    }

    /// The same with a carriage return at the end of the line, and blank lines as they are.
    pub fn next_raw<'a>(&'a mut self, bytes: &'a [u8], limit: usize) -> (usize, Option<Line<'a>>) {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            self.add(bytes, limit);
            return (bytes.len(), None);
        };
        let line = &bytes[..end];
        // A line that lies whole in the bytes is not copied together first.
        let found = if self.is_empty() {
            let line = if self.begun {
                line
            } else {
                line.strip_prefix(BOM).unwrap_or(line)
            };
            self.begun = true;
            Line::Text(line)
        } else {
            self.add(line, limit);
            self.end_line()
        };
        (end + 1, Some(found))
    }

    /// The stream has ended: what is held is a line too. What is added next begins another stream.
    pub fn end(&mut self, limit: usize) -> Option<Line<'_>> {
        self.end_raw().map(|line| line.judged(limit))
    }

    /// The same with a carriage return at the end of the line, and blank lines as they are.
    pub fn end_raw(&mut self) -> Option<Line<'_>> {
        let is_empty = self.is_empty();
        let was_begun = std::mem::take(&mut self.begun);
        if is_empty {
            return None;
        }
        if !was_begun && self.held.starts_with(BOM) {
            self.held.drain(..BOM.len());
        }
        Some(self.end_line())
    }

    fn add(&mut self, part: &[u8], limit: usize) {
        if std::mem::take(&mut self.spent) {
            // The allocation serves the next line.
            self.held.clear();
        }
        if self.too_long.is_some() {
            return self.count(part);
        }
        self.held.extend(part);
        if !self.begun && self.held.len() >= BOM.len() {
            self.begun = true;
            if self.held.starts_with(BOM) {
                self.held.drain(..BOM.len());
            }
        }
        // The greatest line may have a carriage return behind it.
        if self.held.len() > limit + 1 {
            self.too_long = Some(Oversized::default());
            (self.blank, self.cr) = (true, false);
            let held = std::mem::take(&mut self.held);
            self.count(&held);
        }
    }

    fn count(&mut self, part: &[u8]) {
        let Some(whole) = &mut self.too_long else {
            return;
        };
        if self.cr && !part.is_empty() {
            whole.add(b"\r");
            self.cr = false;
        }
        let rest = part.strip_suffix(b"\r").unwrap_or(part);
        self.cr |= rest.len() < part.len();
        self.blank &= rest.trim_ascii_start().is_empty();
        whole.add(rest);
    }

    fn end_line(&mut self) -> Line<'_> {
        self.begun = true;
        match self.too_long.take() {
            Some(_) if self.blank => Line::Blank,
            Some(whole) => Line::TooLong(whole),
            None => {
                self.spent = true;
                Line::Text(&self.held)
            }
        }
    }
}

impl<'a> Line<'a> {
    /// The line without its carriage return, if it is not blank.
    pub fn judged(self, limit: usize) -> Line<'a> {
        let Line::Text(line) = self else {
            return self;
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii_start().is_empty() {
            return Line::Blank;
        }
        if line.len() <= limit {
            return Line::Text(line);
        }
        Line::TooLong(Oversized::of(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 8;

    /// What comes of a stream that comes in pieces of this size.
    fn decode(stream: &[u8], piece: usize) -> Vec<String> {
        fn show(found: Line<'_>) -> Option<String> {
            match found {
                Line::Text(line) => Some(String::from_utf8_lossy(line).into_owned()),
                Line::TooLong(whole) => {
                    let (event, error) =
                        whole.into_event(LIMIT, crate::time::Timestamp::from_secs(0));
                    let head = String::from_utf8_lossy(event.payload().bytes()).into_owned();
                    Some(format!("{head} {}", error.message()))
                }
                Line::Blank => None,
            }
        }
        let mut decoder = Lines::default();
        let mut lines = Vec::new();
        for mut bytes in stream.chunks(piece) {
            while !bytes.is_empty() {
                let (taken, found) = decoder.next(bytes, LIMIT);
                lines.extend(found.and_then(show));
                bytes = &bytes[taken..];
            }
        }
        lines.extend(decoder.end(LIMIT).and_then(show));
        lines
    }

    #[test]
    fn lines_are_the_same_in_pieces_of_any_size() {
        let too_long = |line: &str| {
            let size = line.len();
            format!("{line} payload of {size} bytes > max_event_bytes (8 bytes)")
        };
        let cases: [(&[u8], Vec<String>); 8] = [
            (b"1\n2", vec!["1".into(), "2".into()]),
            (
                b"\xef\xbb\xbf1\r\n\r\n \t\r\n2\r",
                vec!["1".into(), "2".into()],
            ),
            (b"\xef\xbb\xbf12345678\r\n", vec!["12345678".into()]),
            (b"\xef\xbb\xbf123456789\r\n", vec![too_long("123456789")]),
            (b"\xef\xbb\xbf\n\xef\xbb\xbf1", vec!["\u{feff}1".into()]),
            (b"            \n1", vec!["1".into()]),
            (
                b"1\n12345\r7890\r\n2",
                vec!["1".into(), too_long("12345\r7890"), "2".into()],
            ),
            (b"\xef\xbb\xbf", vec![]),
        ];
        for (stream, expected) in cases {
            for piece in 1..=stream.len() {
                assert_eq!(decode(stream, piece), expected, "{stream:?} by {piece}");
            }
        }
    }
}
