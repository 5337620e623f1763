//! How far a file was read, kept over the end of the process.
//!
//! A file is known again by how it begins, and by its path or its inode. Where the file that is
//! there now is not the one of the checkpoint, a source that follows looks for that one beside it
//! (it was renamed), reads its rest and goes on; any other source refuses the checkpoint.

use super::checkpoint::{Checkpoint, Saved, hash};
use super::ledger::{Ledger, Place};
use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::node::Context;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the checkpoint is written, unless many events were delivered in between.
const EVERY: Duration = Duration::from_millis(100);
/// How much of the beginning of a file is held against the checkpoint, in bytes.
const HEAD: u64 = 4 << 10;
/// The most bytes of payload under way.
const BYTES: usize = 64 << 20;

/// A file that was read, as long as events of it are under way.
struct Known {
    dev: u64,
    ino: u64,
    head: Vec<u8>,
}

impl Known {
    fn of(meta: &Metadata, head: Vec<u8>) -> Self {
        Known {
            dev: meta.dev(),
            ino: meta.ino(),
            head,
        }
    }
}

/// Where a source that begins is to read on.
pub(super) struct Start {
    pub file: File,
    pub offset: u64,
    pub line: u64,
}

/// The memory of a source.
pub(super) struct Memory {
    checkpoint: Checkpoint,
    /// The most events that are read and not in the checkpoint.
    limit: usize,
    ledger: Ledger,
    path: String,
    files: VecDeque<Known>,
    /// The number of the first of them.
    first: u64,
    position: Place,
    /// How many events were delivered since the checkpoint was written, and when that was.
    unsaved: usize,
    saved: Timestamp,
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
            files: VecDeque::new(),
            first: 0,
            position: Place::default(),
            unsaved: 0,
            saved: Timestamp::EPOCH,
            ended: false,
        }
    }

    pub fn claim(&self) -> Claim {
        self.checkpoint.claim()
    }

    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Finds the place up to which the file was read.
    ///
    /// # Errors
    /// A file that is no regular one; a checkpoint that cannot be read or written, or that belongs
    /// to another file.
    pub fn begin(&mut self, path: &Path, file: File, follows: bool) -> Result<Start> {
        let named = quote(path.to_string_lossy());
        let wrong = |error: &io::Error| Error::io(&named, error);
        if !file.metadata().map_err(|e| wrong(&e))?.is_file() {
            let text = format!("{named}: only a regular file can have a checkpoint");
            return Err(Error::data(text));
        }
        let whole = path.canonicalize().map_err(|e| wrong(&e))?;
        self.path = whole.to_string_lossy().into_owned();
        let saved = self.checkpoint.load()?;
        let is_new = saved.is_none();
        let mut start = match saved {
            None => Start::at(file, 0, 0),
            Some(saved) => self.find(&saved, &whole, file, follows)?,
        };
        let seek = start.file.seek(SeekFrom::Start(start.offset));
        seek.map_err(|e| wrong(&e))?;
        let meta = start.file.metadata().map_err(|e| wrong(&e))?;
        let head = head(&start.file, start.offset.min(HEAD)).map_err(|e| wrong(&e))?;
        self.files = VecDeque::from([Known::of(&meta, head)]);
        self.position = Place {
            file: self.first,
            offset: start.offset,
            line: start.line,
        };
        if is_new {
            // Whether it can be written is better known before anything is read.
            self.save()?;
        }
        Ok(start)
    }

    fn find(&self, saved: &Saved, path: &Path, file: File, follows: bool) -> Result<Start> {
        let same_inode = is_inode(saved, &file);
        let same_path = saved.path == self.path;
        let name = quote(&self.path);
        // First, since two logs may begin alike.
        if follows
            && same_path
            && !same_inode
            && let Some(before) = renamed(saved, path)
        {
            log::info!("{name} was replaced: what it was before is read to its end first");
            return Ok(Start::at(before, saved.offset, saved.line));
        }
        if (same_inode || same_path) && begins_alike(saved, &file) {
            return Ok(Start::at(file, saved.offset, saved.line));
        }
        if !(follows && (same_path || same_inode)) {
            let text = format!(
                "{} belongs to another file than {}",
                self.checkpoint.name(),
                quote(&self.path)
            );
            let hint = match saved.path == self.path {
                true => {
                    "the file was replaced; to read it from its beginning, remove the checkpoint"
                        .to_owned()
                }
                false => format!("it is that of {}", quote(&saved.path)),
            };
            return Err(Error::data(text).with_hint(hint));
        }
        match same_inode {
            true => log::warn!("{name} was cut: it is read from its beginning"),
            false => log::warn!(
                "{name} was replaced and what it was before is gone: the rest of that is lost"
            ),
        }
        Ok(Start::at(file, 0, 0))
    }

    /// Bytes were read at this offset.
    pub fn saw(&mut self, offset: u64, bytes: &[u8]) {
        if let Some(known) = self.files.back_mut()
            && offset < HEAD
            && known.head.len() as u64 == offset
        {
            let room = (HEAD - offset) as usize;
            known.head.extend(&bytes[..bytes.len().min(room)]);
        }
    }

    /// From here on another file is read, or the same one anew.
    pub fn turn(&mut self, meta: &Metadata) {
        self.files.push_back(Known::of(meta, Vec::new()));
        if self.ledger.is_empty() {
            self.move_to(Place {
                file: self.last_file(),
                ..Place::default()
            });
        }
    }

    fn last_file(&self) -> u64 {
        self.first + self.files.len() as u64 - 1
    }

    /// Whether no more is to be read until something was delivered.
    pub fn is_full(&self) -> bool {
        self.ledger.len() + self.unsaved >= self.limit || self.ledger.bytes() >= BYTES
    }

    pub fn is_empty(&self) -> bool {
        self.ledger.is_empty()
    }

    /// Tracks an event that ends at this place.
    pub fn track(&mut self, event: &mut Event, offset: u64, line: u64, cx: &mut Context<'_>) {
        let copy = event.clone();
        self.note(Some(copy), event, offset, line, cx);
    }

    /// The same of one that is not emitted again when it fails.
    pub fn track_once(&mut self, event: &mut Event, offset: u64, line: u64, cx: &mut Context<'_>) {
        self.note(None, event, offset, line, cx);
    }

    fn note(
        &mut self,
        copy: Option<Event>,
        event: &mut Event,
        offset: u64,
        line: u64,
        cx: &mut Context<'_>,
    ) {
        let token = cx.track(event);
        let file = self.last_file();
        self.ledger.add(token, copy, Place { file, offset, line });
    }

    pub fn settle(&mut self, token: Token, outcome: Outcome, now: Timestamp) {
        let before = self.ledger.len();
        if let Some(place) = self.ledger.settle(token, outcome, now) {
            self.unsaved += before - self.ledger.len();
            self.move_to(place);
        }
    }

    fn move_to(&mut self, place: Place) {
        self.position = place;
        while self.first < place.file {
            self.files.pop_front();
            self.first += 1;
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
        let save = (self.unsaved > 0).then(|| self.saved.after(EVERY));
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
        if self.unsaved == 0 {
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
        let Some(known) = self.files.front() else {
            return Ok(());
        };
        let offset = self.position.offset;
        let head = known
            .head
            .len()
            .min(usize::try_from(offset).unwrap_or(usize::MAX));
        self.checkpoint.save(&Saved {
            path: self.path.clone(),
            dev: known.dev,
            ino: known.ino,
            offset,
            line: self.position.line,
            head: head as u64,
            hash: hash(&known.head[..head]),
        })?;
        self.unsaved = 0;
        Ok(())
    }
}

/// A network that is given up still writes down what was delivered.
impl Drop for Memory {
    fn drop(&mut self) {
        if self.unsaved > 0
            && let Err(error) = self.save()
        {
            log::warn!("{error}");
        }
    }
}

impl Start {
    fn at(file: File, offset: u64, line: u64) -> Self {
        Start { file, offset, line }
    }
}

fn is_inode(saved: &Saved, file: &File) -> bool {
    file.metadata()
        .is_ok_and(|meta| (meta.dev(), meta.ino()) == (saved.dev, saved.ino))
}

/// Whether a file begins as the one did that was read, and is not shorter than what was read of it.
fn begins_alike(saved: &Saved, file: &File) -> bool {
    let long = file.metadata().is_ok_and(|meta| meta.len() >= saved.offset);
    long && head(file, saved.head.min(HEAD)).is_ok_and(|head| hash(&head) == saved.hash)
}

fn head(file: &File, len: u64) -> io::Result<Vec<u8>> {
    let mut head = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(&mut head, 0)?;
    Ok(head)
}

/// The file that was read, under another name in the same directory.
fn renamed(saved: &Saved, path: &Path) -> Option<File> {
    let entries = std::fs::read_dir(path.parent()?).ok()?;
    let mut found = entries.flatten().filter(|entry| {
        let meta = entry.metadata();
        meta.is_ok_and(|meta| meta.is_file() && meta.ino() == saved.ino)
    });
    let file = File::open(found.next()?.path()).ok()?;
    (is_inode(saved, &file) && begins_alike(saved, &file)).then_some(file)
}
