//! A source that reads lines: from standard input, or from a file, which it may follow.
//!
//! With a checkpoint each line is tracked. [`ledger`] knows what is under way and how far all is
//! delivered, [`checkpoint`] is the file that says so, [`memory`] brings the two together.

mod checkpoint;
mod claim;
mod decoder;
mod ledger;
mod memory;

use crate::ack::{Outcome, Token};
use crate::error::{Error, ErrorKind, Result, quote};
use crate::event::Event;
use crate::node::{Context, Node, Read, Source};
use crate::payload::check_json;
use crate::time::Timestamp;
use claim::Claim;
use memory::Memory;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek, SeekFrom};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use decoder::{Decoder, Found};

/// How much is read at a time, in bytes.
const CHUNK: usize = 64 << 10;
/// How many lines of a source with a checkpoint are under way at most, unless said.
const IN_FLIGHT: usize = 65_536;

/// Emits each line as an event (JSON lines), without its line end, which is LF or CRLF.
///
/// Blank lines are skipped, and a byte order mark at the beginning is not part of the first line. A
/// line that is not JSON, and one longer than an event may be
/// ([`MAX_EVENT_BYTES`](crate::payload::MAX_EVENT_BYTES) at most), is rejected: it leaves by the port
/// `errors`, with its place as `file:line`. Of a line that is too long the first 4 KiB are kept, with
/// `size` and `xxh3` (the hash of all of it, in hexadecimal) in the meta.
pub struct LineSource {
    input: Input,
    name: String,
    follow: Follow,
    file: Option<File>,
    claim: Option<Claim>,
    chunk: Vec<u8>,
    /// What of the chunk was not looked at yet.
    rest: Range<usize>,
    decoder: Decoder,
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
            decoder: Decoder::default(),
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
        let (now, limit) = (cx.now(), cx.max_event_bytes());
        let chunk = std::mem::take(&mut self.chunk);
        let mut decoder = std::mem::take(&mut self.decoder);
        while !self.rest.is_empty() && !self.is_full() {
            let (taken, found) = decoder.next(&chunk[self.rest.clone()], limit);
            self.rest.start += taken;
            self.offset += taken as u64;
            if let Some(found) = found {
                self.line(found, now, cx);
            }
        }
        (self.chunk, self.decoder) = (chunk, decoder);
    }

    /// The stream has ended: what is held of a line is one.
    fn end_lines(&mut self, cx: &mut Context<'_>) {
        let mut decoder = std::mem::take(&mut self.decoder);
        if let Some(found) = decoder.end(cx.max_event_bytes()) {
            self.line(found, cx.now(), cx);
        }
        self.decoder = decoder;
    }

    fn line(&mut self, found: Found<'_>, now: Timestamp, cx: &mut Context<'_>) {
        self.number += 1;
        let refused = match found {
            Found::Blank => return cx.skip_line(),
            Found::TooLong(whole) => whole.into_event(cx.max_event_bytes(), now),
            Found::Line(line) => {
                let mut event = Event::new(line, now);
                match check_json(line) {
                    Ok(()) => {
                        if let Some(memory) = &mut self.memory {
                            memory.track(&mut event, self.offset, self.number, cx);
                        }
                        return cx.emit(event);
                    }
                    Err(error) => (event, error),
                }
            }
        };
        let (mut event, error) = refused;
        if let Some(memory) = &mut self.memory {
            memory.track_once(&mut event, self.offset, self.number, cx);
        }
        cx.reject(event, error.at(self.place()));
    }

    fn is_full(&self) -> bool {
        self.memory.as_ref().is_some_and(Memory::is_full)
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
        self.end_lines(cx);
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
            self.end_lines(cx);
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
            self.begin_anew(&here);
            return Ok(true);
        }
        Ok(false)
    }

    fn begin_anew(&mut self, meta: &Metadata) {
        self.number = 0;
        self.offset = 0;
        self.decoder.restart();
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
