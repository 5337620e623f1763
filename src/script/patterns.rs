//! Patterns of Lua whose matching takes time that grows with the text, and can be ended.
//!
//! The library's own matcher does neither. `lua/host/patterns.lua` calls it where the text is so
//! short that no pattern takes long, and this one elsewhere ([`compiled`], [`matcher`]).

mod compiled;
mod matcher;
mod notes;

use super::budget::Budget;
use super::failure::{self, raise};
use crate::error::{Error, Result};
use compiled::{Pattern, has_magic};
use matcher::{Capture, Matcher, find_text};
use mlua::{Function, IntoLuaMulti, Lua, LuaString, MultiValue, Table, Value};
use notes::Notes;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Patterns that are longer are refused; a text without magic may have any length.
const LONGEST: usize = 64 << 10;
/// So many patterns are kept, of those that are shorter than this.
const KEPT: usize = 256;
const SHORT: usize = 256;

/// What the functions share.
struct Patterns {
    budget: Rc<Budget>,
    /// The memory limit of the VM.
    memory: usize,
    known: RefCell<HashMap<Box<[u8]>, Rc<Pattern>>>,
}

impl Patterns {
    fn get(&self, lua: &Lua, text: &[u8]) -> Result<Rc<Pattern>> {
        if let Some(pattern) = self.known.borrow().get(text) {
            return Ok(pattern.clone());
        }
        self.budget.charge(lua, text.len() * 4);
        let pattern = Rc::new(Pattern::new(text, LONGEST)?);
        if text.len() < SHORT {
            let mut known = self.known.borrow_mut();
            if known.len() >= KEPT {
                known.clear();
            }
            known.insert(text.into(), pattern.clone());
        }
        Ok(pattern)
    }

    /// Notes may take a part of what the VM may.
    fn notes(&self) -> Notes {
        Notes::new(self.memory / 4)
    }

    /// The first match from `from` on: its start, its end and its captures.
    fn scan(
        &self,
        lua: &Lua,
        (text, pattern): (&[u8], &Pattern),
        notes: &mut Notes,
        (from, last, anchored): (usize, Option<usize>, bool),
    ) -> mlua::Result<MultiValue> {
        let look = || self.budget.look(lua);
        let mut matcher = Matcher::new(text, pattern, notes, &look);
        let found = matcher
            .first(from, last, anchored)
            .map_err(|error| raise(lua, error))?;
        let Some(found) = found else {
            return Ok(MultiValue::new());
        };
        let mut values: Vec<Value> = found.into_lua_multi(lua)?.into_vec();
        for capture in matcher.captures {
            values.push(match capture {
                Capture::Position(at) | Capture::Open(at) => Value::Integer(at as i64 + 1),
                Capture::Closed(from, to) => {
                    self.budget.charge(lua, to - from);
                    Value::String(lua.create_string(&text[from..to])?)
                }
            });
        }
        Ok(MultiValue::from_vec(values))
    }

    /// `string.gsub` with a text as replacement; at most so many are replaced.
    fn replace(
        &self,
        lua: &Lua,
        (text, pattern, anchored): (&[u8], &Pattern, bool),
        new: &[u8],
        most: usize,
    ) -> Result<(Vec<u8>, usize)> {
        let look = || self.budget.look(lua);
        let mut notes = self.notes();
        let mut matcher = Matcher::new(text, pattern, &mut notes, &look);
        let (mut made, mut from, mut last, mut count) = (Vec::new(), 0, None, 0);
        while count < most && from <= text.len() {
            let Some((begin, end)) = matcher.first(from, last, anchored)? else {
                break;
            };
            let before = made.len();
            made.extend_from_slice(&text[from..begin]);
            expand(&mut made, new, text, (begin, end), &matcher.captures)?;
            // The text that results is copied once more.
            if made.len() > self.memory / 2 {
                let limit = failure::size(self.memory);
                return Err(Error::data(format!("memory limit of {limit} exceeded")));
            }
            self.budget.charge(lua, made.len() - before);
            count += 1;
            (from, last) = (end, Some(end));
            if anchored {
                break;
            }
        }
        made.extend_from_slice(&text[from..]);
        self.budget.charge(lua, text.len() - from);
        Ok((made, count))
    }
}

