//! A queue on disk between two parts of a network.
//!
//! What comes in is delivered, for those before it, once it is in the file; what goes out stays in
//! the file until it is delivered. All of it happens in `commit`: one transaction takes the batch in
//! and removes what was delivered, and after that leaves what may leave.

use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::error::{Error, ErrorKind, Result, quote};
use crate::event::{Event, Meta};
use crate::node::{Context, Handover, Node, Pipeline};
use crate::store::{QueueFile, Stored};
use crate::time::{Backoff, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// How many events go into one transaction, which is synced.
const TAKEN: usize = 4_096;
/// How many events are under way behind the queue at most: fewer than a link holds, so that a slow
/// sink doesn't keep the queue from taking more in.
const UNDER_WAY: usize = 1_024;
/// How many bytes of payload and meta are, about.
const BYTES: usize = 16 << 20;
/// How long delivered events may stay in the file, and how many of them.
const REMOVE_EVERY: Duration = Duration::from_millis(100);
const REMOVE_AT: usize = 512;

/// A durable queue, in a SQLite file of its own.
///
/// An event is delivered once it is in the file, which is synced with every
/// batch. The queue emits what the file holds, in order, and removes what was delivered; what failed
/// is emitted again after 100 ms and then pauses that grow to 10 s, while events behind it go on.
/// What is left is there after a restart; what was delivered shortly before a kill may come again,
/// at most 1,024 events. Payloads and meta are kept byte for byte. The whole file is looked through
/// when it is opened (about a second for a million events), and refused if its structure is damaged.
/// Each event has a checksum: one that does not fit it leaves by the port `errors`, once, and is removed
/// from the file. While the disk is full the queue waits, and holds back those before it.
///
/// When all that leads to it has ended, the queue ends once it is empty; a stop leaves in the file
/// what is not under way.
pub struct Queue {
    path: PathBuf,
    file: Option<QueueFile>,
    /// The numbers of the last event in the file, and of the last that was emitted.
    last: u64,
    emitted: u64,
    /// Taken in since the last commit.
    taken: Vec<Stored>,
    under_way: HashMap<Token, Held>,
    /// The numbers of events that were found damaged and have left by `errors`.
    refused: HashMap<Token, u64>,
    bytes: usize,
    /// What failed, by the instant at which it is to be emitted again.
    failed: BTreeMap<(Timestamp, u64), Held>,
    /// Delivered, and still in the file.
    delivered: Vec<u64>,
    removed: Timestamp,
    latest: Timestamp,
    ended: bool,
}

opaque_debug!(Queue, path);

/// An event that was emitted and not delivered.
struct Held {
    id: u64,
    event: Event,
    bytes: usize,
    failures: u32,
}

impl Queue {
    /// A queue in this file, which is created if it is missing.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Queue {
            path: path.into(),
            file: None,
            last: 0,
            emitted: 0,
            taken: Vec::new(),
            under_way: HashMap::new(),
            refused: HashMap::new(),
            bytes: 0,
            failed: BTreeMap::new(),
            delivered: Vec::new(),
            removed: Timestamp::EPOCH,
            latest: Timestamp::EPOCH,
            ended: false,
        }
    }

    fn file(&mut self) -> Result<&mut QueueFile> {
        // It was closed to be opened again, and that has failed so far.
        let closed = || Error::new(ErrorKind::Failed, "the queue is not open").retryable();
        self.file.as_mut().ok_or_else(closed)
    }

    /// How many more may be under way.
    fn room(&self) -> usize {
        let out = self.under_way.len() + self.refused.len();
        let out = out + self.failed.len() + self.delivered.len();
        if self.bytes < BYTES {
            UNDER_WAY.saturating_sub(out)
        } else {
            0
        }
    }

    /// Stores the batch and removes delivered events.
    fn write(&mut self, now: Timestamp) -> Result<()> {
        let due = now < self.removed || now.since(self.removed) >= REMOVE_EVERY;
        let nothing_else = self.ended && self.under_way.is_empty() && self.refused.is_empty();
        let remove = !self.delivered.is_empty()
            && (due || nothing_else || self.delivered.len() >= REMOVE_AT);
        if self.taken.is_empty() && !remove {
            return Ok(());
        }
        self.delivered.sort_unstable();
        let ranges = ranges(&self.delivered);
        let taken = std::mem::take(&mut self.taken);
        let changed = self.file()?.change(&taken, &ranges);
        self.taken = taken;
        changed?;
        self.delivered.clear();
        self.removed = now;
        self.last += self.taken.len() as u64;
        Ok(())
    }

    /// Emits events: those that failed and are due, those in the file, those of this batch.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let now = cx.now();
        let due = if now < self.latest {
            // The clock was set back, which must not lengthen a pause.
            std::mem::take(&mut self.failed)
        } else {
            let later = self.failed.split_off(&(now, u64::MAX));
            std::mem::replace(&mut self.failed, later)
        };
        self.latest = now;
        let mut due: Vec<Held> = due.into_values().collect();
        due.sort_unstable_by_key(|held| held.id);
        for held in due {
            self.emit(held, cx);
        }
        let before = self.last - self.taken.len() as u64;
        while self.emitted < before && self.room() > 0 {
            let most = self.room().min(256);
            let (from, stored) = (self.emitted, self.file()?);
            let stored = stored.after(from, most)?;
            if stored.is_empty() {
                self.emitted = before;
            }
            for stored in stored {
                self.emit_stored(stored, cx)?;
            }
        }
        for stored in std::mem::take(&mut self.taken) {
            // What must wait is read from the file later.
            if stored.id == self.emitted + 1 && self.room() > 0 {
                self.emit_stored(stored, cx)?;
            }
        }
        Ok(())
    }

    fn emit_stored(&mut self, stored: Stored, cx: &mut Context<'_>) -> Result<()> {
        let mut event = Event::new(stored.payload, Timestamp::from_micros(stored.time));
        let mut damaged = stored.damaged;
        if let Some(meta) = stored.meta {
            match Meta::from_json(&meta) {
                Some(meta) => event = event.with_all_meta(meta),
                None => damaged = true,
            }
        }
        self.emitted = stored.id;
        if damaged {
            let path = quote(self.path.to_string_lossy());
            let text = format!("event {} of queue {path} is damaged", stored.id);
            let error = Error::new(ErrorKind::Io, text);
            self.refused.insert(cx.track(&mut event), stored.id);
            cx.reject(event, error.with_hint("the checksum does not match"));
            return Ok(());
        }
        let bytes = event.size();
        self.bytes += bytes;
        let held = Held {
            id: stored.id,
            event,
            bytes,
            failures: 0,
        };
        self.emit(held, cx);
        Ok(())
    }

    fn emit(&mut self, held: Held, cx: &mut Context<'_>) {
        let token = cx.emit_tracked(held.event.clone());
        self.under_way.insert(token, held);
    }
}

