//! LIKE and GLOB as functions, for patterns that are no constants of the query: `bounded_like(pattern, text,
//! escape)` and `bounded_glob(pattern, text)`.
//!
//! SQLite's own take the product of text and pattern in one step. They stay in use for constants, since with
//! them SQLite finds a prefix in an index; `store/sqlite/dialect/patterns.rs` rewrites the others.

use super::{Bounds, FLAGS, read, scalar, string_of, text_of, wrong};
use crate::store::sqlite::bounds::PATTERN;
use crate::store::sqlite::dialect::{BOUNDED_GLOB, BOUNDED_LIKE};
use rusqlite::functions::Context;
use rusqlite::{Connection, Result};

pub(super) fn register(connection: &Connection, bounds: &Bounds) -> Result<()> {
    scalar(
        connection,
        bounds,
        (BOUNDED_LIKE, 3),
        FLAGS,
        |cx, bounds| {
            check_length(cx)?;
            let Some(escape) = string_of(cx.get_raw(2))? else {
                return Ok(None);
            };
            let escape = match read(&escape) {
                Some((escape_character, length)) if length == escape.len() => escape_character,
                _ => return Err(wrong("ESCAPE expression must be a single character")),
            };
            compare(cx, bounds, |pattern| like(pattern, escape))
        },
    )?;
    scalar(
        connection,
        bounds,
        (BOUNDED_GLOB, 2),
        FLAGS,
        |cx, bounds| {
            check_length(cx)?;
            compare(cx, bounds, glob)
        },
    )
}

fn check_length(cx: &Context<'_>) -> Result<()> {
    let length = text_of(cx.get_raw(0))?.map_or(0, |pattern| pattern.len());
    if length > PATTERN as usize {
        Err(wrong("LIKE or GLOB pattern too complex"))
    } else {
        Ok(())
    }
}

fn compare(
    cx: &Context<'_>,
    bounds: &Bounds,
    parse: impl FnOnce(&[u8]) -> Vec<Part>,
) -> Result<Option<bool>> {
    let (Some(pattern), Some(text)) = (string_of(cx.get_raw(0))?, string_of(cx.get_raw(1))?) else {
        return Ok(None);
    };
    matches(&parse(&pattern), &text, bounds).map(Some)
}

/// A part of a pattern.
enum Part {
    /// This character.
    Is(u32),
    /// One character.
    Any,
    /// Any number of characters.
    All,
    /// A character between two of these pairs, or of no pair where the flag is set.
    OneOf(Vec<(u32, u32)>, bool),
    /// A character, and then nothing matches.
    Never,
}

/// The parts of a pattern of LIKE.
fn like(mut pattern: &[u8], escape: u32) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut next = || {
        let (character, length) = read(pattern)?;
        pattern = &pattern[length..];
        Some(character)
    };
    while let Some(found) = next() {
        parts.push(if found == escape {
            next().map_or(Part::Never, Part::Is)
        } else if found == u32::from(b'%') {
            Part::All
        } else if found == u32::from(b'_') {
            Part::Any
        } else {
            Part::Is(found)
        });
    }
    parts
}

/// The parts of a pattern of GLOB.
fn glob(mut pattern: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some((found, length)) = read(pattern) {
        pattern = &pattern[length..];
        parts.push(match u8::try_from(found) {
            Ok(b'*') => Part::All,
            Ok(b'?') => Part::Any,
            Ok(b'[') => one_of(&mut pattern),
            _ => Part::Is(found),
        });
    }
    parts
}

/// What follows a bracket, up to the one that closes it.
fn one_of(pattern: &mut &[u8]) -> Part {
    let bracket = u32::from(b']');
    let mut next = || {
        let (character, length) = read(pattern)?;
        *pattern = &pattern[length..];
        Some((character, pattern.first().copied()))
    };
    let mut pairs = Vec::new();
    let mut found = next();
    let inverts = matches!(found, Some((first, _)) if first == u32::from(b'^'));
    if inverts {
        found = next();
    }
    if matches!(found, Some((first, _)) if first == bracket) {
        pairs.push((bracket, bracket));
        found = next();
    }
    let mut before = 0;
    loop {
        match found {
            None => return Part::Never,
            Some((found, _)) if found == bracket => return Part::OneOf(pairs, inverts),
            Some((found, Some(after)))
                if found == u32::from(b'-') && after != b']' && before > 0 =>
            {
                let end = next().map_or(0, |(end, _)| end);
                pairs.push((before, end));
                before = 0;
            }
            Some((found, _)) => {
                pairs.push((found, found));
                before = found;
            }
        }
        found = next();
    }
}

/// Whether a text matches. After a mismatch only the last part that stands for any number of characters
/// takes one more: the ones before it need not.
fn matches(parts: &[Part], text: &[u8], bounds: &Bounds) -> Result<bool> {
    let (mut part, mut at) = (0, 0);
    // The part after the last `All`, and where it was tried.
    let mut again: Option<(usize, usize)> = None;
    loop {
        bounds.work(1)?;
        let character = read(&text[at..]);
        let steps = match (parts.get(part), character) {
            (None, None) => return Ok(true),
            (Some(Part::All), _) => {
                part += 1;
                match parts.get(part) {
                    None => return Ok(true),
                    Some(Part::Is(next)) => at = skip(text, at, *next, bounds)?,
                    Some(_) => {}
                }
                again = Some((part, at));
                continue;
            }
            (Some(Part::Is(wanted)), Some((found, length))) if *wanted == found => Some(length),
            (Some(Part::Any), Some((_, length))) => Some(length),
            (Some(Part::OneOf(pairs, inverts)), Some((found, length))) => {
                bounds.work(pairs.len())?;
                let is_in = pairs
                    .iter()
                    .any(|(from, to)| *from <= found && found <= *to);
                (is_in != *inverts).then_some(length)
            }
            _ => None,
        };
        if let Some(length) = steps {
            part += 1;
            at += length;
            continue;
        }
        let Some((first, tried)) = again.filter(|(_, tried)| *tried < text.len()) else {
            return Ok(false);
        };
        part = first;
        at = tried + super::character(&text[tried..]);
        if let Some(Part::Is(next)) = parts.get(first) {
            at = skip(text, at, *next, bounds)?;
        }
        again = Some((first, at));
    }
}

/// The next place at which this character may stand.
fn skip(text: &[u8], at: usize, wanted: u32, bounds: &Bounds) -> Result<usize> {
    let rest = &text[at..];
    match u8::try_from(wanted) {
        Ok(byte) if byte < 0x80 => {
            let found = memchr::memchr(byte, rest).unwrap_or(rest.len());
            bounds.work(found)?;
            Ok(at + found)
        }
        _ => Ok(at),
    }
}