/// Adds what stands in the place of a match.
fn expand(
    made: &mut Vec<u8>,
    new: &[u8],
    text: &[u8],
    (begin, end): (usize, usize),
    captures: &[Capture],
) -> Result<()> {
    let mut rest = new;
    while let Some(at) = memchr::memchr(b'%', rest) {
        made.extend_from_slice(&rest[..at]);
        match rest.get(at + 1) {
            Some(b'%') => made.push(b'%'),
            Some(b'0') => made.extend_from_slice(&text[begin..end]),
            Some(digit @ b'1'..=b'9') => match captures.get(usize::from(digit - b'1')) {
                Some(Capture::Closed(from, to)) => made.extend_from_slice(&text[*from..*to]),
                Some(Capture::Position(at) | Capture::Open(at)) => {
                    made.extend_from_slice((at + 1).to_string().as_bytes());
                }
                None if *digit == b'1' && captures.is_empty() => {
                    made.extend_from_slice(&text[begin..end]);
                }
                None => {
                    return Err(Error::data(format!(
                        "invalid capture index %{} in replacement string",
                        char::from(*digit)
                    )));
                }
            },
            _ => return Err(Error::data("invalid use of '%' in replacement string")),
        }
        rest = &rest[at + 2..];
    }
    made.extend_from_slice(rest);
    Ok(())
}

/// The pattern without the `^` in front of it, and whether there is one.
fn anchored(pattern: &[u8]) -> (&[u8], bool) {
    match pattern.strip_prefix(b"^") {
        Some(rest) => (rest, true),
        None => (pattern, false),
    }
}

/// What `lua/host/patterns.lua` needs: `scan(text, pattern, from, plain)` finds a match, from 0
/// (`plain` is true where the pattern is a text, and nil where `string.find` was not called),
/// `scanner(text, pattern, whole)` gives a function that finds one after the other (`whole`: a `^`
/// has no meaning), `replace(text, pattern, new, most)` puts a text in the place of matches.
pub(super) fn natives(lua: &Lua, budget: &Rc<Budget>, memory: usize) -> mlua::Result<Table> {
    let patterns = Rc::new(Patterns {
        budget: budget.clone(),
        memory,
        known: RefCell::default(),
    });
    let natives = lua.create_table()?;
    let at = patterns.clone();
    type Asked = (LuaString, LuaString, usize, Option<bool>);
    let scan = move |lua: &Lua, (text, pattern, from, plain): Asked| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        at.budget.charge(lua, pattern.len() * 4);
        if plain.is_some_and(|plain| plain || !has_magic(&pattern)) {
            at.budget.charge(lua, text.len() - from);
            let found = find_text(&text[from..], &pattern);
            let found = found.map(|at| (at + from, at + from + pattern.len()));
            return found.map_or(Ok(MultiValue::new()), |found| found.into_lua_multi(lua));
        }
        let (pattern, anchored) = anchored(&pattern);
        let pattern = at.get(lua, pattern).map_err(|error| raise(lua, error))?;
        let asked = (from, None, anchored);
        at.scan(lua, (&text, &pattern), &mut at.notes(), asked)
    };
    natives.raw_set("scan", lua.create_function(scan)?)?;
    let at = patterns.clone();
    let scanner = move |lua: &Lua, (text, pattern, whole): (LuaString, LuaString, bool)| {
        scanner(lua, &at, text, &pattern.as_bytes(), whole)
    };
    natives.raw_set("scanner", lua.create_function(scanner)?)?;
    type Given = (LuaString, LuaString, LuaString, Option<i64>);
    let replace = move |lua: &Lua, (text, pattern, new, most): Given| {
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(0));
        let (bytes, pattern, new) = (text.as_bytes(), pattern.as_bytes(), new.as_bytes());
        let (pattern, anchored) = anchored(&pattern);
        let replaced = patterns
            .get(lua, pattern)
            .and_then(|pattern| patterns.replace(lua, (&bytes, &pattern, anchored), &new, most));
        match replaced.map_err(|error| raise(lua, error))? {
            (_, 0) => Ok((text.clone(), 0)),
            (made, count) => Ok((lua.create_string(made)?, count)),
        }
    };
    natives.raw_set("replace", lua.create_function(replace)?)?;
    Ok(natives)
}

