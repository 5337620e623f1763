//! One stream of bytes that is read: a file, a named pipe, standard input.
//!
//! The end of what was read of a file is kept, and read again with what follows it: a file that was
//! cut, and has grown beyond that place, does not go on with the same bytes.

use super::packed::{self, Packed, Unpacked};
use super::siblings::Id;
use crate::error::quote;
use crate::format::{Decoder, Format};
use crate::payload::MAX_EVENT_BYTES;
use crate::time::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::PathBuf;
use std::time::Duration;

/// How much is read at a time, in bytes.
const CHUNK: usize = 64 << 10;
/// How much of the beginning may be a header, in bytes.
const HEADER: u64 = MAX_EVENT_BYTES as u64 + 2;
/// How much of the end of what was read is kept, in bytes.
pub(super) const TAIL: usize = 1 << 10;

/// What there was to read.
pub(super) enum Filled {
    /// These bytes of the buffer.
    Bytes(Range<usize>),
    /// Nothing for now.
    Nothing,
    /// The end of a stream.
    End,
    /// The file no longer has what was read of it.
    Cut,
}

/// The buffer into which all of them are read, one after the other.
pub(super) fn buffer() -> Vec<u8> {
    vec![0; TAIL + CHUNK]
}

/// A stream that is read.
pub(super) struct Reading {
    pub file: File,
    pub id: Id,
    /// Where the file was when it was opened.
    pub path: PathBuf,
    /// How messages name it.
    pub name: String,
    /// The key of the file in the memory of the source.
    pub key: u64,
    pub decoder: Decoder,
    /// How many lines were taken from it.
    pub lines: u64,
    /// Where the event begins that is taken next.
    pub offset: u64,
    /// The log is another file by now.
    pub replaced: bool,
    /// Since when nothing was added to it.
    pub silent_since: Option<Timestamp>,
    is_regular: bool,
    is_pipe: bool,
    /// The content, where the file is compressed.
    packed: Option<Packed>,
    /// Up to where it was read, and the bytes before that.
    at: u64,
    tail: Vec<u8>,
}

