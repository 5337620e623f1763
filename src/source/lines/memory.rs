//! How far the files of a log were read, kept over the end of the process.
//!
//! A file is known again by its inode, and by how it begins and what lies before the place in it. So
//! one that was cut or replaced is never read from the middle, and its copy is known too.

use super::checkpoint::{Checkpoint, Saved, SavedFile};
use super::head::{HEAD, hash};
use super::ledger::{Ledger, Position};
use super::reading::Reading;
use super::siblings::{Id, Seen};
use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::Context;
use crate::time::Timestamp;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

/// How often the checkpoint is written, unless many events were delivered in between.
const EVERY: Duration = Duration::from_millis(100);
/// The most bytes of payload under way.
const BYTES: usize = 64 << 20;

/// Up to where a file was read.
struct LastRead {
    /// The offset behind what was read, in bytes.
    offset: u64,
    /// The hash of the bytes just before it.
    hash: u128,
}

/// A file that is read, or of which events are under way.
struct Known {
    key: u64,
    id: Id,
    path: String,
    head: Vec<u8>,
    /// Up to where it was read.
    last: LastRead,
    /// That was all of it.
    at_end: bool,
    /// All lines before it are delivered.
    position: Position,
    under_way: usize,
    /// Nothing more is read of it.
    closed: bool,
}

/// The memory of a source.
pub(super) struct Memory {
    checkpoint: Checkpoint,
    /// The most events that are read and not in the checkpoint.
    limit: usize,
    ledger: Ledger,
    path: String,
    seen: Seen,
    files: Vec<Known>,
    /// How many events were delivered since the checkpoint was written, and when that was.
    unsaved: usize,
    saved: Timestamp,
    /// The files are other ones than in the checkpoint.
    changed: bool,
    /// There is no checkpoint yet.
    is_new: bool,
    /// Nothing more is read.
    ended: bool,
}

impl Memory {
    pub fn new(checkpoint: PathBuf, limit: usize) -> Self {
        Memory {
            checkpoint: Checkpoint::at(checkpoint),
            limit,
            ledger: Ledger::default(),
            path: String::new(),
            seen: Seen::default(),
            files: Vec::new(),
            unsaved: 0,
            saved: Timestamp::EPOCH,
            changed: false,
            is_new: false,
            ended: false,
        }
    }

    pub fn claim(&self) -> Claim {
        self.checkpoint.claim()
    }

    /// The most events that are read and not in the checkpoint.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether both have the same checkpoint.
    pub fn is_in_the_file_of(&self, other: &Memory) -> bool {
        self.checkpoint.claim() == other.checkpoint.claim()
    }

    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// What was saved of the log at this path.
    ///
    /// # Errors
    /// A checkpoint that cannot be read.
    pub fn load(&mut self, path: String) -> Result<Option<Saved>> {
        self.path = path;
        self.files.clear();
        self.seen = Seen::default();
        self.changed = false;
        let saved = self.checkpoint.load()?;
        self.is_new = saved.is_none();
        Ok(saved)
    }

    /// How messages name the checkpoint.
    pub fn name(&self) -> String {
        self.checkpoint.name()
    }

