//! What was emitted last, and what is emitted next because of it.
//!
//! For each group the window is told its row, or that it has none; by the mode it says what is to
//! be emitted. What was emitted counts only once it was delivered: an emission that failed puts its
//! group back, so that the next event or wake emits it again.
//!
//! | | a row, was none | another row | none, was a row |
//! |---|---|---|---|
//! | changes | emits | emits | |
//! | enter | emits | | |
//! | leave | | | emits the row that was |

mod cuts;

use super::options::Emit;
use crate::ack::{Outcome, Token};
use crate::error::Result;
use crate::payload::Payload;
use crate::store::Session;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub(super) use cuts::Cuts;

/// What is not a group's: up to when windows have ended. The names of groups begin with a bracket.
const CLOSED: &str = "closed";

/// What a group is called.
pub(super) type Identity = Arc<str>;

/// The memory of what was emitted.
pub(super) struct Emission {
    mode: Emit,
    /// Under which name a database on disk remembers it, where one does.
    scope: Option<String>,
    last: HashMap<Identity, Last>,
    in_flight: HashMap<Token, Flight>,
    number: u64,
    /// Groups of which an emission has failed.
    again: BTreeSet<Identity>,
    /// Rows that have left, and of which that is still to be said.
    owed: Vec<(Identity, Payload)>,
    /// Up to when windows that ended were said to have, and delivered; in microseconds. The same
    /// before the batch.
    closed: i64,
    closed_before: i64,
    /// Up to when they have ended, and had before the batch.
    closing: i64,
    closing_before: i64,
    cuts: Cuts,
    /// What `last` was before the batch.
    before: Vec<(Identity, Option<Last>)>,
    /// What the batch has emitted, and what it has taken to emit it again.
    fresh: Vec<Token>,
    taken: (BTreeSet<Identity>, Vec<(Identity, Payload)>),
}

#[derive(Clone)]
struct Last {
    row: Payload,
    number: u64,
}

struct Flight {
    identity: Identity,
    row: Payload,
    number: u64,
}

/// What is to be emitted of a group.
pub(super) struct Due {
    pub identity: Identity,
    pub row: Payload,
    number: u64,
}

impl Emission {
    /// The memory of a window of this mode, under the name by which a database on disk would
    /// remember it; `cuts` says whether its groups are cut into sessions.
    pub fn new(mode: Emit, scope: Option<String>, cuts: bool) -> Self {
        Emission {
            mode,
            scope: scope.filter(|_| mode.remembers() || mode == Emit::Close || cuts),
            last: HashMap::new(),
            in_flight: HashMap::new(),
            number: 0,
            again: BTreeSet::new(),
            owed: Vec::new(),
            closed: i64::MIN,
            closed_before: i64::MIN,
            closing: i64::MIN,
            closing_before: i64::MIN,
            cuts: Cuts::default(),
            before: Vec::new(),
            fresh: Vec::new(),
            taken: Default::default(),
        }
    }

    /// Reads what was emitted before a restart.
    ///
    /// # Errors
    /// A database that is gone.
    pub fn open(&mut self, session: &mut Session) -> Result<()> {
        let Some(scope) = &self.scope else {
            return Ok(());
        };
        self.cuts.open();
        let mut closed = self.closed;
        for (identity, row) in session.emitted(scope)? {
            if identity == CLOSED {
                closed = closed.max(row.parse().unwrap_or(i64::MIN));
                continue;
            }
            if self.cuts.read(&identity, &row) {
                continue;
            }
            let last = Last {
                row: row.into(),
                number: 0,
            };
            self.last.entry(identity.into()).or_insert(last);
        }
        self.closed = closed;
        self.closed_before = closed;
        Ok(())
    }

    /// The groups that had a row when they were looked at last.
    pub fn present(&self) -> impl Iterator<Item = &Identity> {
        self.last.keys()
    }

    /// Takes the groups that are to be looked at again.
    pub fn take_again(&mut self) -> BTreeSet<Identity> {
        self.taken.0.extend(self.again.iter().cloned());
        std::mem::take(&mut self.again)
    }

    /// Puts them back.
    pub fn put_again(&mut self, again: BTreeSet<Identity>) {
        self.again.extend(again);
    }

    /// Whether an emission of a group has failed and is still to be made again.
    pub fn is_owed(&self, identity: &Identity) -> bool {
        self.again.contains(identity)
    }

    /// Whether everything that was emitted was delivered.
    pub fn is_settled(&self) -> bool {
        self.in_flight.is_empty() && self.again.is_empty() && self.owed.is_empty()
    }

    /// Takes what left and was not delivered.
    pub fn take_owed(&mut self) -> Vec<Due> {
        self.taken.1.extend(self.owed.iter().cloned());
        let owed = std::mem::take(&mut self.owed);
        owed.into_iter()
            .map(|(identity, row)| self.due(identity, row))
            .collect()
    }

    /// A row that is due as it is.
    pub fn due(&mut self, identity: Identity, row: Payload) -> Due {
        self.number += 1;
        Due {
            identity,
            row,
            number: self.number,
        }
    }

    /// Windows have ended up to an instant.
    pub fn close(&mut self, end: i64) {
        self.closing = self.closing.max(end);
    }

    /// A row has come that was too late for windows that ended by an instant, and is stored all
    /// the same: they have ended for good. A database on disk remembers it at once where nothing
    /// is to be said any more of those that have.
    ///
    /// # Errors
    /// A database that is gone.
    pub fn close_for_good(&mut self, end: i64, session: &mut Session) -> Result<()> {
        self.close(end);
        let is_news = self.closing > self.closed && self.mode == Emit::Close;
        match &self.scope {
            Some(scope) if is_news && self.is_settled() => {
                self.closed = self.closing;
                session.set_emitted(scope, CLOSED, &self.closed.to_string())
            }
            _ => Ok(()),
        }
    }

