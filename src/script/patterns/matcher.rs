//! Matches a pattern, counting its steps, in time that grows with the text and no faster.
//!
//! Without back-references what follows an item matches at a place or does not, whatever came
//! before it. So each repetition notes the places from which it has failed, and none is tried twice,
//! from whatever place a match begins. Those notes are kept from one match to the next in the same
//! text.

use super::compiled::{Item, Pattern, Times};
use super::notes::Notes;
use crate::error::{Error, Result};
use memchr::memmem;

/// The clock is looked at after so many steps.
const STEPS: u32 = 100_000;
/// As deep as the library goes.
const MAX_DEPTH: u32 = 200;
const MAX_CAPTURES: usize = 32;

#[derive(Clone, Copy, Debug)]
pub(super) enum Capture {
    Open(usize),
    Position(usize),
    Closed(usize, usize),
}

pub(super) struct Matcher<'a> {
    pub text: &'a [u8],
    pub pattern: &'a Pattern,
    pub notes: &'a mut Notes,
    pub captures: Vec<Capture>,
    depth: u32,
    steps: u32,
    look: &'a dyn Fn(),
}

impl<'a> Matcher<'a> {
    pub fn new(
        text: &'a [u8],
        pattern: &'a Pattern,
        notes: &'a mut Notes,
        look: &'a dyn Fn(),
    ) -> Self {
        Matcher {
            text,
            pattern,
            notes,
            captures: Vec::new(),
            depth: 0,
            steps: 0,
            look,
        }
    }

    /// The first match that begins at `start` or later, or there where it is anchored, and does not
    /// end at `last`: its start and its end.
    pub fn first(
        &mut self,
        start: usize,
        last: Option<usize>,
        anchored: bool,
    ) -> Result<Option<(usize, usize)>> {
        let mut from = start;
        if let Some(plain) = &self.pattern.plain {
            self.captures.clear();
            let rest = &self.text[start.min(self.text.len())..];
            let found = if anchored {
                rest.starts_with(plain).then_some(0)
            } else {
                find_text(rest, plain)
            };
            self.take(found.unwrap_or(rest.len()) + 1);
            return Ok(found.map(|at| (start + at, start + at + plain.len())));
        }
        while from <= self.text.len() {
            if let Some(first) = self.pattern.first.filter(|_| !anchored) {
                let skipped = self.text[from..].iter().position(|byte| first.has(*byte));
                let Some(skipped) = skipped else {
                    self.take(self.text.len() - from);
                    return Ok(None);
                };
                self.take(skipped);
                from += skipped;
            }
            self.captures.clear();
            let end = self.run(from, 0)?;
            if let Some(end) = end.filter(|end| Some(*end) != last) {
                return if self.captures.iter().any(|c| matches!(c, Capture::Open(_))) {
                    Err(Error::data("unfinished capture"))
                } else {
                    Ok(Some((from, end)))
                };
            }
            if anchored {
                break;
            }
            from += 1;
        }
        Ok(None)
    }

    fn take(&mut self, steps: usize) {
        self.notes.steps += steps as u64;
        self.steps = self
            .steps
            .saturating_add(u32::try_from(steps).unwrap_or(u32::MAX));
        if self.steps >= STEPS {
            self.steps = 0;
            (self.look)();
        }
    }

    #[inline]
    fn step(&mut self) {
        self.notes.steps += 1;
        self.steps += 1;
        if self.steps >= STEPS {
            self.steps = 0;
            (self.look)();
        }
    }

    /// Where a match of the items from this one on ends that begins here.
    fn run(&mut self, at: usize, item: usize) -> Result<Option<usize>> {
        if self.depth == MAX_DEPTH {
            return Err(Error::data("pattern too complex"));
        }
        self.depth += 1;
        let end = self.go(at, item);
        self.depth -= 1;
        end
    }

    fn go(&mut self, mut at: usize, mut number: usize) -> Result<Option<usize>> {
        let pattern = self.pattern;
        loop {
            self.step();
            let Some(item) = pattern.items.get(number) else {
                return Ok(Some(at));
            };
            match item {
                Item::One(set) if self.text.get(at).is_some_and(|byte| set.has(*byte)) => at += 1,
                Item::One(_) => return Ok(None),
                Item::Repeat(times, set, note) => {
                    if self.notes.has_failed(*note, at) {
                        return Ok(None);
                    }
                    let single = |at: usize| self.text.get(at).is_some_and(|byte| set.has(*byte));
                    return match times {
                        Times::Maybe => {
                            let one = single(at);
                            self.maybe(at, one, *note, number + 1)
                        }
                        Times::Least => self.least(at, set, *note, number + 1),
                        Times::Any => self.most(at, 0, set, *note, number + 1),
                        Times::Some => self.most(at, 1, set, *note, number + 1),
                    };
                }
                Item::Position => return self.open(Capture::Position(at), at, number + 1),
                Item::Open => return self.open(Capture::Open(at), at, number + 1),
                Item::Close => return self.close(at, number + 1),
                Item::Balanced(open, close, note) => {
                    match self.balanced(at, *open, *close, *note) {
                        Some(after) => at = after,
                        None => return Ok(None),
                    }
                }
                Item::Frontier(set) => {
                    let before = if at == 0 { 0 } else { self.text[at - 1] };
                    let here = self.text.get(at).copied().unwrap_or(0);
                    if set.has(before) || !set.has(here) {
                        return Ok(None);
                    }
                }
                Item::Again(digit) => match self.again(at, *digit)? {
                    Some(after) => at = after,
                    None => return Ok(None),
                },
                Item::End => return Ok((at == self.text.len()).then_some(at)),
                Item::Bad(error) => return Err(Error::data(error.clone())),
            }
            number += 1;
        }
    }

