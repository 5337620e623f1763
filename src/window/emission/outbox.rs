//! What was emitted and is not delivered yet.
//!
//! An entry is under way, or it waits: it has failed, or it was found in the database. What waits is
//! emitted as it was, in order, under its instant. In a database that stays, the entries of a batch
//! are written with it, as one piece, which is removed when all of them are delivered, by its number,
//! with the next commit or after 100 ms.
//!
//! | what happens | the entry |
//! |---|---|
//! | emitted, committed | under way |
//! | the batch is rolled back | gone; one that was emitted again waits, as before |
//! | delivered | gone |
//! | failed | waits for 100 ms, and then pauses that grow to 10 s |
//! | its event comes again | is what that event is answered with |
//! | the process ends | is found when the window is opened, and waits for nothing |

use super::GroupId;
use crate::ack::{Outcome, Token};
use crate::error::{Error, Result};
use crate::event::{Event, Meta};
use crate::payload::Payload;
use crate::store::{Piece, Session};
use crate::time::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How soon an entry that failed is emitted again, at first and at last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How long pieces that were delivered may stay while nothing else is written.
const REMOVE: Duration = Duration::from_millis(100);
/// About how long a piece may be, in bytes.
const PIECE: usize = 1 << 20;
/// How many bytes may be under way or wait before the window takes nothing more in.
const FULL: usize = 64 << 20;
/// Of how many events it is known that they are still to come again.
const EXPECTED: usize = 1 << 20;
/// What an entry takes beside its row, in bytes.
const ENTRY: usize = 160;

/// No piece.
const NONE: i64 = -1;

/// A row that is emitted. It is moved a few times for each event, so what few have lies apart.
pub(in crate::window) struct OutboxEntry {
    /// Its place in the order of all.
    order: u64,
    /// The number of the piece in which it is written.
    piece: i64,
    row: Payload,
    time: Timestamp,
    meta: Meta,
    more: Option<Box<EntryDetails>>,
}

/// What else is known of an entry.
#[derive(Default)]
struct EntryDetails {
    group_id: Option<GroupId>,
    /// What stands for the key of the event that it answers, where that may come again.
    key: Option<u128>,
    /// Whose piece it was found in when the window was opened.
    found: Option<i64>,
    /// Events that came again while it was under way, each with the batch in which it did: they are
    /// settled with it.
    takers: Vec<(u64, Event)>,
}

impl OutboxEntry {
    /// Its place in the order of all.
    pub fn order(&self) -> u64 {
        self.order
    }

    fn size(&self) -> usize {
        self.row.size() + ENTRY
    }

    /// The group that it is of.
    pub fn group_id(&self) -> Option<&GroupId> {
        self.more.as_ref()?.group_id.as_ref()
    }

    fn key(&self) -> Option<u128> {
        self.more.as_ref()?.key
    }

    fn found(&self) -> Option<i64> {
        self.more.as_ref()?.found
    }

    fn takers(&mut self) -> Option<&mut Vec<(u64, Event)>> {
        self.more.as_mut().map(|more| &mut more.takers)
    }

    /// The piece in which it is written, by run and number.
    fn name(&self, run: i64) -> Option<(i64, i64)> {
        (self.piece != NONE).then(|| (self.found().unwrap_or(run), self.piece))
    }

    /// Whether it answers an event that may come again, and takes it then.
    pub fn may_come_again(&self) -> bool {
        self.key().is_some()
    }

    /// The event that it is.
    pub fn event(&self) -> Event {
        Event::new(self.row.clone(), self.time).with_all_meta(self.meta.clone())
    }

    /// The same, which settles another event too.
    pub fn event_for(&self, other: &Event) -> Event {
        other.derive(self.row.clone())
    }

    /// The same as it was, under its instant, for an event that has come again.
    fn event_again(&self, other: &Event) -> Event {
        let (_, _, _, ack) = other.clone().into_parts();
        Event::from_parts(self.row.clone(), self.time, self.meta.clone(), ack)
    }

    fn write(&self, text: &mut String) {
        let _ = write!(text, "{}\t", self.time.as_micros());
        if let Some(key) = self.key() {
            let _ = write!(text, "{key:032x}");
        }
        let meta = self.meta.to_json().unwrap_or_default();
        let group_id = self.group_id().map_or("", |group_id| group_id);
        for field in [group_id, &meta, self.row.text().unwrap_or_default()] {
            text.push('\t');
            text.push_str(field);
        }
        text.push('\n');
    }

