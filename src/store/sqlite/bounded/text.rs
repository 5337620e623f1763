//! `instr`, `replace`, `concat`, `concat_ws` and `unhex`.

use super::{
    Bounds, FLAGS, Text, character, continues, no_memory, read, scalar, string_of, text_of, wrong,
};
use memchr::memmem;
use rusqlite::functions::Context;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Result, ToSql};
use std::borrow::Cow;
use std::collections::HashSet;

/// The work of finding one match, in bytes.
const MATCH: usize = 16;

pub(super) fn register(connection: &Connection, bounds: &Bounds) -> Result<()> {
    scalar(connection, bounds, ("instr", 2), FLAGS, instr)?;
    scalar(connection, bounds, ("replace", 3), FLAGS, replace)?;
    scalar(connection, bounds, ("concat", -1), FLAGS, |cx, bounds| {
        if cx.is_empty() {
            return Err(wrong("wrong number of arguments to function concat()"));
        }
        concat(cx, 0, &[], bounds)
    })?;
    scalar(
        connection,
        bounds,
        ("concat_ws", -1),
        FLAGS,
        |cx, bounds| {
            if cx.len() < 2 {
                return Err(wrong("wrong number of arguments to function concat_ws()"));
            }
            match text_of(cx.get_raw(0))? {
                None => Ok(None),
                Some(separator) => concat(cx, 1, &separator, bounds).map(Some),
            }
        },
    )?;
    scalar(connection, bounds, ("unhex", 2), FLAGS, unhex)
}

/// Where a text is found in another: its number among the characters, or among the bytes of a blob.
fn instr(cx: &mut Context<'_>, bounds: &Bounds) -> Result<Option<i64>> {
    let (within, what) = (cx.get_raw(0), cx.get_raw(1));
    let are_blobs = matches!((within, what), (ValueRef::Blob(_), ValueRef::Blob(_)));
    let (Some(within), Some(what)) = (text_of(within)?, text_of(what)?) else {
        return Ok(None);
    };
    if what.is_empty() {
        return Ok(Some(1));
    }
    bounds.work(within.len() + what.len())?;
    // A character begins at the place, or it is the first one.
    let inside = !are_blobs && what.first().copied().is_some_and(continues);
    let found = if inside {
        within.starts_with(&what).then_some(0)
    } else {
        memmem::find(&within, &what)
    };
    let number = found.map_or(0, |at| match at {
        0 => 1,
        _ if are_blobs => at + 1,
        _ => {
            1 + within[1..=at]
                .iter()
                .filter(|byte| !continues(**byte))
                .count()
        }
    });
    Ok(Some(number as i64))
}

/// A text in which each occurrence of another one is replaced.
fn replace(cx: &mut Context<'_>, bounds: &Bounds) -> Result<Replaced> {
    let (Some(text), Some(what)) = (text_of(cx.get_raw(0))?, text_of(cx.get_raw(1))?) else {
        return Ok(Replaced::Null);
    };
    let same = |text: Cow<'_, [u8]>| match cx.get_raw(0) {
        ValueRef::Text(_) => Replaced::Same,
        _ => Replaced::Text(text.into_owned()),
    };
    if what.first().is_none_or(|first| *first == 0) {
        return Ok(same(text));
    }
    let Some(with) = text_of(cx.get_raw(2))? else {
        return Ok(Replaced::Null);
    };
    bounds.work(text.len() + what.len())?;
    // The length, and then the memory for it.
    let mut found = 0_usize;
    let mut length = text.len();
    for _ in memmem::find_iter(&text, &*what) {
        bounds.work(MATCH)?;
        found += 1;
        length = length - what.len() + with.len();
        if with.len() > what.len() {
            bounds.fits(length)?;
        }
    }
    if found == 0 {
        return Ok(same(text));
    }
    let mut made = Vec::new();
    bounds.grow(&mut made, length)?;
    let mut copied = 0;
    for at in memmem::find_iter(&text, &*what) {
        bounds.work(MATCH + with.len())?;
        made.extend_from_slice(&text[copied..at]);
        made.extend_from_slice(&with);
        copied = at + what.len();
    }
    made.extend_from_slice(&text[copied..]);
    Ok(Replaced::Text(made))
}

/// A result of `replace`.
enum Replaced {
    Null,
    /// The first argument.
    Same,
    Text(Vec<u8>),
}

impl ToSql for Replaced {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(match self {
            Replaced::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Replaced::Same => ToSqlOutput::Arg(0),
            Replaced::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text)),
        })
    }
}

/// The arguments from this one on in one text.
fn concat(cx: &Context<'_>, from: usize, between: &[u8], bounds: &Bounds) -> Result<Text> {
    let (mut made, mut is_first) = (Vec::new(), true);
    for at in from..cx.len() {
        let Some(text) = text_of(cx.get_raw(at))? else {
            continue;
        };
        bounds.grow(&mut made, between.len() + text.len())?;
        bounds.work(between.len() + text.len())?;
        if !std::mem::take(&mut is_first) {
            made.extend_from_slice(between);
        }
        made.extend_from_slice(&text);
    }
    Ok(Text(made))
}

/// The bytes of hexadecimal digits, between which these characters may stand.
fn unhex(cx: &mut Context<'_>, bounds: &Bounds) -> Result<Option<Vec<u8>>> {
    let (Some(hex), Some(ignored)) = (string_of(cx.get_raw(0))?, text_of(cx.get_raw(1))?) else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    bounds.grow(&mut bytes, hex.len() / 2 + 1)?;
    bounds.work(hex.len() + ignored.len())?;
    let mut may_stand = HashSet::new();
    let mut rest = &*ignored;
    while let Some((character, length)) = read(rest) {
        may_stand.try_reserve(1).map_err(|_| no_memory())?;
        may_stand.insert(character);
        rest = &rest[length..];
    }
    let digit = |byte: u8| (byte as char).to_digit(16);
    let mut rest = &*hex;
    while let Some(first) = rest.first() {
        if let Some(high) = digit(*first) {
            let Some(low) = rest.get(1).and_then(|byte| digit(*byte)) else {
                return Ok(None);
            };
            bytes.push((high << 4 | low) as u8);
            rest = &rest[2..];
            continue;
        }
        let (found, length) = read(rest).unwrap_or((0, character(rest)));
        if !may_stand.contains(&found) {
            return Ok(None);
        }
        rest = &rest[length..];
    }
    Ok(Some(bytes))
}
