//! A source that reads lines: from standard input, or from a file, which it may follow.
//!
//! With a checkpoint each line is tracked. [`ledger`] knows what is under way and how far all is
//! delivered, [`checkpoint`] is the file that says so, [`memory`] brings the two together.

mod checkpoint;
mod claim;
mod ledger;
mod line;
mod memory;

use crate::ack::{Outcome, Token};
use crate::error::{Error, ErrorKind, Result, quote};
use crate::event::Event;
use crate::node::{Context, Node, Read, Source};
use crate::payload::{MAX_EVENT_BYTES, check_json};
use crate::time::Timestamp;
use claim::Claim;
use line::Line;
use memory::Memory;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek, SeekFrom};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// How much is read at a time, in bytes.
const CHUNK: usize = 64 << 10;
/// How many lines of a source with a checkpoint are under way at most, unless said.
const IN_FLIGHT: usize = 65_536;

/// Emits each line as an event (JSON lines), without its line end.
///
/// A line that is not JSON, and one longer than [`MAX_EVENT_BYTES`], is rejected: it leaves by the
/// port `errors`, with its place as `file:line`. Of a line that is too long the first 4 KiB are
/// kept, with `size` and `xxh3` (the hash of all of it, in hexadecimal) in the meta.
pub struct LineSource {
    input: Input,
    name: String,
    follow: Follow,
    file: Option<File>,
    claim: Option<Claim>,
    chunk: Vec<u8>,
    /// What of the chunk was not looked at yet.
    rest: Range<usize>,
    line: Line,
    number: u64,
    /// Where in the file that begins which was not looked at yet.
    offset: u64,
    memory: Option<Memory>,
}

enum Input {
    Stdin,
    File(PathBuf),
}

/// What happens at the end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Follow {
    /// The source ends.
    #[default]
    No,
    /// It waits for more to be written, also when the file is cut or replaced by another.
    Yes,
}

impl LineSource {
    /// Reads standard input, which one source of the process at a time can do.
    pub fn stdin() -> Self {
        Self::new(Input::Stdin, "standard input".to_owned(), Follow::No)
    }

    /// Reads a file.
    pub fn file(path: impl Into<PathBuf>, follow: Follow) -> Self {
        let path = path.into();
        let name = path.display().to_string();
        Self::new(Input::File(path), name, follow)
    }

