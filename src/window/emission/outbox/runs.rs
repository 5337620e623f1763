//! Which pieces belong to this window: those of the runs that it owns.
//!
//! A window writes its pieces under a run of its own, a random number. Where several processes may use a
//! database, the owner of a run is the connection that holds its lock. A kill ends the connection and
//! frees the lock, and of the windows that look for such runs, when they are opened and every 10 s, one
//! gets the lock: it emits what the run has left. Elsewhere all runs that are found are of windows that are
//! gone.
//!
//! A connection that is lost has lost its locks. The window takes them again on the next one. If another
//! window was faster, what waits here of that run is emitted there only, and this window begins another run.

use super::{Outbox, OutboxEntry, PieceName};
use crate::error::{Error, Result};
use crate::store::{Connection, Piece};
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How often a window looks for runs whose owners are gone.
const LOOK: Duration = Duration::from_secs(10);
/// How long a new connection waits for locks: the server may end a lost connection a little later.
const PATIENCE: Duration = Duration::from_secs(1);

/// The runs of a window.
pub(super) struct Runs {
    /// The run under which it writes.
    current: i64,
    /// The runs under which it has written before, each with the number of the first piece after it.
    earlier: Vec<(i64, i64)>,
    /// The runs that it owns.
    owned: BTreeSet<i64>,
    /// The session of the connection that holds their locks.
    session: u64,
    /// When it has looked for others, where they have locks.
    looked_at: Option<Timestamp>,
}

impl Runs {
    pub fn new() -> Self {
        Runs {
            current: random(),
            earlier: Vec::new(),
            owned: BTreeSet::new(),
            session: 0,
            looked_at: None,
        }
    }

    /// The run under which pieces are written.
    pub fn current(&self) -> i64 {
        self.current
    }

    /// The run under which this window has written a piece.
    pub fn of(&self, number: i64) -> i64 {
        let at = self.earlier.partition_point(|(after, _)| *after <= number);
        self.earlier.get(at).map_or(self.current, |(_, run)| *run)
    }

    /// When to look for runs whose owners are gone.
    pub fn wake(&self) -> Option<Timestamp> {
        self.looked_at
            .map(|looked_at| looked_at.saturating_add(LOOK))
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let over = |since: Timestamp| now < since || now >= since.saturating_add(LOOK);
        self.looked_at.is_some_and(over)
    }
}

fn random() -> i64 {
    (RandomState::new().hash_one(0) >> 1) as i64
}

impl Outbox {
    /// Takes the runs of this window on a new connection, and those whose owners are gone, and reads what
    /// they have left: also that of a batch of which it was not known whether it was committed.
    ///
    /// # Errors
    /// A database that cannot be reached, a table with something else in it.
    pub fn open(&mut self, scope: &str, connection: &mut Connection) -> Result<()> {
        connection.make_outbox()?;
        self.hold_runs(scope, connection)
    }

    /// Takes over runs whose owners are gone, from time to time, and checks that this window still owns
    /// its runs before it emits anything again. Returns whether entries were found.
    ///
    /// # Errors
    /// A database that cannot be reached.
    pub fn look(
        &mut self,
        scope: &str,
        connection: &mut Connection,
        now: Timestamp,
    ) -> Result<bool> {
        if !connection.locks_runs() {
            return Ok(false);
        }
        let before = self.order;
        self.keep_runs(scope, connection)?;
        if self.is_due(now) && !connection.holds_run(self.runs.current)? {
            self.hold_runs(scope, connection)?;
        }
        if self.runs.is_due(now) {
            let left = self.pieces.runs();
            for run in self.runs.owned.clone() {
                if run != self.runs.current && !left.contains(&run) {
                    connection.release_run(run)?;
                    self.runs.owned.remove(&run);
                }
            }
            self.take_runs(scope, connection, Duration::ZERO)?;
            self.runs.looked_at = Some(now);
        }
        Ok(self.order > before)
    }

    /// Takes the locks again if the connection was replaced.
    pub(super) fn keep_runs(&mut self, scope: &str, connection: &mut Connection) -> Result<()> {
        if self.runs.session == connection.session() {
            return Ok(());
        }
        self.hold_runs(scope, connection)
    }

    /// Takes the runs of this window on a connection that has none of them, and then those of others.
    fn hold_runs(&mut self, scope: &str, connection: &mut Connection) -> Result<()> {
        self.runs.owned.clear();
        let session = connection.session();
        let mut known = self.pieces.runs();
        known.insert(self.runs.current);
        for run in known {
            if connection.lock_run(run, PATIENCE)? {
                self.runs.owned.insert(run);
            } else {
                self.lose(run);
            }
        }
        if !self.runs.owned.contains(&self.runs.current) {
            let run = std::mem::replace(&mut self.runs.current, random());
            self.runs.earlier.push((self.pieces.next, run));
            connection.lock_run(self.runs.current, PATIENCE)?;
            self.runs.owned.insert(self.runs.current);
        }
        // Pieces of its own may be there that it has not noted as written.
        let mut pieces = Vec::new();
        for run in self.runs.owned.clone() {
            pieces.extend(connection.outbox(scope, run)?);
        }
        self.read(pieces)?;
        self.take_runs(scope, connection, PATIENCE)?;
        self.runs.session = session;
        if connection.locks_runs() {
            self.runs.looked_at.get_or_insert(Timestamp::EPOCH);
        }
        Ok(())
    }

    /// Takes over the runs whose owners are gone; waits so long for the first one that has an owner.
    fn take_runs(
        &mut self,
        scope: &str,
        connection: &mut Connection,
        mut wait: Duration,
    ) -> Result<()> {
        let mut pieces = Vec::new();
        for run in connection.outbox_runs(scope)? {
            if self.runs.owned.contains(&run) {
                continue;
            }
            if connection.lock_run(run, wait)? {
                pieces.extend(connection.outbox(scope, run)?);
                self.runs.owned.insert(run);
            } else {
                wait = Duration::ZERO;
            }
        }
        self.read(pieces)
    }

    /// The entries of pieces that were found wait, unless they are known.
    fn read(&mut self, mut pieces: Vec<Piece>) -> Result<()> {
        pieces.sort_by_key(|piece| (piece.number, piece.run));
        for piece in pieces {
            let name = PieceName {
                run: piece.run,
                number: piece.number,
            };
            if self.pieces.is_known(name) {
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
            self.pieces.found(name, entries);
            self.retry_at = Some(Timestamp::from_micros(i64::MIN));
        }
        Ok(())
    }

    /// Moves what was written in the runs of this window to another name.
    ///
    /// # Errors
    /// A database that cannot be reached.
    pub fn relocate(&self, from: &str, to: &str, connection: &mut Connection) -> Result<()> {
        let mut runs = self.pieces.runs();
        runs.extend(&self.runs.owned);
        runs.into_iter()
            .try_for_each(|run| connection.move_outbox(from, to, run))
    }

    /// Another window owns a run of this one: what waits of it is emitted there.
    fn lose(&mut self, run: i64) {
        let runs = &self.runs;
        let is_of = |entry: &OutboxEntry| {
            let piece = entry.piece(|number| runs.of(number));
            piece.is_some_and(|piece| piece.run == run)
        };
        let lost = self.waiting.extract_if(.., |_, entry| is_of(entry));
        let lost: Vec<OutboxEntry> = lost.map(|(_, entry)| entry).collect();
        for entry in self.in_flight.iter_mut().filter(|entry| is_of(entry)) {
            entry.set_lost();
        }
        lost.iter().for_each(|entry| self.uncount(entry));
        self.pieces.forget(run);
    }
}
