//! A walk over a JSON document by a reader that knows what is to come.
//!
//! Only the common forms are known here: punctuation, texts and numbers as programs write them. A
//! text with escapes, and whatever is skipped that is more than a scalar, is left to `serde_json`;
//! what is out of the ordinary beyond that, and what is no JSON, ends the walk with `None`. Then
//! [`parse_json`](super::parse_json) decides what the document is. The invariant: what a walk
//! gives is what is in the value that `parse_json` gives.

use super::json::{MAX_DEPTH, ROUNDED, Skip, long_integer};
use std::borrow::Cow;

/// A place in a document.
pub(crate) struct Walk<'a> {
    text: &'a str,
    at: usize,
    /// How many arrays and objects are around it.
    depth: usize,
}

/// A number: a double where it is no signed integer of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Integer(i64),
    Real(f64),
}

/// Powers of ten that are doubles.
const POWERS: [f64; 16] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];
/// So many digits are a whole number that a double holds.
const EXACT: usize = 15;
/// So many digits are a whole number that 64 bits hold.
const FIT: usize = 18;

impl<'a> Walk<'a> {
    /// From the beginning of a document.
    pub fn over(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        Some(Walk {
            text,
            at: 0,
            depth: 0,
        })
    }

    /// Whether nothing but blanks is left.
    pub fn is_over(&mut self) -> bool {
        self.pass_blanks();
        self.at == self.text.len()
    }