    /// Writes the first checkpoint, where there is none yet.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(&mut self) -> Result<()> {
        if self.is_new { self.save() } else { Ok(()) }
    }

    /// A file is read from where it stands.
    pub fn add(&mut self, reading: &Reading) -> io::Result<()> {
        let offset = reading.offset;
        let last = LastRead {
            offset,
            hash: xxh3_128(reading.tail()),
        };
        self.files.push(Known {
            key: reading.key,
            id: reading.id,
            path: reading.path.to_string_lossy().into_owned(),
            // Also of what is still to be read: its inode alone may be that of another file later.
            head: reading.begin(HEAD)?,
            last,
            at_end: false,
            position: Position {
                file: reading.key,
                offset,
                line: reading.lines,
            },
            under_way: 0,
            closed: false,
        });
        self.changed = true;
        Ok(())
    }

    /// Notes how files begin of which nothing was read yet, since by its inode alone a file is not known
    /// once it is gone: compressed, or copied and cut.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn note_beginnings(&mut self, files: &[Reading]) -> io::Result<()> {
        let unread = files.iter().filter(|reading| reading.at() == 0);
        for reading in unread.filter(|reading| reading.is_regular()) {
            let head = reading.begin(HEAD)?;
            if let Some(known) = self.known(reading.key)
                && known.head != head
            {
                known.head = head;
                self.changed = true;
            }
        }
        Ok(())
    }

    /// A file is what the log is now.
    pub fn is_current(&mut self, key: u64) {
        if let Some(at) = self.files.iter().position(|known| known.key == key) {
            let known = self.files.remove(at);
            self.files.push(known);
            self.changed = true;
        }
    }

    /// There is nothing more to read of a file, for now.
    pub fn at_end(&mut self, reading: &Reading) {
        let mut is_news = false;
        if let Some(known) = self.known(reading.key) {
            // Of what the log is now, more is expected.
            is_news = reading.replaced && !known.at_end && known.under_way == 0;
            known.at_end = true;
        }
        self.changed |= is_news;
    }

    /// What was read of a file is read on from its copy.
    pub fn moved(&mut self, reading: &Reading) {
        if let Some(known) = self.known(reading.key) {
            known.id = reading.id;
            known.path = reading.path.to_string_lossy().into_owned();
        }
        self.changed = true;
    }

    /// Nothing more is read of a file.
    pub fn close(&mut self, key: u64) {
        if let Some(known) = self.known(key) {
            known.closed = true;
        }
        self.forget();
    }

    fn forget(&mut self) {
        let before = self.files.len();
        self.files
            .retain(|known| !known.closed || known.under_way > 0);
        self.changed |= self.files.len() < before;
    }

    /// Which files the log was before is known up to here.
    pub fn saw_siblings(&mut self, seen: &Seen) {
        if self.seen != *seen {
            self.seen = seen.clone();
            self.changed = true;
        }
    }

    /// Bytes were read of a file, which begin at this offset.
    pub fn saw(&mut self, reading: &Reading, bytes: &[u8]) {
        let Some(known) = self.known(reading.key) else {
            return;
        };
        let offset = reading.at() - bytes.len() as u64;
        if offset == 0 {
            known.head.clear();
        }
        if offset < HEAD && known.head.len() as u64 == offset {
            let room = (HEAD - offset) as usize;
            known.head.extend(&bytes[..bytes.len().min(room)]);
        }
        known.at_end = false;
        known.last = LastRead {
            offset: reading.at(),
            hash: xxh3_128(reading.tail()),
        };
    }

    fn known(&mut self, key: u64) -> Option<&mut Known> {
        self.files.iter_mut().rev().find(|known| known.key == key)
    }

    /// Whether no more is to be read until something was delivered.
    pub fn is_full(&self) -> bool {
        self.ledger.len() + self.unsaved >= self.limit || self.ledger.bytes() >= BYTES
    }

    pub fn is_empty(&self) -> bool {
        self.ledger.is_empty()
    }

    /// Tracks an event that ends where the file stands.
    pub fn track(&mut self, event: &mut Event, reading: &Reading, cx: &mut Context<'_>) {
        let copy = event.clone();
        self.note(Some(copy), event, reading, cx);
    }

    /// The same of one that is not emitted again when it fails.
    pub fn track_once(&mut self, event: &mut Event, reading: &Reading, cx: &mut Context<'_>) {
        self.note(None, event, reading, cx);
    }

    fn note(
        &mut self,
        copy: Option<Event>,
        event: &mut Event,
        reading: &Reading,
        cx: &mut Context<'_>,
    ) {
        let token = cx.track(event);
        let behind = Position {
            file: reading.key,
            offset: reading.offset,
            line: reading.lines,
        };
        self.ledger.add(token, copy, behind);
        if let Some(known) = self.known(reading.key) {
            known.under_way += 1;
        }
    }

    pub fn settle(&mut self, token: Token, outcome: Outcome, now: Timestamp) {
        let Memory { ledger, files, .. } = self;
        let mut delivered = 0;
        let mut closed = false;
        ledger.settle(token, outcome, now, |place| {
            delivered += 1;
            if let Some(known) = files.iter_mut().find(|known| known.key == place.file) {
                known.under_way -= 1;
                known.position = place;
                closed |= known.closed && known.under_way == 0;
            }
        });
        self.unsaved += delivered;
        if closed {
            self.forget();
        }
    }

    /// Emits again what has failed, where its pause is over.
    pub fn emit_again(&mut self, cx: &mut Context<'_>) {
        for number in self.ledger.due(cx.now()) {
            if let Some(event) = self.ledger.event(number) {
                let token = cx.emit_tracked(event);
                self.ledger.again(token, number);
            }
        }
    }

    pub fn wake(&self) -> Option<Timestamp> {
        let save = (self.unsaved > 0 || self.changed).then(|| self.saved.saturating_add(EVERY));
        save.into_iter().chain(self.ledger.next_due()).min()
    }

    /// Nothing more will be read: the last outcome is written down at once.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Writes the checkpoint where that is due.
    ///
    /// # Errors
    /// One that cannot be written, to be tried again.
    pub fn commit(&mut self, now: Timestamp) -> Result<()> {
        if self.unsaved == 0 && !self.changed {
            return Ok(());
        }
        let many = self.unsaved > self.limit / 2;
        let late = now < self.saved || now.since(self.saved) >= EVERY;
        if many || late || self.ended && self.ledger.is_empty() {
            self.save().map_err(Error::retryable)?;
            self.saved = now;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        let files = self.files.iter().map(|known| SavedFile {
            path: known.path.clone(),
            id: known.id,
            offset: known.position.offset,
            line: known.position.line,
            head: known.head.len() as u64,
            hash: hash(&known.head),
            mark: known.last.offset,
            tail: format!("{:032x}", known.last.hash),
            is_whole: known.at_end && known.under_way == 0,
        });
        self.checkpoint.save(&Saved {
            path: self.path.clone(),
            files: files.collect(),
            seen: Some(self.seen.clone()),
        })?;
        self.unsaved = 0;
        self.changed = false;
        self.is_new = false;
        Ok(())
    }
}

/// A network that is given up still writes down what was delivered.
impl Drop for Memory {
    fn drop(&mut self) {
        if (self.unsaved > 0 || self.changed && self.saved > Timestamp::EPOCH)
            && let Err(error) = self.save()
        {
            log::warn!("{error}");
        }
    }
}
