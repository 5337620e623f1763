//! A source that reads lines: from standard input, or from a file, which it may follow.
//!
//! A log that is followed may be several files at once: what it was before it was rotated is read on
//! until nothing is added to it any more, beside what it is now. [`reading`] is one of them,
//! [`siblings`] finds them by [`names`] and inodes, [`rotation`] turns from one to the next.
//!
//! With a checkpoint each line is tracked. [`ledger`] keeps what is under way and how far all is
//! delivered, [`checkpoint`] is the file with that position, [`memory`] brings the two together, [`resume`]
//! finds the files again.

mod checkpoint;
mod claim;
mod head;
mod ledger;
mod memory;
mod names;
mod packed;
mod reading;
mod resume;
mod rotation;
mod siblings;
mod take;

use crate::ack::{Outcome, Token};
use crate::error::{Error, ErrorKind, Result, quote};
use crate::format::Format;
use crate::node::{Context, Handover, Node, ReadStatus, Source};
use crate::time::Timestamp;
use claim::Claim;
use memory::Memory;
use reading::{Filled, Reading};
use siblings::Log;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

#[doc(hidden)]
pub use checkpoint::sealed_checkpoint;

/// How many lines of a source with a checkpoint are under way at most, by default.
const IN_FLIGHT: usize = 65_536;
/// How long a renamed file must be silent before it is closed, by default.
const ROTATE_WAIT: Duration = Duration::from_secs(5);
/// How often it is looked whether a followed file was replaced, also while there is more to read.
const LOOK: Duration = Duration::from_millis(250);

/// Emits each line as an event (JSON lines, unless it has another [`format`](Self::format)), without its line
/// end, which is LF or CRLF.
///
/// Blank lines are skipped, and a byte order mark at the beginning is not part of the first line. A
/// line that is not JSON, and one longer than an event may be
/// ([`MAX_EVENT_BYTES`](crate::payload::MAX_EVENT_BYTES) at most), is rejected: it leaves by the port
/// `errors`, with its place as `file:line`. Of a line that is too long the first 4 KiB are kept, with
/// `size` and `xxh3` (the hash of all of it, in hexadecimal) in the meta.
pub struct LineSource {
    input: Input,
    name: String,
    format: Format,
    follow: Follow,
    rotate_wait: Duration,
    log: Log,
    is_open: bool,
    /// What is read, the oldest first.
    files: Vec<Reading>,
    /// The key of the file that is opened next.
    next: u64,
    claim: Option<Claim>,
    buffer: Vec<u8>,
    /// What of the buffer was not looked at yet, and the key of the file that it is of.
    rest: Range<usize>,
    rest_of: u64,
    looked: Timestamp,
    memory: Option<Memory>,
}

opaque_debug!(LineSource);

enum Input {
    Stdin,
    File(PathBuf),
}

/// What happens at the end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Follow {
    /// The source ends.
    #[default]
    No,
    /// It waits for more to be written, also when the file is cut or replaced by another. Of a named
    /// pipe it waits for the next writer.
    Yes,
}

impl LineSource {
    /// Reads standard input, which one source of the process at a time can do.
    pub fn stdin() -> Self {
        Self::new(Input::Stdin, "standard input".to_owned(), Follow::No)
    }

    /// Reads a file.
    ///
    /// With [`Follow::Yes`] a file that was renamed is read on until nothing was added to it for the
    /// time of [`rotate_wait`](Self::rotate_wait), beside the file that took its place. Files that were
    /// there in between are found beside it by their names (`log.1`, `log-20260131`, `log.old`, a
    /// number or date before the extension), and read in the order in which they were made. Of a file
    /// that was cut, the rest is read from its copy, where there is one (`copytruncate`). Files that were
    /// compressed by gzip are read too. What was compressed in another format or deleted before it was
    /// opened cannot be read: a warning is logged where it can be seen. An error of reading is retryable.
    pub fn file(path: impl Into<PathBuf>, follow: Follow) -> Self {
        let path = path.into();
        let name = path.display().to_string();
        Self::new(Input::File(path), name, follow)
    }

