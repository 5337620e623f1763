//! Reads what a server sends, and refuses a reply that is too large before the client's parser gets to
//! its length: that parser makes room for as much as a header announces.
//!
//! The invariant: the bytes of one reply and [`ELEMENT`] bytes for each element of its lists are
//! together at most [`LARGEST`].

use std::io::{self, Read};

/// The largest reply, in bytes of memory.
pub(super) const LARGEST: usize = 64 << 20;
/// What an element of a list costs in memory, beside its bytes.
const ELEMENT: usize = 64;
/// The longest line: the client parses a line from its beginning with each piece of it.
const LINE: usize = 64 << 10;
/// The longest line that is a length.
const DIGITS: usize = 32;

/// A reader of replies.
pub(super) struct Guarded<R> {
    reader: R,
    check: Check,
}

/// Where in a reply the next byte is.
#[derive(Default)]
struct Check {
    state: State,
    /// How many elements are left of each list that has begun.
    lists: Vec<usize>,
    /// How much of the limit the reply has used.
    used: usize,
    is_too_large: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Type,
    /// A line that is no length, and its length so far.
    Line(usize),
    /// A line that is the length of this type: its bytes so far, and how many they are.
    Length(u8, [u8; DIGITS], usize),
    /// So many bytes of a text and the line end behind it.
    Text(usize),
}

impl<R> Guarded<R> {
    pub fn new(reader: R) -> Self {
        Guarded {
            reader,
            check: Check::default(),
        }
    }

    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    pub fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Whether a reply was refused because of its size.
    pub fn is_too_large(&self) -> bool {
        self.check.is_too_large
    }
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.check.take(&buffer[..read])?;
        Ok(read)
    }
}

impl Check {
    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some((&byte, rest)) = bytes.split_first() {
            match &mut self.state {
                State::Type => {
                    self.use_up(1)?;
                    self.state = match byte {
                        b'$' | b'!' | b'=' | b'*' | b'~' | b'>' | b'%' | b'|' => {
                            State::Length(byte, [0; DIGITS], 0)
                        }
                        _ => State::Line(0),
                    };
                    bytes = rest;
                }
                State::Line(so_far) => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let length = end.map_or(bytes.len(), |end| end + 1);
                    *so_far += length;
                    if *so_far > LINE {
                        return Err(invalid("the server's reply has a line without an end"));
                    }
                    self.use_up(length)?;
                    if end.is_some() {
                        self.end_value();
                    }
                    bytes = &bytes[length..];
                }
                State::Length(kind, digits, length) => {
                    match byte {
                        b'\n' => {
                            let (kind, digits, length) = (*kind, *digits, *length);
                            self.begin(kind, &digits[..length])?;
                        }
                        _ if *length < DIGITS => {
                            digits[*length] = byte;
                            *length += 1;
                        }
                        _ => return Err(bad_length()),
                    }
                    bytes = rest;
                }
                State::Text(left) => {
                    let length = bytes.len().min(*left);
                    *left -= length;
                    if *left == 0 {
                        self.end_value();
                    }
                    bytes = &bytes[length..];
                }
            }
        }
        Ok(())
    }

    /// A text or a list of this length begins.
    fn begin(&mut self, kind: u8, digits: &[u8]) -> io::Result<()> {
        let digits = std::str::from_utf8(digits).map_err(|_| bad_length())?;
        let length: i64 = digits.trim_end().parse().map_err(|_| bad_length())?;
        // A negative length stands for nothing at all.
        let length = usize::try_from(length).ok();
        match (kind, length) {
            (_, None) => self.end_value(),
            (b'$' | b'!' | b'=', Some(length)) => {
                self.use_up(length)?;
                self.state = State::Text(length + 2);
            }
            (kind, Some(length)) => {
                let elements = match kind {
                    // Keys and values; an attribute is followed by what it belongs to.
                    b'%' => length.saturating_mul(2),
                    b'|' => length.saturating_mul(2).saturating_add(1),
                    _ => length,
                };
                self.use_up(elements.saturating_mul(ELEMENT))?;
                match elements {
                    0 => self.end_value(),
                    elements => {
                        self.lists.push(elements);
                        self.state = State::Type;
                    }
                }
            }
        }
        Ok(())
    }

    fn end_value(&mut self) {
        self.state = State::Type;
        while let Some(left) = self.lists.last_mut() {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.lists.pop();
        }
        self.used = 0;
    }

    fn use_up(&mut self, bytes: usize) -> io::Result<()> {
        self.used = self.used.saturating_add(bytes);
        self.is_too_large |= self.used > LARGEST;
        if self.is_too_large {
            let error = format!("the server's reply has more than {LARGEST} bytes");
            Err(invalid(&error))
        } else {
            Ok(())
        }
    }
}

fn bad_length() -> io::Error {
    invalid("the server's reply has a length that is not a number")
}

fn invalid(error: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::Guarded;
    use std::io::Read as _;

    /// Whether replies are let through, read whole and byte by byte.
    fn passes(replies: &[u8]) -> bool {
        let whole = Guarded::new(replies).read_to_end(&mut Vec::new());
        let mut single = Guarded::new(replies);
        let bytes = (0..replies.len()).map(|_| single.read(&mut [0]));
        let single: Result<usize, _> = bytes.sum();
        assert_eq!(whole.is_ok(), single.is_ok());
        whole.is_ok()
    }

    #[test]
    fn replies_of_any_type_pass_and_what_one_used_is_free_for_the_next() {
        let text = format!("${}\r\n{}\r\n", 40 << 20, "x".repeat(40 << 20));
        let mut guarded = Guarded::new(text.as_bytes().chain(text.as_bytes()));
        let read = guarded.read_to_end(&mut Vec::new());
        assert_eq!(read.ok(), Some(2 * text.len()));
        for replies in [
            "+OK\r\n-ERR no\r\n:12\r\n$-1\r\n*-1\r\n$0\r\n\r\n*0\r\n",
            "*2\r\n$3\r\na\r\n\r\n*1\r\n*2\r\n+a\r\n:1\r\n+last\r\n",
            "%1\r\n+a\r\n*0\r\n|1\r\n+a\r\n+b\r\n+value\r\n",
        ] {
            assert!(passes(replies.as_bytes()), "{replies}");
        }
    }

    #[test]
    fn a_length_that_is_too_large_is_refused_before_anything_of_it_comes() {
        for replies in [
            "$2000000000\r\n",
            "*2000000000\r\n",
            "*2\r\n$40000000\r\n",
            "%999999999999999999\r\n",
            "$99999999999999999999\r\n",
            "*x\r\n",
            &format!("+{}", "x".repeat(70_000)),
        ] {
            let is_begin = replies.starts_with("*2\r\n");
            assert_eq!(passes(replies.as_bytes()), is_begin, "{replies}");
        }
        // Two texts are too large together, and so are lists of lists.
        let text = format!("$40000000\r\n{}\r\n", "x".repeat(40_000_000));
        assert!(!passes(format!("*2\r\n{text}$40000000\r\n").as_bytes()));
        assert!(!passes("*100000\r\n".repeat(20).as_bytes()));
    }
}
