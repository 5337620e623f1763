//! A source that reads lines: from standard input, or from a file, which it may follow.

use crate::error::{Error, ErrorKind, Result, quote};
use crate::event::Event;
use crate::node::{Context, Node, Read, Source};
use crate::payload::{MAX_EVENT_BYTES, check_json};
use crate::time::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// How much is read at a time, in bytes.
const CHUNK: usize = 64 << 10;
/// How much of a line that is too long is kept, in bytes.
const HEAD: usize = 4 << 10;

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
    line: Line,
    number: u64,
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
            line: Line::default(),
            number: 0,
        }
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
                read => return read.map(Some),
            }
        }
    }

    fn take(&mut self, len: usize, cx: &mut Context<'_>) {
        let now = cx.now();
        let chunk = std::mem::take(&mut self.chunk);
        let mut rest = &chunk[..len];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            // A line that lies whole in the chunk is not copied together first.
            if self.line.is_empty() && end <= MAX_EVENT_BYTES {
                self.emit(&rest[..end], now, cx);
            } else {
                self.line.add(&rest[..end]);
                self.end_line(now, cx);
            }
            rest = &rest[end + 1..];
        }
        self.line.add(rest);
        self.chunk = chunk;
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
                let event = Event::new(line.bytes.as_slice(), now)
                    .with_meta("size", size)
                    .with_meta("xxh3", format!("{:032x}", hash.digest128()));
                let error = format!("payload of {size} bytes > max_event_bytes (1 MiB)");
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
        let event = Event::new(line, now);
        match check_json(line) {
            Ok(()) => cx.emit(event),
            Err(error) => cx.reject(event, error.at(self.place())),
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
        Ok(Read::End)
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
            self.file = Some(self.open_file(path)?);
            self.number = 0;
            return Ok(true);
        }
        let at = file.stream_position().map_err(|error| wrong(&error))?;
        if here.len() < at {
            log::warn!("{path:?} was cut: it is read from its beginning");
            file.seek(SeekFrom::Start(0))
                .map_err(|error| wrong(&error))?;
            self.line = Line::default();
            self.number = 0;
            return Ok(true);
        }
        Ok(false)
    }
}

impl Node for LineSource {
    fn open(&mut self) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(match &self.input {
                Input::Stdin => {
                    if self.claim.is_none() {
                        self.claim = Some(Claim::new()?);
                    }
                    let copy = io::stdin().as_fd().try_clone_to_owned();
                    File::from(copy.map_err(|error| Error::io("standard input", &error))?)
                }
                Input::File(path) => self.open_file(path)?,
            });
        }
        Ok(())
    }
}

impl Source for LineSource {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<Read> {
        match self.fill(wait) {
            Ok(None) => Ok(Read::Idle),
            Ok(Some(0)) => self.end(cx),
            Ok(Some(len)) => {
                self.take(len, cx);
                Ok(Read::More)
            }
            Err(error) => Err(Error::io(quote(&self.name), &error).with_kind(ErrorKind::Io)),
        }
    }
}

/// Whether a source reads standard input: two would share out its lines at random.
static CLAIMED: AtomicBool = AtomicBool::new(false);

/// The right to read standard input, for as long as this lives.
struct Claim(());

impl Claim {
    fn new() -> Result<Self> {
        match CLAIMED.swap(true, Ordering::SeqCst) {
            false => Ok(Claim(())),
            true => Err(Error::data(
                "standard input is read by another node already",
            )),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.store(false, Ordering::SeqCst);
    }
}

/// A line that has not ended yet.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    /// Of a line that is too long: its size and hash so far.
    too_long: Option<(usize, Box<Xxh3>)>,
    /// A carriage return came last of such a line, and belongs to it if more follows.
    held: bool,
}

impl Line {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.too_long.is_none()
    }

    fn add(&mut self, part: &[u8]) {
        if self.too_long.is_some() {
            return self.count(part);
        }
        self.bytes.extend(part);
        // The greatest line may have a carriage return behind it.
        if self.bytes.len() > MAX_EVENT_BYTES + 1 {
            self.cut();
        }
    }

    /// From here on only the head of the line is kept.
    fn cut(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.too_long = Some((0, Box::new(Xxh3::new())));
        self.count(&bytes);
        self.bytes.extend(&bytes[..HEAD]);
    }

    fn count(&mut self, part: &[u8]) {
        let Some((size, hash)) = &mut self.too_long else {
            return;
        };
        if self.held && !part.is_empty() {
            *size += 1;
            hash.update(b"\r");
            self.held = false;
        }
        let rest = part.strip_suffix(b"\r").unwrap_or(part);
        self.held |= rest.len() < part.len();
        *size += rest.len();
        hash.update(rest);
    }
}