    /// What was written so; `None` where it is something else.
    fn read(line: &str, order: u64, piece: (i64, i64)) -> Option<Self> {
        let mut fields = line.splitn(5, '\t');
        let mut next = || fields.next();
        let (time, key, group_id, meta, row) = (next()?, next()?, next()?, next()?, next()?);
        let key = match key {
            "" => None,
            key => Some(u128::from_str_radix(key, 16).ok()?),
        };
        let meta = match meta {
            "" => Meta::default(),
            meta => Meta::from_json(meta)?,
        };
        let more = EntryDetails {
            group_id: Some(group_id)
                .filter(|text| !text.is_empty())
                .map(Into::into),
            key,
            found: Some(piece.0),
            takers: Vec::new(),
        };
        Some(OutboxEntry {
            order,
            piece: piece.1,
            row: row.into(),
            time: Timestamp::from_micros(time.parse().ok()?),
            meta,
            more: Some(Box::new(more)),
        })
    }
}

/// The entries of a window.
pub(super) struct Outbox {
    /// Which pieces are ours.
    run: i64,
    /// Whether what others have left was read.
    opened: bool,
    /// The number of the next piece, and the place of the next entry.
    number: i64,
    order: u64,
    in_flight: InFlight,
    waiting: BTreeMap<u64, OutboxEntry>,
    /// When what waits is emitted again, and how often that was tried.
    again: Option<Timestamp>,
    attempts: u32,
    /// How many entries of each piece are not delivered.
    pieces: BTreeMap<(i64, i64), u32>,
    /// Pieces that are delivered, and since when there are any.
    delivered: Vec<(i64, i64)>,
    since: Option<Timestamp>,
    /// How many entries answer an event that may come again.
    keys: HashMap<u128, u32>,
    /// The keys of events that are answered and still to come again: what answers them was found when
    /// the window was opened, or has failed, so that their source sends them again.
    expected: HashSet<u128>,
    /// Those that have come again in this batch.
    returned: Vec<u128>,
    bytes: usize,
    /// What this batch has emitted, and what it has emitted again.
    fresh: Vec<Token>,
    repeated: Vec<Token>,
    /// The number of this batch.
    batch: u64,
    /// The pieces of this batch.
    written: Vec<((i64, i64), u32)>,
}

impl Outbox {
    pub fn new() -> Self {
        Outbox {
            run: (RandomState::new().hash_one(0) >> 1) as i64,
            opened: false,
            number: 0,
            order: 0,
            in_flight: InFlight::default(),
            waiting: BTreeMap::new(),
            again: None,
            attempts: 0,
            pieces: BTreeMap::new(),
            delivered: Vec::new(),
            since: None,
            keys: HashMap::new(),
            expected: HashSet::new(),
            returned: Vec::new(),
            bytes: 0,
            fresh: Vec::new(),
            repeated: Vec::new(),
            batch: 0,
            written: Vec::new(),
        }
    }

    /// Reads what is to be emitted after a restart, or of a batch of which it was not known whether
    /// it was committed.
    ///
    /// # Errors
    /// A database that is gone, or whose table is something else.
    pub fn open(&mut self, scope: &str, session: &mut Session) -> Result<()> {
        for piece in session.outbox(scope)? {
            let name = (piece.run, piece.number);
            self.number = self.number.max(piece.number + 1);
            let is_known = self.pieces.contains_key(&name) || self.delivered.contains(&name);
            if is_known || self.opened && piece.run != self.run {
                continue;
            }
            let mut entries = 0;
            for line in piece.text.lines() {
                let entry = OutboxEntry::read(line, self.order, name).ok_or_else(|| {
                    Error::data(format!("piece {} of the outbox is broken", piece.number))
                })?;
                self.order += 1;
                entries += 1;
                self.count(&entry);
                self.expect(entry.key());
                self.waiting.insert(entry.order, entry);
            }
            match entries {
                0 => self.delivered.push(name),
                _ => {
                    self.pieces.insert(name, entries);
                }
            }
            self.again = Some(Timestamp::from_micros(i64::MIN));
        }
        self.opened = true;
        Ok(())
    }

