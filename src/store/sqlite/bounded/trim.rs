//! `trim`, `ltrim` and `rtrim` of the characters of a text.

use super::{Bounds, FLAGS, Text, character, no_memory, scalar, string_of, text_of};
use rusqlite::functions::Context;
use rusqlite::{Connection, Result};
use std::collections::{BTreeSet, HashMap};

/// So many characters are compared one by one.
const FEW: usize = 16;

pub(super) fn register(connection: &Connection, bounds: &Bounds) -> Result<()> {
    let sides = [
        ("trim", true, true),
        ("ltrim", true, false),
        ("rtrim", false, true),
    ];
    for (name, left, right) in sides {
        scalar(connection, bounds, (name, 2), FLAGS, move |cx, bounds| {
            trim(cx, (left, right), bounds)
        })?;
    }
    Ok(())
}

fn trim(
    cx: &mut Context<'_>,
    (left, right): (bool, bool),
    bounds: &Bounds,
) -> Result<Option<Text>> {
    let (Some(text), Some(set)) = (text_of(cx.get_raw(0))?, string_of(cx.get_raw(1))?) else {
        return Ok(None);
    };
    bounds.work(set.len())?;
    let set = Set::of(&set)?;
    let mut rest = &*text;
    if left {
        while let Some(length) = set.at(|length| rest.get(..length)) {
            bounds.work(length * FEW)?;
            rest = &rest[length..];
        }
    }
    if right {
        let end = |rest: &[u8], length: usize| rest.len().checked_sub(length);
        while let Some(length) = set.at(|length| rest.get(end(rest, length)?..)) {
            bounds.work(length * FEW)?;
            rest = &rest[..rest.len() - length];
        }
    }
    let mut trimmed = Vec::new();
    bounds.grow(&mut trimmed, rest.len())?;
    trimmed.extend_from_slice(rest);
    Ok(Some(Text(trimmed)))
}

/// Characters, in the order in which they are tried. One may be the beginning of another where the text is
/// no UTF-8.
enum Set<'a> {
    Few(Vec<&'a [u8]>),
    /// With the place of each in that order, and the lengths that occur.
    Many(HashMap<&'a [u8], usize>, Vec<usize>),
}

impl<'a> Set<'a> {
    fn of(text: &'a [u8]) -> Result<Self> {
        let characters = || {
            let mut rest = text;
            std::iter::from_fn(move || {
                let (first, others) = rest.split_at(character(rest));
                rest = others;
                (!first.is_empty()).then_some(first)
            })
        };
        let few: Vec<&[u8]> = characters().take(FEW + 1).collect();
        if few.len() <= FEW {
            return Ok(Set::Few(few));
        }
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut lengths = BTreeSet::new();
        for (place, character) in characters().enumerate() {
            places.try_reserve(1).map_err(|_| no_memory())?;
            places.entry(character).or_insert(place);
            lengths.insert(character.len());
        }
        Ok(Set::Many(places, lengths.into_iter().collect()))
    }

    /// The length of the first character that is found, where `part` is what a character of a length is
    /// compared with.
    fn at<'b>(&self, part: impl Fn(usize) -> Option<&'b [u8]>) -> Option<usize> {
        match self {
            Set::Few(characters) => characters
                .iter()
                .find(|character| part(character.len()) == Some(character))
                .map(|character| character.len()),
            Set::Many(places, lengths) => lengths
                .iter()
                .filter_map(|length| Some((places.get(part(*length)?)?, *length)))
                .min()
                .map(|(_, length)| length),
        }
    }
}