impl Node for Queue {
    fn close(&mut self) {
        self.file = None;
    }

    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        let empty = Queue::new(self.path.clone());
        Some(Box::new(std::mem::replace(self, empty)))
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<Self>()?;
        if old.path != self.path {
            return Err(old);
        }
        *self = *old;
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        // The old one first: it has the file alone.
        self.file = None;
        let file = QueueFile::open(&self.path)?;
        // What was removed is not in the file any more, and its numbers are not used again.
        self.last = file.last()?.max(self.last);
        self.file = Some(file);
        Ok(())
    }

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::new("queue", &self.path)]
    }

    fn batch_size(&self) -> usize {
        TAKEN
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.write(cx.now()).map_err(final_unless_retryable)?;
        if self.ended {
            return Ok(());
        }
        let took = !self.taken.is_empty();
        match self.send(cx).map_err(final_unless_retryable) {
            Err(error) if took && error.is_retryable() => {
                // The batch is in the file and must not come again; the next `tick` reads it.
                self.taken.clear();
                Ok(())
            }
            sent => sent,
        }
    }

    fn rollback(&mut self) {
        self.taken.clear();
    }

    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        let Some(mut held) = self.under_way.remove(&token) else {
            // Whatever became of it: it cannot be read any better.
            self.delivered.extend(self.refused.remove(&token));
            return Ok(());
        };
        match outcome {
            Outcome::Delivered => {
                self.bytes -= held.bytes;
                self.delivered.push(held.id);
            }
            Outcome::Failed => {
                held.failures += 1;
                let at = cx.now().saturating_add(Backoff::EVENT.pause(held.failures));
                self.failed.insert((at, held.id), held);
            }
        }
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        let again = self.failed.keys().next().map(|(at, _)| *at);
        let more = (self.emitted < self.last && self.room() > 0).then_some(Timestamp::EPOCH);
        let remove = !self.delivered.is_empty();
        let remove = remove.then(|| self.removed.saturating_add(REMOVE_EVERY));
        again.into_iter().chain(more).chain(remove).min()
    }

    fn holds(&self) -> bool {
        // What was delivered is removed at the end in any case.
        let out = !(self.under_way.is_empty() && self.refused.is_empty());
        out || self.emitted < self.last || !self.failed.is_empty()
    }

    fn finish(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.ended = true;
        Ok(())
    }
}

impl Pipeline for Queue {
    fn process(&mut self, event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        self.taken.push(Stored {
            id: self.last + 1 + self.taken.len() as u64,
            time: event.time().as_micros(),
            payload: event.payload().clone(),
            meta: event.meta().to_json(),
            damaged: false,
        });
        Ok(())
    }
}

/// A file that is broken is so for every event.
fn final_unless_retryable(error: Error) -> Error {
    if error.is_retryable() {
        error
    } else {
        error.fatal()
    }
}

/// Numbers in order, as ranges without gaps.
fn ranges(numbers: &[u64]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some(range) if range.end == number => range.end += 1,
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}