/// A function that finds the first match from a place on that does not end at another.
fn scanner(
    lua: &Lua,
    patterns: &Rc<Patterns>,
    text: LuaString,
    pattern: &[u8],
    whole: bool,
) -> mlua::Result<Function> {
    let (pattern, anchored) = if whole {
        (pattern, false)
    } else {
        anchored(pattern)
    };
    let pattern = patterns
        .get(lua, pattern)
        .map_err(|error| raise(lua, error))?;
    let (patterns, notes) = (patterns.clone(), RefCell::new(patterns.notes()));
    lua.create_function(move |lua, (from, last): (usize, Option<usize>)| {
        let text = text.as_bytes();
        let asked = (from, last, anchored);
        // It is never called while it runs.
        let notes = &mut notes.borrow_mut();
        patterns.scan(lua, (&text, &pattern), notes, asked)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What our matcher finds, as the library gives it.
    fn ours(lua: &Lua, text: &[u8], pattern: &[u8], after: u64) -> Result<Vec<Value>> {
        let mut notes = Notes::new(1 << 20);
        notes.after = after;
        if !has_magic(pattern) {
            let found = find_text(text, pattern).map(|at| [at + 1, at + pattern.len()]);
            let found = found.map(|found| found.map(|at| Value::Integer(at as i64)).to_vec());
            return Ok(found.unwrap_or_else(|| vec![Value::Nil]));
        }
        let (pattern, anchored) = anchored(pattern);
        let pattern = Pattern::new(pattern, LONGEST)?;
        let mut matcher = Matcher::new(text, &pattern, &mut notes, &|| {});
        let Some((from, to)) = matcher.first(0, None, anchored)? else {
            return Ok(vec![Value::Nil]);
        };
        let found = [from + 1, to].map(|at| Value::Integer(at as i64));
        let captures = matcher.captures.into_iter().map(|capture| match capture {
            Capture::Position(at) | Capture::Open(at) => Value::Integer(at as i64 + 1),
            Capture::Closed(from, to) => {
                Value::String(lua.create_string(&text[from..to]).expect("memory"))
            }
        });
        Ok(found.into_iter().chain(captures).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        /// With notes from the first step on, and without any.
        #[test]
        fn the_matcher_finds_what_the_library_finds(
            text in "[ab() \n]{0,14}",
            parts in prop::collection::vec(prop::sample::select(vec![
                "a", "b", ".", "%s", "[ab]", "[^a]", "a*", "b+", ".-", "a?", "%s*", "[%sb]-",
                "(", ")", "()", "%b()", "%bab", "%baa", "%f[a]", "%f[%s]", "$", "^", "%1", "[", "%",
                "(a*)", "(.-)", "(b+)", "[]a]", "[a-]", "[^%s]*",
            ]), 0..7),
        ) {
            let lua = Lua::new();
            let find: Function = lua.load("return string.find").eval().expect("the library");
            let pattern = parts.concat();
            let theirs = find.call::<MultiValue>((text.as_str(), pattern.as_str()));
            for after in [0, u64::MAX] {
                let ours = ours(&lua, text.as_bytes(), pattern.as_bytes(), after);
                match (&theirs, ours) {
                    (Ok(theirs), Ok(ours)) => prop_assert_eq!(theirs.iter().collect::<Vec<_>>(), ours.iter().collect::<Vec<_>>()),
                    (Err(_), Err(_)) => {}
                    (theirs, ours) => prop_assert!(false, "{:?} and {:?}", theirs, ours),
                }
            }
        }
    }
}