    fn new(input: Input, name: String, follow: Follow) -> Self {
        let log = Log::new(match &input {
            Input::Stdin => PathBuf::new(),
            Input::File(path) => path.clone(),
        });
        LineSource {
            input,
            name,
            format: Format::default(),
            follow,
            rotate_wait: ROTATE_WAIT,
            log,
            is_open: false,
            files: Vec::new(),
            next: 0,
            claim: None,
            buffer: reading::buffer(),
            rest: 0..0,
            rest_of: 0,
            looked: Timestamp::EPOCH,
            memory: None,
        }
    }

    /// The same source with a memory: how far all was delivered is kept in a file of its own, and
    /// the next network reads on from there. So each line is delivered at least once, also when the
    /// process is killed; what was delivered and is not yet in the checkpoint comes again, which is
    /// at most [`in_flight`](Self::in_flight) events.
    ///
    /// A line that failed is emitted again, after 100 ms and then pauses that grow to 10 s, in
    /// the order of the file with others that failed; lines behind it are read meanwhile. It never
    /// is given up: link `errors` of the node that refuses it to a place of its own. A line that is
    /// refused here (no JSON, too long) leaves by `errors` once. A source that doesn't follow ends
    /// when all its lines are delivered.
    ///
    /// With [`Follow::Yes`] files that took the place of each other while no network ran are found
    /// in the directory, as [`file`](Self::file) describes, and read in their order. Of a file that was cut
    /// and not copied, and of one that is gone, the rest cannot be read any more: a line in the log
    /// reports that. Without it such a checkpoint is refused.
    #[must_use]
    pub fn checkpoint(mut self, path: impl Into<PathBuf>) -> Self {
        self.memory = Some(Memory::new(path.into(), IN_FLIGHT));
        self
    }

    /// Of a source with a [checkpoint](Self::checkpoint), how many lines at most are read and not
    /// yet in the checkpoint (65,536 by default): this many may come again after a kill.
    #[must_use]
    pub fn in_flight(mut self, events: usize) -> Self {
        if let Some(memory) = &mut self.memory {
            memory.set_limit(events.max(1));
        }
        self
    }

    /// The same source of bytes in another format.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// How long nothing must have been added to a file that was renamed before it is closed (5 s
    /// by default): so long a writer may still have it open. A last line without its end is a line
    /// then.
    #[must_use]
    pub fn rotate_wait(mut self, time: Duration) -> Self {
        self.rotate_wait = time;
        self
    }

    fn open_input(&mut self) -> Result<()> {
        match &self.input {
            Input::Stdin => {
                if self.memory.is_some() {
                    let text =
                        "standard input cannot be read again, so it cannot have a checkpoint";
                    return Err(Error::data(text));
                }
                if self.claim.is_none() {
                    self.claim = Some(Claim::new()?);
                }
                let copy = io::stdin().as_fd().try_clone_to_owned();
                let file = File::from(copy.map_err(|error| Error::io("standard input", &error))?);
                let reading = Reading::stream(file, self.name.clone(), &self.format);
                self.add(reading.map_err(|error| self.wrong(&error))?)
            }
            Input::File(path) => {
                let path = path.clone();
                let opened = self.open_log(&path);
                if opened.is_err() {
                    // The next attempt starts from nothing.
                    self.files.clear();
                    self.log = Log::new(path);
                }
                opened
            }
        }
    }

    fn wrong(&self, error: &io::Error) -> Error {
        Error::io(quote(&self.name), error).with_kind(ErrorKind::Io)
    }

    /// A disk or a file server that fails may recover; a terminal that is gone does not.
    fn unread(&self, error: &io::Error) -> Error {
        match self.input {
            Input::Stdin => self.wrong(error),
            Input::File(_) => self.wrong(error).retryable(),
        }
    }

    /// Reads one more file, from where it stands.
    fn add(&mut self, mut reading: Reading) -> Result<()> {
        reading.key = self.next;
        self.next += 1;
        if let Some(memory) = &mut self.memory {
            let added = memory.add(&reading);
            added.map_err(|error| self.unread(&error))?;
        }
        self.files.push(reading);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.memory.as_ref().is_some_and(Memory::is_full)
    }
}