    /// An entry that is to be emitted.
    pub fn entry(
        &mut self,
        group_id: Option<GroupId>,
        row: Payload,
        key: Option<u128>,
        (time, meta): (Timestamp, Meta),
    ) -> OutboxEntry {
        self.order += 1;
        let more = (group_id.is_some() || key.is_some()).then(|| {
            Box::new(EntryDetails {
                group_id,
                key,
                ..EntryDetails::default()
            })
        });
        OutboxEntry {
            order: self.order - 1,
            piece: NONE,
            row,
            time,
            meta,
            more,
        }
    }

    /// The place of the next entry.
    pub fn next_order(&self) -> u64 {
        self.order
    }

    /// The event of a key is still to come again. A source that never sends it again would make this
    /// grow: beyond the bound all are forgotten, and an event that comes then is answered twice.
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

    /// One that waited was.
    pub fn repeated(&mut self, token: Token, entry: OutboxEntry) {
        self.repeated.push(token);
        self.in_flight.insert(token, entry);
    }

    /// Whether the window may take nothing more in.
    pub fn is_full(&self) -> bool {
        self.bytes >= FULL
    }

    /// Whether what waits is to be emitted now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.again.is_some_and(|again| again <= now)
    }

    /// When there is something to do.
    pub fn wake(&self) -> Option<Timestamp> {
        let remove = self.since.map(|since| since.after(REMOVE));
        self.again.into_iter().chain(remove).min()
    }

    /// Takes what waits, in order.
    pub fn take_waiting(&mut self) -> Vec<OutboxEntry> {
        self.again = None;
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// Whether there are entries that answer the event of a key, or were.
    pub fn answers(&self, key: u128) -> bool {
        self.keys.contains_key(&key) || self.expected.contains(&key)
    }

    /// An event has come again that was answered before: once more it is another one.
    pub fn forget(&mut self, key: u128) {
        if self.expected.remove(&key) {
            self.returned.push(key);
        }
    }

    /// An event has come again: of the entries that answer it, those that wait come out, and what is
    /// under way settles it.
    pub fn take_for(&mut self, key: u128, event: &Event) -> Vec<(Event, OutboxEntry)> {
        let in_flight = self.in_flight.entries();
        for entry in in_flight.filter(|entry| entry.key() == Some(key)) {
            if let Some(takers) = entry.takers() {
                takers.push((self.batch, event.clone()));
            }
        }
        let ours = self
            .waiting
            .extract_if(.., |_, entry| entry.key() == Some(key));
        let taken: Vec<(Event, OutboxEntry)> = ours
            .map(|(_, entry)| (entry.event_again(event), entry))
            .collect();
        if self.waiting.is_empty() {
            self.again = None;
        }
        taken
    }

    /// What became of an emission; `is_newest` says whether an entry is not superseded.
    pub fn settle(
        &mut self,
        token: Token,
        outcome: Outcome,
        now: Timestamp,
        is_newest: impl Fn(&OutboxEntry, u64) -> bool,
    ) {
        let Some(mut entry) = self.in_flight.take(token) else {
            return;
        };
        let takers = entry.takers().map(std::mem::take).unwrap_or_default();
        if outcome == Outcome::Failed {
            // Its event may come again when the entry is delivered already.
            self.expect(entry.key());
        }
        if outcome == Outcome::Failed && is_newest(&entry, entry.order) {
            self.waiting.insert(entry.order, entry);
            // Those that fail together wait together.
            if self.again.is_none() {
                let wait = AGAIN.0.saturating_mul(1 << self.attempts.min(16));
                self.attempts += 1;
                self.again = Some(now.after(wait.min(AGAIN.1)));
            }
        } else {
            self.done(&entry, now);
        }
        takers
            .into_iter()
            .for_each(|(_, event)| event.settle(outcome));
    }

    /// An entry is delivered, or superseded by another one.
    pub fn done(&mut self, entry: &OutboxEntry, now: Timestamp) {
        self.uncount(entry);
        if let Some(piece) = entry.name(self.run)
            && let Some(left) = self.pieces.get_mut(&piece)
        {
            *left -= 1;
            if *left == 0 {
                self.pieces.remove(&piece);
                self.delivered.push(piece);
                self.since.get_or_insert(now);
            }
        }
        if self.waiting.is_empty() && self.in_flight.is_empty() {
            self.attempts = 0;
        }
    }

    /// The greatest place of an entry of each group.
    pub fn newest(&mut self) -> HashMap<GroupId, u64> {
        let mut newest = HashMap::new();
        let entries = self.waiting.values().chain(self.in_flight.all());
        for entry in entries {
            if let Some(group_id) = entry.group_id() {
                let order: &mut u64 = newest.entry(group_id.clone()).or_default();
                *order = entry.order.max(*order);
            }
        }
        newest
    }

    /// Whether there is something to write though no transaction is open.
    pub fn must_write(&self, now: Timestamp, ended: bool) -> bool {
        let over = |since: Timestamp| now < since || now >= since.after(REMOVE);
        !self.fresh.is_empty()
            || !self.delivered.is_empty()
                && (self.since.is_none_or(over) || ended && self.in_flight.is_empty())
    }

    /// Writes what this batch has emitted, and removes what was delivered.
    ///
    /// # Errors
    /// A database that is gone, or full.
    pub fn write(&mut self, scope: &str, session: &mut Session) -> Result<()> {
        let mut left = self.fresh.as_slice();
        while !left.is_empty() {
            let name = (self.run, self.number);
            self.number += 1;
            let mut text = String::new();
            let mut entries = 0;
            while let Some((token, rest)) = left.split_first() {
                if text.len() >= PIECE {
                    break;
                }
                left = rest;
                if let Some(entry) = self.in_flight.get(*token) {
                    entry.write(&mut text);
                    entry.piece = name.1;
                    entries += 1;
                }
            }
            if entries > 0 {
                let piece = Piece {
                    run: name.0,
                    number: name.1,
                    text,
                };
                session.add_to_outbox(scope, &piece)?;
                self.written.push((name, entries));
            }
        }
        self.delivered.sort_unstable();
        for (run, first, last) in ranges(&self.delivered) {
            session.remove_from_outbox(scope, run, (first, last))?;
        }
        Ok(())
    }

    /// The batch is committed; `wrote` says whether it was written too.
    pub fn commit(&mut self, wrote: bool) {
        self.batch += 1;
        self.returned.clear();
        self.fresh.clear();
        self.repeated.clear();
        self.pieces.extend(self.written.drain(..));
        if wrote {
            self.delivered.clear();
            self.since = None;
        }
    }

    /// The batch never was: what it was to emit is not, what it was to emit again waits.
    pub fn rollback(&mut self) {
        self.written.clear();
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
        // Their events are fed again, and what becomes of them then decides.
        for entry in self.in_flight.entries() {
            let of_batch = |taker: &mut (u64, Event)| taker.0 == self.batch;
            let takers = entry.takers().map(|takers| takers.extract_if(.., of_batch));
            for (_, event) in takers.into_iter().flatten() {
                event.settle(Outcome::Delivered);
            }
        }
        self.batch += 1;
    }

    /// An entry waits, as before.
    pub fn put_back(&mut self, entry: OutboxEntry) {
        self.waiting.insert(entry.order, entry);
        self.again.get_or_insert(Timestamp::from_micros(i64::MIN));
    }
}

