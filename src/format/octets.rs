//! The framing of syslog over a stream (RFC 6587).

use crate::error::Error;
use crate::event::Oversized;
use std::borrow::Cow;

/// The most digits of a length that is announced.
const DIGITS: usize = 8;

/// The framing of RFC 6587: a message is a line, or its length in bytes, a blank, and `<` begin it.
#[derive(Default)]
pub(super) struct Octets {
    /// What may be a length.
    prefix: Vec<u8>,
    frame: Frame,
}

#[derive(Default)]
enum Frame {
    /// Between two messages.
    #[default]
    None,
    Line,
    Counted {
        length: usize,
        /// What came of it; of one that is too long the rest is counted only.
        held: Vec<u8>,
        too_long: Option<Oversized>,
    },
}

/// What was found in the bytes.
pub(super) enum Framed<'a> {
    /// Nothing whole.
    Nothing,
    /// A line goes on with these bytes, which were taken.
    Line(Vec<u8>),
    /// The line goes on.
    InLine,
    Message(Cow<'a, [u8]>),
    TooLong(Oversized),
}

impl Octets {
    pub fn is_empty(&self) -> bool {
        self.prefix.is_empty() && !matches!(self.frame, Frame::Counted { .. })
    }

    /// The line has ended.
    pub fn end_line(&mut self) {
        self.frame = Frame::None;
    }

    /// What is there of a message whose end is missing.
    pub fn end(&mut self) -> Option<(Vec<u8>, Error)> {
        match std::mem::take(&mut self.frame) {
            Frame::Counted {
                length,
                held,
                too_long,
            } => {
                let is = too_long.map_or(held.len(), |whole| whole.size());
                let error = format!("the message ends after {is} of {length} bytes");
                Some((held, Error::data(error)))
            }
            Frame::None | Frame::Line => None,
        }
    }

    /// What was held back since it may have been a length.
    pub fn take_prefix(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.prefix)
    }

    /// Takes bytes up to the end of the next message, or all of them. Returns how many it took.
    pub fn next<'a>(&mut self, bytes: &'a [u8], limit: usize) -> (usize, Framed<'a>) {
        let mut at = 0;
        while let (Frame::None, Some(byte)) = (&self.frame, bytes.get(at)) {
            let is_end = self.prefix.last() == Some(&b' ');
            let is_length = match byte {
                b'1'..=b'9' => !is_end && self.prefix.len() < DIGITS,
                b'0' => !is_end && !self.prefix.is_empty() && self.prefix.len() < DIGITS,
                b' ' => !is_end && !self.prefix.is_empty(),
                _ => false,
            };
            if is_length {
                self.prefix.push(*byte);
                at += 1;
            } else if is_end && *byte == b'<' {
                let digits = String::from_utf8_lossy(&self.take_prefix()).into_owned();
                let length = digits.trim_end().parse().unwrap_or_default();
                self.frame = Frame::Counted {
                    length,
                    held: Vec::new(),
                    too_long: None,
                };
            } else {
                self.frame = Frame::Line;
                return (at, Framed::Line(self.take_prefix()));
            }
        }
        let rest = &bytes[at..];
        let Frame::Counted {
            length,
            held,
            too_long,
        } = &mut self.frame
        else {
            let found = match self.frame {
                Frame::Line => Framed::InLine,
                _ => Framed::Nothing,
            };
            return (at, found);
        };
        let is_there = too_long.as_ref().map_or(held.len(), Oversized::size);
        let part = &rest[..rest.len().min(*length - is_there)];
        let is_whole = is_there + part.len() == *length;
        let taken = at + part.len();
        let found = match (is_whole, too_long) {
            (true, None) if held.is_empty() && *length <= limit => {
                Framed::Message(Cow::Borrowed(part))
            }
            (false, None) if *length <= limit => {
                held.extend(part);
                Framed::Nothing
            }
            (true, None) if *length <= limit => {
                held.extend(part);
                Framed::Message(Cow::Owned(std::mem::take(held)))
            }
            (_, too_long) => {
                let whole = too_long.get_or_insert_default();
                whole.add(part);
                if is_whole {
                    Framed::TooLong(std::mem::take(whole))
                } else {
                    Framed::Nothing
                }
            }
        };
        if is_whole {
            self.frame = Frame::None;
        }
        (taken, found)
    }
}
