//! Patterns of Lua whose matching can be ended: the library's own cannot, and some take for ever.
//!
//! This is a matcher of the same language that counts its steps. `lua/host/patterns.lua` calls it
//! where a pattern could take long, and the library elsewhere.

use super::budget::Budget;
use super::failure::raise;
use crate::error::{Error, Result};
use mlua::{Function, IntoLuaMulti, Lua, LuaString, MultiValue, Value};
use std::rc::Rc;

/// The clock is looked at after so many steps.
const STEPS: u32 = 100_000;
/// As deep as the library goes.
const MAX_DEPTH: u32 = 200;
const MAX_CAPTURES: usize = 32;

/// The function `scan(text, pattern, start, last, anchored)`: the first match from `start` (from 0)
/// on that does not end at `last`; its start, its end and its captures.
pub(super) fn scan(lua: &Lua, budget: &Rc<Budget>) -> mlua::Result<Function> {
    let budget = budget.clone();
    type Given = (LuaString, LuaString, usize, i64, bool);
    lua.create_function(move |lua, (text, pattern, start, last, anchored): Given| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        let mut matcher = Matcher {
            text: &text,
            pattern: &pattern,
            captures: Vec::new(),
            depth: 0,
            steps: 0,
            look: &|| budget.look(lua),
        };
        for from in start..=text.len() {
            matcher.captures.clear();
            let end = matcher.run(from, 0).map_err(|error| raise(lua, error))?;
            if let Some(end) = end.filter(|end| i64::try_from(*end) != Ok(last)) {
                let mut found: Vec<Value> = (from, end).into_lua_multi(lua)?.into_vec();
                for capture in &matcher.captures {
                    found.push(match *capture {
                        Capture::Position(at) => Value::Integer(at as i64 + 1),
                        Capture::Closed(from, to) => {
                            Value::String(lua.create_string(&text[from..to])?)
                        }
                        Capture::Open(_) => {
                            return Err(raise(lua, Error::data("unfinished capture")));
                        }
                    });
                }
                return Ok(MultiValue::from_vec(found));
            }
            if anchored {
                break;
            }
        }
        Ok(MultiValue::new())
    })
}

#[derive(Clone, Copy)]
enum Capture {
    Open(usize),
    Position(usize),
    Closed(usize, usize),
}

struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: Vec<Capture>,
    depth: u32,
    steps: u32,
    look: &'a dyn Fn(),
}