    /// The next byte that is no blank.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        let byte = self.text.as_bytes().get(self.at).copied()?;
        if byte > b' ' {
            Some(byte)
        } else {
            self.peek_behind_blanks()
        }
    }

    #[inline(never)]
    fn peek_behind_blanks(&mut self) -> Option<u8> {
        self.pass_blanks();
        self.text.as_bytes().get(self.at).copied()
    }

    fn pass_blanks(&mut self) {
        let rest = self.text.as_bytes()[self.at..].iter();
        let blanks = rest.take_while(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'\r'));
        self.at += blanks.count();
    }

    /// Passes this byte, blanks before it too.
    #[inline]
    pub fn pass(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// Goes into an object or an array; returns whether there is anything in it.
    #[inline]
    pub fn enter(&mut self, open: u8, close: u8) -> Option<bool> {
        self.pass(open)?;
        self.depth += 1;
        if self.depth >= MAX_DEPTH {
            return None;
        }
        match self.pass(close) {
            Some(()) => {
                self.depth -= 1;
                Some(false)
            }
            None => Some(true),
        }
    }

    /// Goes on behind a field or an element; returns whether there is another one.
    #[inline]
    pub fn go_on(&mut self, close: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Some(true),
            byte if byte == close => {
                self.depth -= 1;
                Some(false)
            }
            _ => None,
        }
    }

    /// Passes the name of a field where it is this one: as it is written, with the colon.
    #[inline]
    pub fn pass_token(&mut self, token: &[u8]) -> bool {
        let begun = self.peek().is_some();
        let end = self.at + token.len();
        let is_it = begun && self.text.as_bytes().get(self.at..end) == Some(token);
        if is_it {
            self.at = end;
        }
        is_it
    }

    /// The name of a field; the colon is passed too.
    pub fn name(&mut self) -> Option<Cow<'a, str>> {
        let name = self.text()?;
        self.pass(b':')?;
        Some(name)
    }

    /// Passes `null`, where it is there.
    pub fn pass_null(&mut self) -> bool {
        let is_null = self.peek() == Some(b'n') && self.text[self.at..].starts_with("null");
        if is_null {
            self.at += "null".len();
        }
        is_null
    }

    /// A text; without escapes it is a part of the document.
    #[inline]
    pub fn text(&mut self) -> Option<Cow<'a, str>> {
        self.pass(b'"')?;
        let from = self.at;
        let to = self.plain(from)?;
        match self.text.as_bytes()[to] {
            b'"' => {
                self.at = to + 1;
                Some(Cow::Borrowed(&self.text[from..to]))
            }
            _ => self.escaped(from - 1, to),
        }
    }

    /// The text that begins at a quotation mark, with the first escape further on.
    #[cold]
    fn escaped(&mut self, from: usize, mut at: usize) -> Option<Cow<'a, str>> {
        while self.text.as_bytes().get(at)? == &b'\\' {
            at = self.plain(at + 2)?;
        }
        let literal = self.text.get(from..=at)?;
        self.at = at + 1;
        serde_json::from_str(literal).ok().map(Cow::Owned)
    }

    /// Where a quotation mark, a backslash or a control character comes next.
    #[inline]
    fn plain(&self, mut at: usize) -> Option<usize> {
        const ONES: u64 = u64::from_ne_bytes([1; 8]);
        let bytes = self.text.as_bytes();
        // Eight at a time: the lowest byte that is marked is one, whatever those above it are.
        while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_le_bytes(*eight);
            let is_less = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word;
            let quote = is_less(word ^ (ONES * u64::from(b'"')), 1);
            let backslash = is_less(word ^ (ONES * u64::from(b'\\')), 1);
            let marks = (is_less(word, b' ') | quote | backslash) & (ONES << 7);
            if marks != 0 {
                return Some(at + marks.trailing_zeros() as usize / 8);
            }
            at += 8;
        }
        let rest = bytes.get(at..)?;
        let next = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
        rest.iter().position(next).map(|further| at + further)
    }

    /// A number. One that no 64-bit integer or double holds ends the walk.
    #[inline]
    pub fn number(&mut self) -> Option<Number> {
        self.peek()?;
        self.number_here()
    }

    /// The same, where it is known to begin here if there is one.
    #[inline]
    pub fn number_here(&mut self) -> Option<Number> {
        let from = self.at;
        let is_negative = self.text.as_bytes().get(from) == Some(&b'-');
        let first = from + usize::from(is_negative);
        let (whole, end) = self.digits(first, 0);
        let count = end - first;
        if count == 0 || (count > 1 && self.text.as_bytes()[first] == b'0') {
            return None;
        }
        match self.text.as_bytes().get(end) {
            Some(b'.') => {
                let (all, behind) = self.digits(end + 1, whole);
                let decimals = behind - end - 1;
                let has_exponent = matches!(self.text.as_bytes().get(behind), Some(b'e' | b'E'));
                if decimals == 0 || has_exponent || count + decimals > EXACT {
                    return self.double(from, behind, decimals > 0);
                }
                // Both are exact, so the quotient is the nearest double (Clinger, 1990).
                let real = all as i64 as f64 / POWERS[decimals];
                self.at = behind;
                Some(Number::Real(if is_negative { -real } else { real }))
            }
            Some(b'e' | b'E') => self.double(from, end, true),
            _ if count > FIT || (whole == 0 && is_negative) => self.long(from, end),
            _ => {
                self.at = end;
                let whole = whole as i64;
                Some(Number::Integer(if is_negative { -whole } else { whole }))
            }
        }
    }

    /// The digits from a place on, behind others; and where they end.
    #[inline]
    fn digits(&self, mut at: usize, mut number: u64) -> (u64, usize) {
        let bytes = self.text.as_bytes();
        while let Some(digit @ 0..=9) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        (number, at)
    }

    /// A double that is written in any way, of which an exponent is still to come perhaps.
    #[cold]
    fn double(&mut self, from: usize, mut at: usize, is_good: bool) -> Option<Number> {
        let bytes = self.text.as_bytes();
        if let Some(b'e' | b'E') = bytes.get(at) {
            at += 1;
            at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
            let digits = at;
            at = self.digits(at, 0).1;
            if at == digits {
                return None;
            }
        }
        let real: f64 = self.text[from..at].parse().ok()?;
        self.at = at;
        (is_good && real.is_finite()).then_some(Number::Real(real))
    }

    /// A long integer, which may be no signed one or not fit at all; or a zero with a sign, which
    /// is a double.
    #[cold]
    fn long(&mut self, from: usize, at: usize) -> Option<Number> {
        let literal = &self.text[from..at];
        self.at = at;
        if literal == "-0" {
            return Some(Number::Real(-0.0));
        }
        match literal.parse() {
            Ok(whole) => Some(Number::Integer(whole)),
            Err(_) => literal
                .parse()
                .ok()
                .map(|whole: u64| Number::Real(whole as f64)),
        }
    }

    /// Passes a value that is not needed.
    pub fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.text().map(drop),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            _ => {
                let rest = &self.text[self.at..];
                ROUNDED.set(false);
                let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Skip>();
                values.next()?.ok()?;
                let skipped = &rest.as_bytes()[..values.byte_offset()];
                // As many as it can be deep, and a few more.
                let deeper = skipped.iter().filter(|byte| matches!(byte, b'[' | b'{'));
                let is_deep = self.depth + deeper.count() >= MAX_DEPTH;
                let is_rounded = ROUNDED.get() && long_integer(skipped).is_some();
                self.at += skipped.len();
                (!is_deep && !is_rounded).then_some(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_json;
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// The value of a document that is one text, number or something to be skipped.
    fn walked<T>(document: &str, read: impl FnOnce(&mut Walk<'_>) -> Option<T>) -> Option<T> {
        let mut walk = Walk::over(document.as_bytes())?;
        let read = read(&mut walk)?;
        walk.is_over().then_some(read)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 20_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_number_is_the_one_that_serde_json_reads(
            number in prop_oneof![
                "-?[0-9]{1,20}",
                "-?[0-9]{1,17}\\.[0-9]{1,17}",
                "-?[0-9]{0,3}\\.?[0-9]{0,3}[eE]?[-+]?[0-9]{0,3}",
                "[-+.eE0-9]{0,6}",
            ],
        ) {
            let ours = walked(&number, |walk| walk.number());
            match (ours, parse_json(number.as_bytes())) {
                (Some(Number::Integer(ours)), Ok(value)) => {
                    prop_assert_eq!(Some(ours), value.as_i64());
                }
                (Some(Number::Real(ours)), Ok(value)) => {
                    prop_assert!(value.as_i64().is_none());
                    prop_assert_eq!(Some(ours.to_bits()), value.as_f64().map(f64::to_bits));
                }
                (ours, value) => prop_assert!(ours.is_none() && value.is_err()),
            }
        }

        #[test]
        fn a_text_is_the_one_that_serde_json_reads(
            text in "\"([ -~äß\u{10348}\u{1}]|\\\\[\"\\\\/nu]|\\\\u[0-9a-fA-F]{4}){0,20}\"?",
        ) {
            let ours = walked(&text, |walk| walk.text().map(Cow::into_owned));
            prop_assert_eq!(ours.map(Value::String), parse_json(text.as_bytes()).ok());
        }

        #[test]
        fn what_is_skipped_is_what_serde_json_reads(
            text in "[\\[\\]{}:,\"a1e\\\\ \n]{0,12}|\\[(1|\"a\"|\\[\\]|,|\\{\"a\":(1|\\[1\\])\\}| ){0,6}\\]",
        ) {
            let ours = walked(&text, |walk| walk.skip());
            prop_assert_eq!(ours.is_some(), parse_json(text.as_bytes()).is_ok());
        }
    }

    #[test]
    fn what_is_walked_or_skipped_is_as_deep_as_a_value_may_be() {
        for depth in [126, 127, 128, 129] {
            let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let is_good = parse_json(nested.as_bytes()).is_ok();
            // So many of them are walked, the others are skipped.
            for walked_to in [0, 1, 100, depth - 1, depth] {
                let ours = walked(&nested, |walk| {
                    let mut inner = true;
                    for _ in 0..walked_to {
                        inner = walk.enter(b'[', b']')?;
                    }
                    if inner {
                        walk.skip()?;
                    }
                    let outer = if inner { walked_to } else { walked_to - 1 };
                    (0..outer).try_for_each(|_| walk.go_on(b']').map(drop))
                });
                assert_eq!(ours.is_some(), is_good, "{depth}, {walked_to} walked");
            }
        }
    }

    #[test]
    fn an_integer_that_would_be_rounded_is_not_passed_over() {
        let long = "[123456789012345678901234567890]";
        assert_eq!(walked(long, |walk| walk.skip()), None);
        assert_eq!(walked("[1e30]", |walk| walk.skip()), Some(()));
    }
}
