//! The outbox in a database that stays: entries are written and removed in pieces.
//!
//! A piece has the entries of one batch, or a part of them. It is removed as a whole, when all of its
//! entries are delivered.

use super::Outbox;
use crate::error::Result;
use crate::store::{Connection, Piece};
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
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
#[derive(Default)]
pub(super) struct Pieces {
    /// The number of the next piece.
    pub next: i64,
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
    /// A piece was found that was written before; `entries` of it are to be delivered.
    pub fn found(&mut self, piece: PieceName, entries: u32) {
        self.next = self.next.max(piece.number.saturating_add(1));
        if entries == 0 {
            self.delivered.push(piece);
        } else {
            self.undelivered.insert(piece, entries);
        }
    }

    /// The runs that have pieces in the database, as far as is known here.
    pub fn runs(&self) -> BTreeSet<i64> {
        let pieces = self.undelivered.keys().chain(&self.delivered);
        pieces.map(|piece| piece.run).collect()
    }

    /// Whether a piece was found or written here, and not removed.
    pub fn is_known(&self, piece: PieceName) -> bool {
        self.undelivered.contains_key(&piece) || self.delivered.contains(&piece)
    }

    /// The pieces of a run belong to another window.
    pub fn forget(&mut self, run: i64) {
        self.undelivered.retain(|piece, _| piece.run != run);
        self.delivered.retain(|piece| piece.run != run);
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

    /// Whether pieces are to be removed though nothing else is written; `all`: whether to remove
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
    /// Writes the entries that this batch has emitted, and removes the pieces that are delivered.
    ///
    /// # Errors
    /// A database that cannot be reached, or is full.
    pub fn write(&mut self, scope: &str, connection: &mut Connection) -> Result<()> {
        self.keep_runs(scope, connection)?;
        let mut left = self.fresh.as_slice();
        while !left.is_empty() {
            let name = PieceName {
                run: self.runs.current(),
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