impl Matcher<'_> {
    /// Where a match that begins here ends.
    fn run(&mut self, at: usize, pattern: usize) -> Result<Option<usize>> {
        if self.depth == MAX_DEPTH {
            return Err(Error::data("pattern too complex"));
        }
        self.depth += 1;
        let end = self.go(at, pattern);
        self.depth -= 1;
        end
    }

    fn step(&mut self) {
        self.steps += 1;
        if self.steps == STEPS {
            self.steps = 0;
            (self.look)();
        }
    }

    fn go(&mut self, mut at: usize, mut p: usize) -> Result<Option<usize>> {
        loop {
            self.step();
            let Some(&first) = self.pattern.get(p) else {
                return Ok(Some(at));
            };
            let second = self.pattern.get(p + 1).copied();
            match (first, second) {
                (b'(', Some(b')')) => return self.open(Capture::Position(at), at, p + 2),
                (b'(', _) => return self.open(Capture::Open(at), at, p + 1),
                (b')', _) => return self.close(at, p + 1),
                (b'$', None) => return Ok((at == self.text.len()).then_some(at)),
                (b'%', Some(b'b')) => match self.balanced(at, p + 2)? {
                    Some(after) => (at, p) = (after, p + 4),
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => match self.frontier(at, p + 2)? {
                    Some(after) => p = after,
                    None => return Ok(None),
                },
                (b'%', Some(digit @ b'0'..=b'9')) => match self.again(at, digit)? {
                    Some(after) => (at, p) = (after, p + 2),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.class_end(p)?;
                    match self.pattern.get(end) {
                        Some(b'?') => {
                            if self.single(at, p, end)
                                && let Some(found) = self.run(at + 1, end + 1)?
                            {
                                return Ok(Some(found));
                            }
                            p = end + 1;
                        }
                        Some(b'+') if !self.single(at, p, end) => return Ok(None),
                        Some(b'+') => return self.most(at, 1, p, end),
                        Some(b'*') => return self.most(at, 0, p, end),
                        Some(b'-') => return self.least(at, p, end),
                        _ if self.single(at, p, end) => (at, p) = (at + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    fn open(&mut self, capture: Capture, at: usize, p: usize) -> Result<Option<usize>> {
        if self.captures.len() == MAX_CAPTURES {
            return Err(Error::data("too many captures"));
        }
        let level = self.captures.len();
        self.captures.push(capture);
        let end = self.run(at, p)?;
        if end.is_none() {
            self.captures.truncate(level);
        }
        Ok(end)
    }

    fn close(&mut self, at: usize, p: usize) -> Result<Option<usize>> {
        let open = self
            .captures
            .iter()
            .rposition(|c| matches!(c, Capture::Open(_)));
        let Some((level, Capture::Open(from))) = open.map(|level| (level, self.captures[level]))
        else {
            return Err(Error::data("invalid pattern capture"));
        };
        self.captures[level] = Capture::Closed(from, at);
        let end = self.run(at, p)?;
        if end.is_none() {
            self.captures[level] = Capture::Open(from);
        }
        Ok(end)
    }

    fn most(&mut self, at: usize, least: usize, p: usize, end: usize) -> Result<Option<usize>> {
        let mut count = 0;
        while self.single(at + count, p, end) {
            self.step();
            count += 1;
        }
        loop {
            if let Some(found) = self.run(at + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == least {
                return Ok(None);
            }
            count -= 1;
        }
    }

    fn least(&mut self, mut at: usize, p: usize, end: usize) -> Result<Option<usize>> {
        loop {
            if let Some(found) = self.run(at, end + 1)? {
                return Ok(Some(found));
            }
            if !self.single(at, p, end) {
                return Ok(None);
            }
            self.step();
            at += 1;
        }
    }

    /// Where the class that begins here ends.
    fn class_end(&self, p: usize) -> Result<usize> {
        match (self.pattern[p], self.pattern.get(p + 1)) {
            (b'%', None) => Err(Error::data("malformed pattern (ends with '%')")),
            (b'%', Some(_)) => Ok(p + 2),
            (b'[', next) => {
                let mut at = p + 1 + usize::from(next == Some(&b'^'));
                // The first one stands for itself, also where it is a bracket.
                loop {
                    match self.pattern.get(at) {
                        None => {
                            return Err(Error::data("malformed pattern (missing ']')"));
                        }
                        Some(b'%') => at += 2,
                        Some(_) => at += 1,
                    }
                    if self.pattern.get(at) == Some(&b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether the byte here is one of the class.
    fn single(&self, at: usize, p: usize, end: usize) -> bool {
        let Some(&byte) = self.text.get(at) else {
            return false;
        };
        match self.pattern[p] {
            b'.' => true,
            b'%' => class(byte, self.pattern[p + 1]),
            b'[' => self.set(byte, p, end - 1),
            other => other == byte,
        }
    }

    fn set(&self, byte: u8, p: usize, end: usize) -> bool {
        let negated = self.pattern[p + 1] == b'^';
        let mut at = p + 1 + usize::from(negated);
        while at < end {
            let first = self.pattern[at];
            let found = if first == b'%' {
                at += 2;
                class(byte, self.pattern[at - 1])
            } else if self.pattern[at + 1] == b'-' && at + 2 < end {
                at += 3;
                (first..=self.pattern[at - 1]).contains(&byte)
            } else {
                at += 1;
                first == byte
            };
            if found {
                return !negated;
            }
        }
        negated
    }

    fn balanced(&mut self, at: usize, p: usize) -> Result<Option<usize>> {
        let (Some(open), Some(close)) = (self.pattern.get(p), self.pattern.get(p + 1)) else {
            return Err(Error::data("malformed pattern (missing arguments to '%b')"));
        };
        if self.text.get(at) != Some(open) {
            return Ok(None);
        }
        let mut depth = 1;
        for (past, byte) in self.text.iter().enumerate().skip(at + 1) {
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(past + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    fn frontier(&self, at: usize, p: usize) -> Result<Option<usize>> {
        if self.pattern.get(p) != Some(&b'[') {
            return Err(Error::data("missing '[' after '%f' in pattern"));
        }
        let end = self.class_end(p)?;
        let before = if at == 0 { 0 } else { self.text[at - 1] };
        let here = self.text.get(at).copied().unwrap_or(0);
        let edge = !self.set(before, p, end - 1) && self.set(here, p, end - 1);
        Ok(edge.then_some(end))
    }

    /// What a capture has matched, once more.
    fn again(&self, at: usize, digit: u8) -> Result<Option<usize>> {
        let level = usize::from(digit).wrapping_sub(usize::from(b'1'));
        match self.captures.get(level) {
            Some(Capture::Closed(from, to)) => {
                let held = &self.text[*from..*to];
                Ok(self.text[at..].starts_with(held).then_some(at + held.len()))
            }
            _ => Err(Error::data(format!(
                "invalid capture index %{}",
                char::from(digit)
            ))),
        }
    }
}

fn class(byte: u8, class: u8) -> bool {
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
