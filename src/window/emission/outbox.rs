//! What was emitted and is not delivered yet.
//!
//! An entry is in flight, or it waits: it has failed, or it was found in the database. What waits is
//! emitted again as it was, in order, with its own time. In a database that stays, the entries of a
//! batch are written with it, as one piece, which is removed when all of them are delivered: with the
//! next commit, or after 100 ms.
//!
//! | what happens | the entry |
//! |---|---|
//! | emitted, committed | is in flight |
//! | the batch is rolled back | is discarded; one that was emitted again waits, as before |
//! | delivered | is removed |
//! | failed | waits for 100 ms, and then for pauses that grow to 10 s |
//! | its event comes again | answers that event |
//! | the process ends | is found by the window that takes over the run, and is emitted at once |
//!
//! - `entry` — an entry, and how it is written.
//! - `in_flight` — entries by their tokens.
//! - `keys` — maps by the hashes of keys.
//! - `pieces` — what is written.
//! - `runs` — which of what is written belongs to this window.

mod entry;
mod in_flight;
mod keys;
mod pieces;
mod runs;

use super::GroupId;
use crate::ack::{Outcome, Token};
use crate::event::Event;
use crate::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use entry::Taker;
#[doc(hidden)]
pub use entry::outbox_line;
pub(in crate::window) use entry::{NewEntry, OutboxEntry};
use in_flight::InFlight;
use keys::{KeyMap, KeySet};
use pieces::{PieceName, Pieces};
use runs::Runs;

/// How soon an entry that failed is emitted again: the first pause, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How many bytes may be in flight or wait before the window takes nothing more in.
const FULL: usize = 64 << 20;
/// For how many events the outbox remembers that they are still to come again.
const EXPECTED: usize = 1 << 20;

/// The entries of a window.
pub(super) struct Outbox {
    /// The position of the next entry in the order of all.
    order: u64,
    in_flight: InFlight,
    /// The entries that wait, by their order.
    waiting: BTreeMap<u64, OutboxEntry>,
    /// When the entries that wait are emitted again.
    retry_at: Option<Timestamp>,
    /// How often they were, since one was delivered.
    attempts: u32,
    pieces: Pieces,
    runs: Runs,
    /// How many entries answer an event that may come again, by the hash of its key.
    keys: KeyMap<u32>,
    /// The keys of events that are answered and still to come again: their entries were found when the
    /// window was opened, or have failed, so that their source sends them again.
    expected: KeySet,
    /// The keys of those that have come again in this batch.
    returned: Vec<u128>,
    /// The size of all entries.
    bytes: usize,
    /// The entries that this batch has emitted.
    fresh: Vec<Token>,
    /// The entries that this batch has emitted again.
    repeated: Vec<Token>,
    /// The number of this batch.
    batch: u64,
}

impl Outbox {
    pub fn new() -> Self {
        Outbox {
            order: 0,
            in_flight: InFlight::default(),
            waiting: BTreeMap::new(),
            retry_at: None,
            attempts: 0,
            pieces: Pieces::default(),
            runs: Runs::new(),
            keys: KeyMap::default(),
            expected: KeySet::default(),
            returned: Vec::new(),
            bytes: 0,
            fresh: Vec::new(),
            repeated: Vec::new(),
            batch: 0,
        }
    }

    /// An entry that is to be emitted.
    pub fn entry(&mut self, entry: NewEntry) -> OutboxEntry {
        self.order += 1;
        OutboxEntry::new(entry, self.order - 1)
    }

    /// The order of the next entry.
    pub fn next_order(&self) -> u64 {
        self.order
    }

    /// Remembers that the event of a key is still to come again. A source that never sends it again
    /// would make this grow: beyond the bound all are forgotten, and an event that comes then is
    /// answered twice.
    fn expect(&mut self, key: Option<u128>) {
        if self.expected.len() >= EXPECTED {
            self.expected.clear();
        }
        self.expected.extend(key);
    }

    fn count(&mut self, entry: &OutboxEntry) {
        self.bytes += entry.size();
        if let Some(key) = entry.key() {
            *self.keys.entry(key).or_default() += 1;
        }
    }