impl Node for LineSource {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        let input = match &self.input {
            Input::Stdin => Input::Stdin,
            Input::File(path) => Input::File(path.clone()),
        };
        let empty = Self::new(input, self.name.clone(), self.follow);
        Some(Box::new(std::mem::replace(self, empty)))
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<Self>()?;
        let same_memory = match (&old.memory, &self.memory) {
            (None, None) => true,
            (Some(old), Some(new)) => old.is_in_the_file_of(new),
            _ => false,
        };
        // A followed log may be several files.
        let same_input = old.name == self.name && old.follow == self.follow;
        if !(same_input && same_memory) {
            return Err(old);
        }
        let mut old = old;
        if old.format != self.format && old.read_as(&self.format).is_err() {
            return Err(old);
        }
        if let (Some(old), Some(new)) = (&mut old.memory, &self.memory) {
            old.set_limit(new.limit());
        }
        old.rotate_wait = self.rotate_wait;
        *self = *old;
        Ok(())
    }

    fn claims(&self) -> Vec<crate::claim::Claim> {
        self.memory.iter().map(Memory::claim).collect()
    }

    /// The first open finds the files and their places. One after a retryable error keeps them, and
    /// with them what is in flight.
    fn open(&mut self) -> Result<()> {
        if !self.is_open {
            self.open_input()?;
            self.is_open = true;
        }
        // Whether the checkpoint can be written is better known before anything is read.
        self.memory.as_mut().map_or(Ok(()), Memory::begin)
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        match &mut self.memory {
            Some(memory) => memory.commit(cx.now()),
            None => Ok(()),
        }
    }

    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        if let Some(memory) = &mut self.memory {
            memory.settle(token, outcome, cx.now());
        }
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        let held = if self.is_full() || !self.rest.is_empty() {
            None
        } else {
            self.files
                .iter()
                .filter_map(|file| file.decoder.due())
                .min()
        };
        let wake = self.memory.as_ref().and_then(Memory::wake);
        wake.into_iter().chain(held).min()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if let Some(memory) = &mut self.memory {
            memory.emit_again(cx);
        }
        Ok(())
    }

    fn finish(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if let Some(memory) = &mut self.memory {
            memory.end();
        }
        Ok(())
    }
}

impl Source for LineSource {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        let now = cx.now();
        let follows = self.follow == Follow::Yes && matches!(self.input, Input::File(_));
        if follows && (now < self.looked || now.since(self.looked) >= LOOK) {
            self.looked = now;
            self.look()?;
        }
        if self.is_full() {
            return Ok(ReadStatus::Idle);
        }
        if !self.rest.is_empty() {
            self.take(cx);
            return Ok(ReadStatus::More);
        }
        let mut at = 0;
        let mut waits = false;
        while at < self.files.len() {
            // What the log had before may lie in a copy that was made since the last look: that is first.
            let is_first = follows && at + 1 == self.files.len() && self.files[at].is_unread();
            if is_first && self.look()? {
                return Ok(ReadStatus::More);
            }
            let filled = self.files[at].fill(&mut self.buffer, wait);
            match filled.map_err(|error| self.unread(&error))? {
                Filled::Bytes(bytes) => {
                    let reading = &mut self.files[at];
                    reading.silent_since = None;
                    if let Some(memory) = &mut self.memory {
                        memory.saw(reading, &self.buffer[bytes.clone()]);
                    }
                    (self.rest, self.rest_of) = (bytes, reading.key);
                    self.take(cx);
                    return Ok(ReadStatus::More);
                }
                Filled::Nothing if self.flush(at, cx) => return Ok(ReadStatus::More),
                Filled::Nothing if self.is_over(at, now) => self.close(at, cx),
                Filled::Nothing => {
                    waits |= !self.files[at].is_regular();
                    if let Some(memory) = &mut self.memory {
                        memory.at_end(&self.files[at]);
                    }
                    at += 1;
                }
                Filled::End => return self.end_stream(at, cx),
                Filled::Cut if follows => {
                    self.cut(at, false)?;
                    return Ok(ReadStatus::More);
                }
                Filled::Cut => {
                    log::warn!("{} was cut while it was read", quote(&self.files[at].name));
                    return Ok(self.end(cx));
                }
            }
        }
        match (follows, waits) {
            (true, _) => self.look().map(|changed| {
                if changed {
                    ReadStatus::More
                } else {
                    ReadStatus::Idle
                }
            }),
            (false, true) => Ok(ReadStatus::Idle),
            (false, false) => Ok(self.end(cx)),
        }
    }
}