impl Reading {
    pub fn new(file: File, path: PathBuf, name: String, format: &Format) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Reading {
            id: Id::of(&meta),
            is_regular: meta.is_file(),
            is_pipe: meta.file_type().is_fifo(),
            packed: None,
            file,
            path,
            name,
            key: 0,
            decoder: Decoder::new(format),
            lines: 0,
            offset: 0,
            replaced: false,
            silent_since: None,
            at: 0,
            tail: Vec::new(),
        })
    }

    /// A stream that is read from where it stands, whatever it is.
    pub fn stream(file: File, name: String, format: &Format) -> io::Result<Self> {
        let reading = Self::new(file, PathBuf::new(), name, format)?;
        Ok(Reading {
            is_regular: false,
            ..reading
        })
    }

    /// The content of a compressed file, to which nothing is added any more.
    pub fn packed(file: File, path: PathBuf, name: String, format: &Format) -> io::Result<Self> {
        let packed = Packed::open(&file)?;
        let reading = Self::new(file, path, name, format)?;
        Ok(Reading {
            packed: Some(packed),
            is_regular: false,
            replaced: true,
            ..reading
        })
    }

    /// What follows is read in a copy of the file, which may be compressed.
    pub fn read_copy(&mut self, file: File, id: Id, path: PathBuf) -> io::Result<()> {
        if packed::is_packed(&path, &file) {
            let mut packed = Packed::open(&file)?;
            packed.skip(self.at)?;
            (self.packed, self.is_regular) = (Some(packed), false);
        }
        self.name = path.to_string_lossy().into_owned();
        (self.file, self.id, self.path) = (file, id, path);
        (self.replaced, self.silent_since) = (true, None);
        Ok(())
    }

    pub fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Whether it is compressed, and its end is missing.
    pub fn is_cut(&self) -> bool {
        self.packed.as_ref().is_some_and(Packed::is_cut)
    }

    /// The first bytes of its content, at most so many.
    pub fn begin(&self, len: u64) -> io::Result<Vec<u8>> {
        packed::range(&self.file, self.is_packed(), 0, len)
    }

    pub fn is_regular(&self) -> bool {
        self.is_regular
    }

    pub fn is_pipe(&self) -> bool {
        self.is_pipe
    }

    /// Whether it is what the log is now, and nothing of it was read.
    pub fn is_unread(&self) -> bool {
        self.at == 0 && self.is_regular && !self.replaced
    }

    /// Up to where it was read.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The last bytes before that.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Goes on at this place, before which there are so many lines.
    pub fn go_to(&mut self, offset: u64, lines: u64) -> io::Result<()> {
        let from = offset.saturating_sub(TAIL as u64);
        let tail = match &mut self.packed {
            Some(packed) => packed.range(from, offset)?,
            None => packed::range(&self.file, false, from, offset)?,
        };
        if tail.len() as u64 != offset - from {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.tail, self.at) = (tail, offset);
        (self.offset, self.lines) = (offset, lines);
        if offset > 0 && self.decoder.go_on() {
            // What the beginning determines of all that follows, such as a header.
            let begin = self.begin(offset.min(HEADER))?;
            self.decoder.head(&begin, MAX_EVENT_BYTES, Timestamp::EPOCH);
        }
        Ok(())
    }

    /// Whether another file has all that was read of this one.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn is_begin_of(&self, file: &File, packed: bool) -> io::Result<bool> {
        let from = self.at - self.tail.len() as u64;
        let tail = packed::whole_range(file, packed, from, self.at)?;
        Ok(self.at > 0 && tail.is_some_and(|tail| tail == self.tail))
    }

    /// Whether the file still has what was read of it.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn is_still_there(&self) -> io::Result<bool> {
        Ok(self.at == 0 || self.is_begin_of(&self.file, false)?)
    }

    /// Reads on, and waits for it at most so long where that can be waited for.
    pub fn fill(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<Filled> {
        match (&self.packed, self.is_regular) {
            (Some(_), _) => self.fill_from_packed(buffer),
            (None, true) => self.fill_from_file(buffer),
            (None, false) => self.fill_from_stream(buffer, wait),
        }
    }

    fn fill_from_packed(&mut self, buffer: &mut [u8]) -> io::Result<Filled> {
        let Some(packed) = &mut self.packed else {
            return Ok(Filled::End);
        };
        match packed.read(&mut buffer[TAIL..]) {
            Ok(Unpacked::Bytes(len)) => {
                let bytes = TAIL..TAIL + len;
                self.at += len as u64;
                self.tail.extend(&buffer[bytes.clone()]);
                let surplus = self.tail.len().saturating_sub(TAIL);
                self.tail.drain(..surplus);
                Ok(Filled::Bytes(bytes))
            }
            Ok(Unpacked::Nothing) => Ok(Filled::Nothing),
            Ok(Unpacked::End) => Ok(Filled::End),
            Err(error) if packed::is_damage(&error) => {
                let name = quote(&self.name);
                log::warn!(
                    "{name} is damaged: what it had behind byte {} is lost: {error}",
                    self.at
                );
                Ok(Filled::End)
            }
            Err(error) => Err(error),
        }
    }

    fn fill_from_file(&mut self, buffer: &mut [u8]) -> io::Result<Filled> {
        let kept = self.tail.len();
        let begin = TAIL - kept;
        let mut end = begin;
        while end <= TAIL {
            let at = self.at - kept as u64 + (end - begin) as u64;
            match self.file.read_at(&mut buffer[end..], at) {
                Ok(0) => break,
                Ok(len) => end += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if end < TAIL || buffer[begin..TAIL] != self.tail {
            return Ok(Filled::Cut);
        }
        if end == TAIL {
            return Ok(Filled::Nothing);
        }
        self.at += (end - TAIL) as u64;
        let from = begin.max(end.saturating_sub(TAIL));
        self.tail.clear();
        self.tail.extend(&buffer[from..end]);
        Ok(Filled::Bytes(TAIL..end))
    }

    fn fill_from_stream(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<Filled> {
        let wait = Timespec::try_from(wait).ok();
        match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], wait.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Filled::Nothing),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match self.file.read(&mut buffer[TAIL..]) {
            Ok(0) => Ok(Filled::End),
            Ok(len) => {
                self.at += len as u64;
                Ok(Filled::Bytes(TAIL..TAIL + len))
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => Ok(Filled::Nothing),
                _ => Err(error),
            },
        }
    }
}