    /// Up to when windows have ended for good, also before a restart: where that was not said and
    /// delivered, it is known here.
    pub fn closed(&self) -> i64 {
        self.closed.max(self.closing)
    }

    /// Whether a database on disk remembers what was emitted.
    pub fn is_kept(&self) -> bool {
        self.scope.is_some()
    }

    /// When the windows began that a restart would have to end again: those of which something was
    /// emitted and is not delivered yet. Without one it is remembered here.
    pub fn undelivered(&self) -> impl Iterator<Item = i64> {
        let flights = self.in_flight.values().map(|flight| &flight.identity);
        let owed = self.owed.iter().map(|(identity, _)| identity);
        let wanted = self.mode == Emit::Close && self.scope.is_some();
        let identities = flights.chain(owed).filter(move |_| wanted);
        identities.filter_map(|identity| {
            let text = identity.strip_prefix('[')?;
            text.split([',', ']']).next()?.parse().ok()
        })
    }

    fn set(&mut self, identity: &Identity, last: Option<Last>) {
        let before = match last {
            Some(last) => self.last.insert(identity.clone(), last),
            None => self.last.remove(identity),
        };
        self.before.push((identity.clone(), before));
    }

    /// A group has this row now, or none. Says what is to be emitted.
    ///
    /// # Errors
    /// A database that is gone.
    pub fn observe(
        &mut self,
        identity: &Identity,
        row: Option<&Payload>,
        session: Option<&mut Session>,
    ) -> Result<Option<Due>> {
        let last = self.last.get(identity);
        match (self.mode, last, row) {
            (_, None, None) => Ok(None),
            (Emit::Enter, Some(_), Some(_)) => Ok(None),
            (_, Some(last), Some(row)) if last.row == *row => Ok(None),
            (Emit::Leave, _, Some(row)) => {
                let number = self.number;
                let row = row.clone();
                if let (Some(scope), Some(session)) = (&self.scope, session) {
                    session.set_emitted(scope, identity, row.text().unwrap_or_default())?;
                }
                self.set(identity, Some(Last { row, number }));
                Ok(None)
            }
            (_, _, Some(row)) => {
                let due = self.due(identity.clone(), row.clone());
                let last = Last {
                    row: row.clone(),
                    number: due.number,
                };
                self.set(identity, Some(last));
                Ok(Some(due))
            }
            (Emit::Leave, Some(last), None) => {
                let row = last.row.clone();
                self.set(identity, None);
                Ok(Some(self.due(identity.clone(), row)))
            }
            (_, Some(_), None) => {
                self.set(identity, None);
                if let (Some(scope), Some(session)) = (&self.scope, session) {
                    session.unset_emitted(scope, identity)?;
                }
                Ok(None)
            }
        }
    }

    /// Something that was due was emitted under a token.
    pub fn emitted(&mut self, token: Token, due: Due) {
        let Due {
            identity,
            row,
            number,
        } = due;
        self.fresh.push(token);
        self.in_flight.insert(
            token,
            Flight {
                identity,
                row,
                number,
            },
        );
    }

    /// What became of an emission. Says whether it has to be made again.
    ///
    /// # Errors
    /// A database that is gone.
    pub fn settle(
        &mut self,
        token: Token,
        outcome: Outcome,
        session: Option<&mut Session>,
    ) -> Result<bool> {
        let Some(flight) = self.in_flight.remove(&token) else {
            return Ok(false);
        };
        let newest = self.last.get(&flight.identity).map(|last| last.number);
        match (outcome, self.mode) {
            (Outcome::Failed, Emit::Leave | Emit::Close) => {
                self.owed.push((flight.identity, flight.row));
                Ok(true)
            }
            (Outcome::Failed, _) => {
                // A later emission of the group says all that is to be said.
                let is_newest = newest == Some(flight.number);
                if is_newest {
                    self.last.remove(&flight.identity);
                    self.again.insert(flight.identity);
                }
                Ok(is_newest)
            }
            (Outcome::Delivered, mode) => {
                let (Some(scope), Some(session)) = (&self.scope, session) else {
                    return Ok(false);
                };
                match (mode, newest) {
                    (Emit::Close, _) if self.in_flight.is_empty() && self.owed.is_empty() => {
                        self.closed = self.closing;
                        session.set_emitted(scope, CLOSED, &self.closed.to_string())?;
                    }
                    (Emit::Leave, None) => session.unset_emitted(scope, &flight.identity)?,
                    (Emit::Leave, Some(_)) => {}
                    (_, Some(newest)) if newest <= flight.number => {
                        let row = flight.row.text().unwrap_or_default();
                        session.set_emitted(scope, &flight.identity, row)?;
                    }
                    _ => {}
                }
                Ok(false)
            }
        }
    }

    /// The batch is committed.
    pub fn commit(&mut self) {
        self.closing_before = self.closing;
        self.closed_before = self.closed;
        self.cuts.commit();
        self.before.clear();
        self.fresh.clear();
        self.taken.0.clear();
        self.taken.1.clear();
    }

    /// The batch never was: what was to be emitted is not. Nobody got it, so that it has failed,
    /// which is told later, says nothing: what comes again says it.
    pub fn rollback(&mut self) {
        self.closing = self.closing_before;
        self.closed = self.closed_before;
        self.cuts.rollback();
        for token in self.fresh.drain(..) {
            self.in_flight.remove(&token);
        }
        self.again.append(&mut self.taken.0);
        self.owed.append(&mut self.taken.1);
        for (identity, last) in std::mem::take(&mut self.before).into_iter().rev() {
            match last {
                Some(last) => self.last.insert(identity, last),
                None => self.last.remove(&identity),
            };
        }
    }
}