    fn open(&mut self, capture: Capture, at: usize, next: usize) -> Result<Option<usize>> {
        if self.captures.len() == MAX_CAPTURES {
            return Err(Error::data("too many captures"));
        }
        let level = self.captures.len();
        self.captures.push(capture);
        let end = self.run(at, next)?;
        if end.is_none() {
            self.captures.truncate(level);
        }
        Ok(end)
    }

    fn close(&mut self, at: usize, next: usize) -> Result<Option<usize>> {
        let mut open = self.captures.iter();
        let open = open.rposition(|c| matches!(c, Capture::Open(_)));
        let Some((level, Capture::Open(from))) = open.map(|level| (level, self.captures[level]))
        else {
            return Err(Error::data("invalid pattern capture"));
        };
        self.captures[level] = Capture::Closed(from, at);
        let end = self.run(at, next)?;
        if end.is_none() {
            self.captures[level] = Capture::Open(from);
        }
        Ok(end)
    }

    fn maybe(&mut self, at: usize, one: bool, note: usize, next: usize) -> Result<Option<usize>> {
        if one && let Some(found) = self.run(at + 1, next)? {
            return Ok(Some(found));
        }
        let found = self.run(at, next)?;
        if found.is_none() {
            self.notes
                .note_failed(self.pattern, self.text.len(), note, at, at);
        }
        Ok(found)
    }

    fn most(
        &mut self,
        at: usize,
        least: usize,
        set: &super::compiled::Set,
        note: usize,
        next: usize,
    ) -> Result<Option<usize>> {
        let mut end = at;
        // From a place from which it has failed everything further on was tried.
        while self.text.get(end).is_some_and(|byte| set.has(*byte))
            && (end == at || !self.notes.has_failed(note, end))
        {
            self.step();
            end += 1;
        }
        let far = end;
        while end >= at + least {
            if let Some(found) = self.run(end, next)? {
                return Ok(Some(found));
            }
            if end == at {
                break;
            }
            end -= 1;
        }
        self.notes
            .note_failed(self.pattern, self.text.len(), note, at, far);
        Ok(None)
    }

    fn least(
        &mut self,
        at: usize,
        set: &super::compiled::Set,
        note: usize,
        next: usize,
    ) -> Result<Option<usize>> {
        let mut end = at;
        loop {
            if end > at && self.notes.has_failed(note, end) {
                break;
            }
            if let Some(found) = self.run(end, next)? {
                return Ok(Some(found));
            }
            if !self.text.get(end).is_some_and(|byte| set.has(*byte)) {
                break;
            }
            self.step();
            end += 1;
        }
        self.notes
            .note_failed(self.pattern, self.text.len(), note, at, end);
        Ok(None)
    }

    /// Where what is balanced and begins here ends.
    fn balanced(&mut self, at: usize, open: u8, close: u8, note: usize) -> Option<usize> {
        if self.text.get(at) != Some(&open) {
            return None;
        }
        if self.notes.steps >= self.notes.after
            && let Some(ends) = self.notes.ends(self.pattern, self.text, open, close, note)
        {
            let end = ends.of[at] as usize;
            if ends.is_new {
                self.take(self.text.len());
            }
            return (end > 0).then_some(end);
        }
        let mut depth = 1;
        for past in at + 1..self.text.len() {
            self.step();
            let byte = self.text[past];
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Some(past + 1);
                }
            } else if byte == open {
                depth += 1;
            }
        }
        None
    }

    /// What a capture has matched, once more.
    fn again(&mut self, at: usize, digit: u8) -> Result<Option<usize>> {
        let level = usize::from(digit).wrapping_sub(usize::from(b'1'));
        match self.captures.get(level) {
            Some(Capture::Closed(from, to)) => {
                let (from, to) = (*from, *to);
                self.take((to - from) / 16);
                let held = &self.text[from..to];
                Ok(self.text[at..].starts_with(held).then_some(at + held.len()))
            }
            // The library takes a position for a text that is longer than any.
            Some(Capture::Position(_)) => Ok(None),
            _ => Err(Error::data(format!(
                "invalid capture index %{}",
                char::from(digit)
            ))),
        }
    }
}

/// Where a text stands in another. To prepare the search takes time for each byte of what is looked
/// for, so one that is too long is not looked for.
pub(super) fn find_text(text: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.len() > text.len() {
        None
    } else {
        memmem::find(text, wanted)
    }
}