    fn new(input: Input, name: String, follow: Follow) -> Self {
        LineSource {
            input,
            name,
            follow,
            file: None,
            claim: None,
            chunk: vec![0; CHUNK],
            rest: 0..0,
            line: Line::default(),
            number: 0,
            offset: 0,
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
    /// With [`Follow::Yes`] a file that was renamed and made anew while no network ran is looked for
    /// in its directory and read to its end first. Of a file that was cut, and of one that was
    /// replaced and is gone, the rest cannot be read any more: the new content is read from
    /// its beginning, and a line in the log says so. Without it such a checkpoint is refused.
    #[must_use]
    pub fn checkpoint(mut self, path: impl Into<PathBuf>) -> Self {
        self.memory = Some(Memory::new(path.into(), IN_FLIGHT));
        self
    }

    /// Of a source with a [checkpoint](Self::checkpoint), how many lines at most are read and not
    /// yet in the checkpoint (65,536 unless said): so many may come again after a kill.
    #[must_use]
    pub fn in_flight(mut self, events: usize) -> Self {
        if let Some(memory) = &mut self.memory {
            memory.set_limit(events.max(1));
        }
        self
    }

    fn open_file(&self, path: &PathBuf) -> Result<File> {
        let what = || quote(&self.name);
        let file = File::open(path).map_err(|error| Error::io(what(), &error))?;
        let is_dir = file.metadata().is_ok_and(|meta| meta.is_dir());
        match is_dir {
            true => Err(Error::new(
                ErrorKind::NoInput,
                format!("{}: is a directory", what()),
            )),
            false => Ok(file),
        }
    }

    /// Reads a chunk, waiting for it at most so long; `None` when nothing came.
    fn fill(&mut self, wait: Duration) -> io::Result<Option<usize>> {
        let Some(file) = &mut self.file else {
            return Ok(Some(0));
        };
        let mut ready = [PollFd::new(file, PollFlags::IN)];
        let wait = Timespec::try_from(wait).ok();
        match poll(&mut ready, wait.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        loop {
            match file.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Ok(len) => {
                    if let Some(memory) = &mut self.memory {
                        memory.saw(self.offset, &self.chunk[..len]);
                    }
                    self.rest = 0..len;
                    return Ok(Some(len));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Emits the lines that end in the rest of the chunk, as many as may be under way.
    fn take(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        let chunk = std::mem::take(&mut self.chunk);
        let mut rest = &chunk[self.rest.clone()];
        while !self.is_full()
            && let Some(end) = rest.iter().position(|byte| *byte == b'\n')
        {
            self.offset += end as u64 + 1;
            // A line that lies whole in the chunk is not copied together first.
            if self.line.is_empty() && end <= MAX_EVENT_BYTES {
                self.emit(&rest[..end], now, cx);
            } else {
                self.line.add(&rest[..end]);
                self.end_line(now, cx);
            }
            rest = &rest[end + 1..];
        }
        if self.is_full() {
            self.rest.start = self.rest.end - rest.len();
        } else {
            self.offset += rest.len() as u64;
            self.line.add(rest);
            self.rest = 0..0;
        }
        self.chunk = chunk;
    }

    fn is_full(&self) -> bool {
        self.memory.as_ref().is_some_and(Memory::is_full)
    }

    fn end_line(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        let mut line = std::mem::take(&mut self.line);
        if line.bytes.len() > MAX_EVENT_BYTES && line.bytes.last() != Some(&b'\r') {
            line.cut();
        }
        match line.too_long.take() {
            None => self.emit(&line.bytes, now, cx),
            Some((size, hash)) => {
                self.number += 1;
                let mut event = Event::new(line.bytes.as_slice(), now)
                    .with_meta("size", size)
                    .with_meta("xxh3", format!("{:032x}", hash.digest128()));
                let error = format!("payload of {size} bytes > max_event_bytes (1 MiB)");
                self.refuse(&mut event, cx);
                cx.reject(event, Error::data(error).at(self.place()));
            }
        }
        // The allocation serves the next line.
        line.bytes.clear();
        self.line.bytes = line.bytes;
    }

    fn emit(&mut self, line: &[u8], now: Timestamp, cx: &mut Context<'_>) {
        self.number += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut event = Event::new(line, now);
        match check_json(line) {
            Ok(()) => {
                if let Some(memory) = &mut self.memory {
                    memory.track(&mut event, self.offset, self.number, cx);
                }
                cx.emit(event);
            }
            Err(error) => {
                self.refuse(&mut event, cx);
                cx.reject(event, error.at(self.place()));
            }
        }
    }

    fn refuse(&mut self, event: &mut Event, cx: &mut Context<'_>) {
        if let Some(memory) = &mut self.memory {
            memory.track_once(event, self.offset, self.number, cx);
        }
    }

    fn place(&self) -> String {
        format!("{}:{}", self.name, self.number)
    }

    /// The end of the input, for now or for good.
    fn end(&mut self, cx: &mut Context<'_>) -> Result<Read> {
        if let (Follow::Yes, Input::File(path)) = (self.follow, &self.input) {
            let path = path.clone();
            return self.follow(&path, cx).map(|anew| match anew {
                true => Read::More,
                false => Read::Idle,
            });
        }
        if !self.line.is_empty() {
            self.end_line(cx.now(), cx);
        }
        match &mut self.memory {
            // What fails is to be emitted again.
            Some(memory) if !memory.is_empty() => {
                memory.end();
                Ok(Read::Idle)
            }
            _ => Ok(Read::End),
        }
    }

    /// Looks whether the file was cut, or replaced by another: then there is more to read.
    fn follow(&mut self, path: &PathBuf, cx: &mut Context<'_>) -> Result<bool> {
        let wrong = |error: &io::Error| Error::io(quote(path.to_string_lossy()), error);
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        let here = file.metadata().map_err(|error| wrong(&error))?;
        if let Ok(there) = std::fs::metadata(path)
            && (there.ino(), there.dev()) != (here.ino(), here.dev())
        {
            if !self.line.is_empty() {
                self.end_line(cx.now(), cx);
            }
            let file = self.open_file(path)?;
            let meta = file.metadata().map_err(|error| wrong(&error))?;
            self.file = Some(file);
            self.begin_anew(&meta);
            return Ok(true);
        }
        let at = file.stream_position().map_err(|error| wrong(&error))?;
        if here.len() < at {
            log::warn!("{path:?} was cut: it is read from its beginning");
            file.seek(SeekFrom::Start(0))
                .map_err(|error| wrong(&error))?;
            self.line = Line::default();
            self.begin_anew(&here);
            return Ok(true);
        }
        Ok(false)
    }

    fn begin_anew(&mut self, meta: &Metadata) {
        self.number = 0;
        self.offset = 0;
        if let Some(memory) = &mut self.memory {
            memory.turn(meta);
        }
    }
}

impl Node for LineSource {
    fn claims(&self) -> Vec<crate::claim::Claim> {
        self.memory.iter().map(Memory::claim).collect()
    }

    fn open(&mut self) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(match &self.input {
                Input::Stdin => {
                    if self.memory.is_some() {
                        let text = "standard input cannot be read again: it takes no checkpoint";
                        return Err(Error::data(text));
                    }
                    if self.claim.is_none() {
                        self.claim = Some(Claim::new()?);
                    }
                    let copy = io::stdin().as_fd().try_clone_to_owned();
                    File::from(copy.map_err(|error| Error::io("standard input", &error))?)
                }
                Input::File(path) => {
                    let file = self.open_file(path)?;
                    match &mut self.memory {
                        None => file,
                        Some(memory) => {
                            let follows = self.follow == Follow::Yes;
                            let start = memory.begin(path, file, follows)?;
                            (self.offset, self.number) = (start.offset, start.line);
                            start.file
                        }
                    }
                }
            });
        }
        Ok(())
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
        self.memory.as_ref().and_then(Memory::wake)
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
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<Read> {
        if self.is_full() {
            return Ok(Read::Idle);
        }
        if !self.rest.is_empty() {
            self.take(cx);
            return Ok(Read::More);
        }
        match self.fill(wait) {
            Ok(None) => Ok(Read::Idle),
            Ok(Some(0)) => self.end(cx),
            Ok(Some(_)) => {
                self.take(cx);
                Ok(Read::More)
            }
            Err(error) => Err(Error::io(quote(&self.name), &error).with_kind(ErrorKind::Io)),
        }
    }
}