/// Entries by the tokens under which they were emitted. Those of a node follow on each other.
#[derive(Default)]
struct InFlight {
    first: u64,
    entries: VecDeque<Option<OutboxEntry>>,
}

impl InFlight {
    fn insert(&mut self, token: Token, entry: OutboxEntry) {
        if self.entries.is_empty() {
            self.first = token.0;
        }
        let at = (token.0 - self.first) as usize;
        self.entries
            .resize_with(at.max(self.entries.len()), || None);
        self.entries.push_back(Some(entry));
    }

    fn get(&mut self, token: Token) -> Option<&mut OutboxEntry> {
        let at = usize::try_from(token.0.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(at)?.as_mut()
    }

    fn take(&mut self, token: Token) -> Option<OutboxEntry> {
        let at = usize::try_from(token.0.checked_sub(self.first)?).ok()?;
        let entry = self.entries.get_mut(at)?.take();
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first += 1;
        }
        entry
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entries(&mut self) -> impl Iterator<Item = &mut OutboxEntry> {
        self.entries.iter_mut().flatten()
    }

    fn all(&self) -> impl Iterator<Item = &OutboxEntry> {
        self.entries.iter().flatten()
    }
}

/// Names in order, as ranges without gaps.
fn ranges(names: &[(i64, i64)]) -> Vec<(i64, i64, i64)> {
    let mut ranges: Vec<(i64, i64, i64)> = Vec::new();
    for &(run, number) in names {
        match ranges.last_mut() {
            Some(range) if range.0 == run && range.2 + 1 == number => range.2 = number,
            _ => ranges.push((run, number, number)),
        }
    }
    ranges
}