    fn uncount(&mut self, entry: &OutboxEntry) {
        self.bytes -= entry.size();
        if let Some(key) = entry.key()
            && let Some(count) = self.keys.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                self.keys.remove(&key);
            }
        }
    }

    /// An entry was emitted under a token.
    pub fn emitted(&mut self, token: Token, entry: OutboxEntry) {
        self.count(&entry);
        self.fresh.push(token);
        self.in_flight.insert(token, entry);
    }

    /// An entry that waited was emitted under a token.
    pub fn repeated(&mut self, token: Token, entry: OutboxEntry) {
        self.repeated.push(token);
        self.in_flight.insert(token, entry);
    }

    /// Whether the window may take nothing more in.
    pub fn is_full(&self) -> bool {
        self.bytes >= FULL
    }

    /// Whether the entries that wait are to be emitted now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.retry_at.is_some_and(|retry_at| retry_at <= now)
    }

    /// When there is something to do.
    pub fn wake(&self) -> Option<Timestamp> {
        let times = [self.retry_at, self.pieces.wake(), self.runs.wake()];
        times.into_iter().flatten().min()
    }

    /// Takes the entries that wait, in order.
    pub fn take_waiting(&mut self) -> Vec<OutboxEntry> {
        self.retry_at = None;
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// Whether there are entries that answer an event that may come again, or were.
    pub fn has_keys(&self) -> bool {
        !(self.keys.is_empty() && self.expected.is_empty())
    }

    /// Whether there are entries that answer the event of a key, or were.
    pub fn answers(&self, key: u128) -> bool {
        self.keys.contains_key(&key) || self.expected.contains(&key)
    }

    /// An event has come again that was answered before: if it comes once more, it is another one.
    pub fn forget(&mut self, key: u128) {
        if self.expected.remove(&key) {
            self.returned.push(key);
        }
    }

    /// An event has come again. Returns the entries that answer it and wait; those in flight settle
    /// it.
    pub fn take_for(&mut self, key: u128, event: &Event) -> Vec<(Event, OutboxEntry)> {
        let in_flight = self.in_flight.iter_mut();
        for entry in in_flight.filter(|entry| entry.key() == Some(key)) {
            entry.add_taker(Taker {
                batch: self.batch,
                event: event.clone(),
            });
        }
        let ours = self
            .waiting
            .extract_if(.., |_, entry| entry.key() == Some(key));
        let taken: Vec<(Event, OutboxEntry)> = ours
            .map(|(_, entry)| (entry.event_again(event), entry))
            .collect();
        if self.waiting.is_empty() {
            self.retry_at = None;
        }
        taken
    }

    /// The entry of a token was delivered, or has failed; `is_newest` returns whether an entry is not
    /// superseded.
    pub fn settle(
        &mut self,
        token: Token,
        outcome: Outcome,
        now: Timestamp,
        is_newest: impl Fn(&OutboxEntry) -> bool,
    ) {
        let Some(mut entry) = self.in_flight.take(token) else {
            return;
        };
        let takers = entry.takers().map(std::mem::take).unwrap_or_default();
        if outcome == Outcome::Failed {
            // Its event may come again when the entry is delivered already.
            self.expect(entry.key());
        }
        if outcome == Outcome::Failed && is_newest(&entry) && !entry.is_lost() {
            self.waiting.insert(entry.order(), entry);
            // Entries that fail together wait together.
            if self.retry_at.is_none() {
                let pause = FIRST_PAUSE.saturating_mul(1 << self.attempts.min(16));
                self.attempts += 1;
                self.retry_at = Some(now.saturating_add(pause.min(LONGEST_PAUSE)));
            }
        } else {
            self.done(&entry, now);
        }
        takers
            .into_iter()
            .for_each(|taker| taker.event.settle(outcome));
    }

    /// An entry is delivered, or superseded by another one.
    pub fn done(&mut self, entry: &OutboxEntry, now: Timestamp) {
        self.uncount(entry);
        if let Some(piece) = entry.piece(|number| self.runs.of(number)) {
            self.pieces.done(piece, now);
        }
        if self.waiting.is_empty() && self.in_flight.is_empty() {
            self.attempts = 0;
        }
    }

    /// Removes the entries that wait and are superseded: those of groups whose last row, as the database
    /// has it, is another one.
    pub fn supersede(&mut self, last: &HashMap<&str, &str>) {
        let is_other = |entry: &OutboxEntry| {
            let row = entry.group_id().and_then(|group| last.get(&**group));
            row.is_some_and(|row| Some(*row) != entry.row().text())
        };
        let superseded = self.waiting.extract_if(.., |_, entry| is_other(entry));
        for (_, entry) in superseded.collect::<Vec<_>>() {
            self.done(&entry, Timestamp::from_micros(i64::MIN));
        }
    }

    /// The order of the last entry of each group.
    pub fn newest(&self) -> HashMap<GroupId, u64> {
        let mut newest = HashMap::new();
        let entries = self.waiting.values().chain(self.in_flight.iter());
        for entry in entries {
            if let Some(group_id) = entry.group_id() {
                let order: &mut u64 = newest.entry(group_id.clone()).or_default();
                *order = entry.order().max(*order);
            }
        }
        newest
    }

    /// Whether there is something to write though no transaction is open; `ended`: whether no
    /// more input comes.
    pub fn must_write(&self, now: Timestamp, ended: bool) -> bool {
        let all = ended && self.in_flight.is_empty();
        !self.fresh.is_empty() || self.pieces.must_remove(now, all)
    }

    /// The batch is committed; `wrote`: whether it was written too.
    pub fn commit(&mut self, wrote: bool) {
        self.batch += 1;
        self.returned.clear();
        self.fresh.clear();
        self.repeated.clear();
        self.pieces.commit(wrote);
    }

    /// The batch is rolled back: its entries are discarded, those that it has emitted again wait.
    pub fn rollback(&mut self) {
        self.pieces.rollback();
        self.expected.extend(self.returned.drain(..));
        for token in std::mem::take(&mut self.fresh) {
            if let Some(entry) = self.in_flight.take(token) {
                self.uncount(&entry);
            }
        }
        for token in std::mem::take(&mut self.repeated) {
            if let Some(entry) = self.in_flight.take(token) {
                self.put_back(entry);
            }
        }
        // Their events are fed again, and settled then.
        for entry in self.in_flight.iter_mut() {
            let of_batch = |taker: &mut Taker| taker.batch == self.batch;
            let takers = entry.takers().map(|takers| takers.extract_if(.., of_batch));
            for taker in takers.into_iter().flatten() {
                taker.event.settle(Outcome::Delivered);
            }
        }
        self.batch += 1;
    }

    /// An entry waits, as before.
    pub fn put_back(&mut self, entry: OutboxEntry) {
        self.waiting.insert(entry.order(), entry);
        self.retry_at
            .get_or_insert(Timestamp::from_micros(i64::MIN));
    }
}
