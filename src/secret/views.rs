//! Views of a text: what it decodes to, and from where each byte comes.

use std::borrow::Cow;
use std::ops::Range;

/// Bytes that a text decodes to.
pub(super) struct View<'a> {
    bytes: Cow<'a, [u8]>,
    /// Where each byte comes from, and where the text ends; `None` where both are the same.
    places: Option<Vec<usize>>,
}

impl<'a> View<'a> {
    /// The text itself.
    pub fn whole(text: &'a str) -> Self {
        View {
            bytes: text.as_bytes().into(),
            places: None,
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// From where in the text these bytes come.
    pub fn place(&self, range: Range<usize>) -> Range<usize> {
        match &self.places {
            None => range,
            Some(places) => places[range.start]..places[range.end],
        }
    }

    /// What the text decodes to, also where it was encoded twice: an escaped text is often quoted
    /// within another one.
    pub fn decoded(&self) -> Vec<View<'static>> {
        let mut views = Vec::new();
        views.extend(self.decode(b'%', percent));
        let mut escaped = self.decode(b'\\', escape);
        for _ in 0..3 {
            let Some(view) = escaped else { break };
            views.extend(view.decode(b'%', percent));
            escaped = view.decode(b'\\', escape);
            views.push(view);
        }
        let again: Vec<View<'_>> = views
            .first()
            .into_iter()
            .flat_map(|view| [view.decode(b'%', percent), view.decode(b'\\', escape)])
            .flatten()
            .collect();
        views.extend(again);
        views
    }

    /// The view with what begins with `mark` decoded: `None` where nothing is.
    fn decode(&self, mark: u8, one: fn(&[u8]) -> Option<Decoded>) -> Option<View<'static>> {
        let first = memchr::memchr(mark, &self.bytes)?;
        let mut bytes = self.bytes[..first].to_vec();
        let mut places: Vec<usize> = (0..first).map(|at| self.start(at)).collect();
        let (mut at, mut is_other) = (first, false);
        while let Some(byte) = self.bytes.get(at) {
            let found = (*byte == mark).then(|| one(&self.bytes[at..])).flatten();
            let place = self.start(at);
            match found {
                Some((decoded, raw, taken)) => {
                    match raw {
                        Raw::Byte => bytes.push(decoded as u8),
                        Raw::Char => bytes.extend(decoded.encode_utf8(&mut [0; 4]).as_bytes()),
                    }
                    at += taken;
                    is_other = true;
                }
                None => {
                    bytes.push(*byte);
                    at += 1;
                }
            }
            // All bytes of a character come from the same place; the next one is behind it.
            places.resize(bytes.len(), place);
        }
        places.push(self.start(at));
        is_other.then_some(View {
            bytes: bytes.into(),
            places: Some(places),
        })
    }

    fn start(&self, at: usize) -> usize {
        self.places.as_ref().map_or(at, |places| places[at])
    }
}

/// What was decoded, and how many bytes it took.
type Decoded = (char, Raw, usize);

/// What was decoded: a byte, or a character of UTF-8.
enum Raw {
    Byte,
    Char,
}

fn hex(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    let is_hex = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(text, 16).ok().filter(|_| is_hex)
}

/// `%40`.
fn percent(bytes: &[u8]) -> Option<Decoded> {
    let byte = hex(bytes.get(1..3)?)?;
    Some((char::from_u32(byte)?, Raw::Byte, 3))
}

/// `\n`, `\"`, `\x40`, `\u0040`, `\u{40}`, as in JSON, Rust, Lua, SQL and DOT.
fn escape(bytes: &[u8]) -> Option<Decoded> {
    let plain = |c| Some((c, Raw::Char, 2));
    match *bytes.get(1)? {
        b'n' => plain('\n'),
        b'r' => plain('\r'),
        b't' => plain('\t'),
        b'b' => plain('\u{8}'),
        b'f' => plain('\u{c}'),
        b'v' => plain('\u{b}'),
        b'0' => plain('\0'),
        byte @ (b'"' | b'\'' | b'`' | b'\\' | b'/' | b'%' | b'_') => plain(byte as char),
        b'x' => {
            let byte = hex(bytes.get(2..4)?)?;
            Some((char::from_u32(byte)?, Raw::Byte, 4))
        }
        b'u' if bytes.get(2) == Some(&b'{') => {
            let rest = &bytes[3..bytes.len().min(10)];
            let end = rest.iter().position(|byte| *byte == b'}')?;
            Some((char::from_u32(hex(&rest[..end])?)?, Raw::Char, 4 + end))
        }
        b'u' => {
            let unit = hex(bytes.get(2..6)?)?;
            if let Some(c) = char::from_u32(unit) {
                return Some((c, Raw::Char, 6));
            }
            let low = bytes.get(6..12).filter(|low| low.starts_with(b"\\u"))?;
            let low = hex(&low[2..])?;
            let units = [u16::try_from(unit).ok()?, u16::try_from(low).ok()?];
            let c = char::decode_utf16(units).next()?.ok()?;
            Some((c, Raw::Char, 12))
        }
        _ => None,
    }
}
