//! A pattern of Lua, taken apart once: its items, in order.
//!
//! The library finds a malformed pattern only where a match comes to it. So does this: the items end
//! with [`Item::Bad`] there.

use crate::error::Error;

/// The bytes that one place of a pattern accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Set([u64; 4]);

impl Set {
    const NONE: Set = Set([0; 4]);
    const ALL: Set = Set([u64::MAX; 4]);

    fn of(byte: u8) -> Self {
        let mut set = Set::NONE;
        set.add(byte);
        set
    }

    fn class(class: u8) -> Self {
        let mut set = Set::NONE;
        set.add_class(class);
        set
    }

    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn add_class(&mut self, class: u8) {
        let all = 0..=u8::MAX;
        all.filter(|byte| in_class(*byte, class))
            .for_each(|byte| self.add(byte));
    }

    fn inverted(self) -> Self {
        Set(self.0.map(|word| !word))
    }

    #[inline]
    pub fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }
}

fn in_class(byte: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        _ => return class == byte,
    };
    is != class.is_ascii_uppercase()
}

/// How often a place is repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Times {
    /// `?`
    Maybe,
    /// `*`
    Any,
    /// `+`
    Some,
    /// `-`
    Least,
}

/// One item of a pattern. What is numbered keeps notes of its own while it is matched.
#[derive(Clone, Debug)]
pub(super) enum Item {
    One(Set),
    Repeat(Times, Set, usize),
    Position,
    Open,
    Close,
    /// `%bxy`
    Balanced(u8, u8, usize),
    /// `%f[set]`
    Frontier(Set),
    /// `%1`
    Again(u8),
    /// `$` at the end.
    End,
    Bad(String),
}

/// A pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    pub items: Vec<Item>,
    /// How many items are repetitions.
    pub repeats: usize,
    /// How many items are `%b`.
    pub balances: usize,
    /// Whether an item depends on what was captured before it.
    pub again: bool,
    /// The bytes with which a match begins, where there are such.
    pub first: Option<Set>,
    /// The text that the pattern is, where nothing in it has a meaning.
    pub plain: Option<Vec<u8>>,
}

/// Which bytes have a meaning for `string.find`, which looks for a text where there is none of them.
const MAGIC: [bool; 256] = {
    let mut magic = [false; 256];
    let bytes = b"^$*+?.([%-";
    let mut at = 0;
    while at < bytes.len() {
        magic[bytes[at] as usize] = true;
        at += 1;
    }
    magic
};

/// Whether `string.find` looks for a pattern and not for a text.
pub(super) fn has_magic(text: &[u8]) -> bool {
    text.iter().any(|byte| MAGIC[usize::from(*byte)])
}

/// Whether nothing in a pattern has a meaning.
fn is_plain(text: &[u8]) -> bool {
    !text
        .iter()
        .any(|byte| MAGIC[usize::from(*byte)] || *byte == b')')
}

impl Pattern {
    /// Takes a pattern apart, without the `^` in front of it. One that is longer than this must be a
    /// text without magic.
    pub fn new(text: &[u8], longest: usize) -> Result<Self, Error> {
        let mut pattern = Pattern {
            items: Vec::new(),
            repeats: 0,
            balances: 0,
            again: false,
            first: None,
            plain: None,
        };
        if !text.is_empty() && is_plain(text) {
            pattern.plain = Some(text.to_vec());
            return Ok(pattern);
        }
        if text.len() > longest {
            let error = format!("a pattern of {} bytes, more than {longest}", text.len());
            return Err(Error::data(error));
        }
        if let Err(bad) = pattern.read(text) {
            pattern.items.push(Item::Bad(bad));
        }
        pattern.first = pattern.first();
        Ok(pattern)
    }

    fn first(&self) -> Option<Set> {
        for item in &self.items {
            match item {
                Item::Open | Item::Position => {}
                Item::One(set) | Item::Repeat(Times::Some, set, _) => return Some(*set),
                Item::Balanced(open, _, _) => return Some(Set::of(*open)),
                _ => return None,
            }
        }
        None
    }

    fn read(&mut self, text: &[u8]) -> Result<(), String> {
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            let next = text.get(at + 1).copied();
            match (byte, next) {
                (b'(', Some(b')')) => {
                    self.items.push(Item::Position);
                    at += 2;
                }
                (b'(', _) => {
                    self.items.push(Item::Open);
                    at += 1;
                }
                (b')', _) => {
                    self.items.push(Item::Close);
                    at += 1;
                }
                (b'$', None) => {
                    self.items.push(Item::End);
                    at += 1;
                }
                (b'%', Some(b'b')) => {
                    let (Some(open), Some(close)) = (text.get(at + 2), text.get(at + 3)) else {
                        return Err("malformed pattern (missing arguments to '%b')".to_owned());
                    };
                    self.items
                        .push(Item::Balanced(*open, *close, self.balances));
                    self.balances += 1;
                    at += 4;
                }
                (b'%', Some(b'f')) => {
                    if text.get(at + 2) != Some(&b'[') {
                        return Err("missing '[' after '%f' in pattern".to_owned());
                    }
                    let (set, after) = single(text, at + 2)?;
                    self.items.push(Item::Frontier(set));
                    at = after;
                }
                (b'%', Some(digit @ b'0'..=b'9')) => {
                    self.items.push(Item::Again(digit));
                    self.again = true;
                    at += 2;
                }
                _ => {
                    let (set, after) = single(text, at)?;
                    let times = match text.get(after) {
                        Some(b'?') => Some(Times::Maybe),
                        Some(b'*') => Some(Times::Any),
                        Some(b'+') => Some(Times::Some),
                        Some(b'-') => Some(Times::Least),
                        _ => None,
                    };
                    self.items.push(match times {
                        Some(times) => Item::Repeat(times, set, self.repeats),
                        None => Item::One(set),
                    });
                    self.repeats += usize::from(times.is_some());
                    at = after + usize::from(times.is_some());
                }
            }
        }
        Ok(())
    }
}

/// What one place accepts, and where it ends.
fn single(text: &[u8], at: usize) -> Result<(Set, usize), String> {
    match (text[at], text.get(at + 1)) {
        (b'%', None) => Err("malformed pattern (ends with '%')".to_owned()),
        (b'%', Some(class)) => Ok((Set::class(*class), at + 2)),
        (b'[', _) => set(text, at),
        (b'.', _) => Ok((Set::ALL, at + 1)),
        (byte, _) => Ok((Set::of(byte), at + 1)),
    }
}

fn set(text: &[u8], at: usize) -> Result<(Set, usize), String> {
    let open = || "malformed pattern (missing ']')".to_owned();
    let inverted = text.get(at + 1) == Some(&b'^');
    let mut at = at + 1 + usize::from(inverted);
    let mut set = Set::NONE;
    let begin = at;
    loop {
        let byte = *text.get(at).ok_or_else(open)?;
        // The first one stands for itself, also where it is a bracket.
        if byte == b']' && at > begin {
            let set = if inverted { set.inverted() } else { set };
            return Ok((set, at + 1));
        }
        if byte == b'%' {
            set.add_class(*text.get(at + 1).ok_or_else(open)?);
            at += 2;
        } else if text.get(at + 1) == Some(&b'-') && !matches!(text.get(at + 2), None | Some(b']'))
        {
            (byte..=text[at + 2]).for_each(|byte| set.add(byte));
            at += 3;
        } else {
            set.add(byte);
            at += 1;
        }
    }
}
