//! `json_group_array` and `json_group_object`, and their forms in JSONB, over a group and over a frame of rows.
//!
//! SQLite's own take up to 2 GB before they compare their result with its limit.

use super::json::{JSON_FLAGS, Made, append, append_text, made};
use super::{Bounds, string_of};
use rusqlite::functions::{Aggregate, Context, WindowAggregate};
use rusqlite::{Connection, Result};
use std::collections::VecDeque;

pub(super) fn register(connection: &Connection, bounds: &Bounds) -> Result<()> {
    let all = [
        ("json_group_array", 1, false),
        ("jsonb_group_array", 1, true),
        ("json_group_object", 2, false),
        ("jsonb_group_object", 2, true),
    ];
    for (name, args, is_binary) in all {
        let group = Group {
            is_object: args == 2,
            is_binary,
            bounds: bounds.clone(),
        };
        connection.create_window_function(name, args, JSON_FLAGS, group)?;
    }
    Ok(())
}

struct Group {
    is_object: bool,
    is_binary: bool,
    bounds: Bounds,
}

/// The entries of the rows, each with a comma before it.
#[derive(Default)]
struct Entries {
    json: Vec<u8>,
    /// What is before it belongs to rows that have left.
    start: usize,
    /// The length of each row's entry; 0 for a row without one.
    lengths: VecDeque<u32>,
}

impl Group {
    fn made(&self, mut json: Vec<u8>) -> Result<Made> {
        let [open, close] = if self.is_object { *b"{}" } else { *b"[]" };
        match json.first_mut() {
            Some(comma) => *comma = open,
            None => json.push(open),
        }
        json.push(close);
        made(json, self.is_binary, &self.bounds)
    }
}

impl Aggregate<Entries, Made> for Group {
    fn init(&self, _cx: &mut Context<'_>) -> Result<Entries> {
        Ok(Entries::default())
    }

    fn step(&self, cx: &mut Context<'_>, entries: &mut Entries) -> Result<()> {
        let before = entries.json.len();
        let json = &mut entries.json;
        let label = if self.is_object {
            string_of(cx.get_raw(0))?
        } else {
            None
        };
        let value = usize::from(self.is_object);
        if let Some(label) = &label {
            json.push(b',');
            append_text(json, label, &self.bounds)?;
            json.push(b':');
        } else if !self.is_object {
            json.push(b',');
        }
        if label.is_some() || !self.is_object {
            append(json, cx.get_raw(value), cx.get_subtype(value), &self.bounds)?;
        }
        let length = json.len() - before;
        entries
            .lengths
            .push_back(u32::try_from(length).unwrap_or(u32::MAX));
        let lengths = entries.lengths.len() * size_of::<u32>();
        self.bounds.fits(lengths)
    }

    fn finalize(&self, _cx: &mut Context<'_>, entries: Option<Entries>) -> Result<Made> {
        let mut entries = entries.unwrap_or_default();
        entries.json.drain(..entries.start);
        self.made(entries.json)
    }
}

impl WindowAggregate<Entries, Made> for Group {
    fn value(&self, entries: Option<&mut Entries>) -> Result<Made> {
        let mut json = Vec::new();
        if let Some(entries) = entries {
            let entries = &entries.json[entries.start..];
            self.bounds.grow(&mut json, entries.len())?;
            self.bounds.work(entries.len())?;
            json.extend_from_slice(entries);
        }
        self.made(json)
    }

    fn inverse(&self, _cx: &mut Context<'_>, entries: &mut Entries) -> Result<()> {
        entries.start += entries.lengths.pop_front().unwrap_or(0) as usize;
        if entries.start > entries.json.len() / 2 {
            entries.json.drain(..entries.start);
            entries.start = 0;
        }
        Ok(())
    }
}
