//! The outbox in a database that stays: entries are written and removed in pieces.
//!
//! A piece has the entries of one batch, or a part of them. It is removed as a whole, when all of its
//! entries are delivered.

use super::{Outbox, OutboxEntry};
use crate::error::{Error, Result};
use crate::store::{Connection, Piece};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long pieces that are delivered may stay while nothing else is written.
pub(super) const REMOVE: Duration = Duration::from_millis(100);
/// About how long a piece may be, in bytes.
const PIECE: usize = 1 << 20;

/// The name of a piece: the run of the window that wrote it, and its number in that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PieceName {
    pub run: i64,
    pub number: i64,
}

/// A piece, and how many of its entries are not delivered.
struct WrittenPiece {
    name: PieceName,
    entries: u32,
}

/// The pieces of a window.
pub(super) struct Pieces {
    /// The run of this window: a random number.
    pub run: i64,
    /// Whether the pieces of earlier runs were read.
    opened: bool,
    /// The number of the next piece.
    next: i64,
    /// How many entries of each piece are not delivered: at least one.
    undelivered: BTreeMap<PieceName, u32>,
    /// Pieces that are delivered and not removed.
    delivered: Vec<PieceName>,
    /// Since when there are such pieces.
    since: Option<Timestamp>,
    /// The pieces that this batch has written.
    written: Vec<WrittenPiece>,
}

impl Pieces {
    pub fn new() -> Self {
        Pieces {
            run: (RandomState::new().hash_one(0) >> 1) as i64,
            opened: false,
            next: 0,
            undelivered: BTreeMap::new(),
            delivered: Vec::new(),
            since: None,
            written: Vec::new(),
        }
    }

    /// An entry of a piece is delivered, or superseded.
    pub fn done(&mut self, piece: PieceName, now: Timestamp) {
        if let Some(left) = self.undelivered.get_mut(&piece) {
            *left -= 1;
            if *left == 0 {
                self.undelivered.remove(&piece);
                self.delivered.push(piece);
                self.since.get_or_insert(now);
            }
        }
    }

    /// When pieces are removed.
    pub fn wake(&self) -> Option<Timestamp> {
        self.since.map(|since| since.saturating_add(REMOVE))
    }

    /// Whether pieces are to be removed though nothing else is written; `all` says whether to remove
    /// them without waiting.
    pub fn must_remove(&self, now: Timestamp, all: bool) -> bool {
        let over = |since: Timestamp| now < since || now >= since.saturating_add(REMOVE);
        !self.delivered.is_empty() && (self.since.is_none_or(over) || all)
    }

    pub fn commit(&mut self, wrote: bool) {
        let written = self.written.drain(..);
        self.undelivered
            .extend(written.map(|piece| (piece.name, piece.entries)));
        if wrote {
            self.delivered.clear();
            self.since = None;
        }
    }

    pub fn rollback(&mut self) {
        self.written.clear();
    }
}

impl Outbox {
    /// Reads the entries that were left before a restart, or by a batch of which it was not known
    /// whether it was committed.
    ///
    /// # Errors
    /// A database that cannot be reached, a table with something else in it.
    pub fn open(&mut self, scope: &str, connection: &mut Connection) -> Result<()> {
        for piece in connection.outbox(scope)? {
            let name = PieceName {
                run: piece.run,
                number: piece.number,
            };
            self.pieces.next = self.pieces.next.max(piece.number.saturating_add(1));
            let is_known = self.pieces.undelivered.contains_key(&name)
                || self.pieces.delivered.contains(&name);
            if is_known || self.pieces.opened && piece.run != self.pieces.run {
                continue;
            }
            let mut entries = 0;
            for line in piece.text.lines() {
                let entry = OutboxEntry::read(line, self.order, name).ok_or_else(|| {
                    Error::data(format!(
                        "piece {} of the outbox cannot be read",
                        piece.number
                    ))
                })?;
                self.order += 1;
                entries += 1;
                self.count(&entry);
                self.expect(entry.key());
                self.waiting.insert(entry.order(), entry);
            }
            if entries == 0 {
                self.pieces.delivered.push(name);
            } else {
                self.pieces.undelivered.insert(name, entries);
            }
            self.retry_at = Some(Timestamp::from_micros(i64::MIN));
        }
        self.pieces.opened = true;
        Ok(())
    }

    /// Writes the entries that this batch has emitted, and removes the pieces that are delivered.
    ///
    /// # Errors
    /// A database that cannot be reached, or is full.
    pub fn write(&mut self, scope: &str, connection: &mut Connection) -> Result<()> {
        let mut left = self.fresh.as_slice();
        while !left.is_empty() {
            let name = PieceName {
                run: self.pieces.run,
                number: self.pieces.next,
            };
            self.pieces.next += 1;
            let mut text = String::new();
            let mut entries = 0;
            while let Some((token, rest)) = left.split_first() {
                if text.len() >= PIECE {
                    break;
                }
                left = rest;
                if let Some(entry) = self.in_flight.get(*token) {
                    entry.write(&mut text);
                    entry.set_piece(name.number);
                    entries += 1;
                }
            }
            if entries > 0 {
                let piece = Piece {
                    run: name.run,
                    number: name.number,
                    text,
                };
                connection.add_to_outbox(scope, &piece)?;
                self.pieces.written.push(WrittenPiece { name, entries });
            }
        }
        self.pieces.delivered.sort_unstable();
        for range in ranges(&self.pieces.delivered) {
            connection.remove_from_outbox(scope, range.run, (range.first, range.last))?;
        }
        Ok(())
    }
}

/// Pieces of one run with consecutive numbers.
struct PieceRange {
    run: i64,
    first: i64,
    last: i64,
}

/// Sorted names as ranges.
fn ranges(names: &[PieceName]) -> Vec<PieceRange> {
    let mut ranges: Vec<PieceRange> = Vec::new();
    for &PieceName { run, number } in names {
        match ranges.last_mut() {
            Some(range) if range.run == run && range.last + 1 == number => range.last = number,
            _ => ranges.push(PieceRange {
                run,
                first: number,
                last: number,
            }),
        }
    }
    ranges
}
