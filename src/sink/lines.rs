//! A sink that writes lines: to standard output, or to a file.

mod rotation;

use crate::claim::Claim;
use crate::error::{Error, ErrorKind, Result, quote, quote_bytes};
use crate::event::Event;
use crate::node::{Context, Node, Sink};
use crate::payload::{MAX_EVENT_BYTES, check_json};
use crate::time::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

pub use rotation::Rotation;

/// Writes the payload of each event as a line (JSON lines). When it cannot write, because a disk is
/// full, say, the network stops: what came would be lost, one event like the other.
/// A payload that spans lines is written as compact JSON, or rejected where it is no JSON.
///
/// An event is delivered when the system has taken its line: it is there when the process is
/// killed, and with [`synced`](Self::synced) also when the power fails. A process that is killed
/// may leave half a line, of an event that was not delivered: the next sink that adds to the file
/// cuts off what begins like a JSON object, array or text and is none, and ends whatever else has no
/// line end.
pub struct LineSink {
    target: Target,
    buffer: Vec<u8>,
}

enum Target {
    Stdout,
    File {
        path: PathBuf,
        append: bool,
        synced: bool,
        rotation: Option<Rotation>,
        /// How many bytes it has, and when it was written last: asked where it is rotated.
        len: u64,
        last: Timestamp,
        file: Option<File>,
    },
}

impl LineSink {
    /// Writes to standard output. When nobody reads it any more, the network stops.
    pub fn stdout() -> Self {
        LineSink {
            target: Target::Stdout,
            buffer: Vec::new(),
        }
    }

    /// Writes to a file, which is created where it is not there. `append` adds to what is there;
    /// otherwise it is overwritten when the network starts.
    pub fn file(path: impl Into<PathBuf>, append: bool) -> Self {
        let target = Target::File {
            path: path.into(),
            append,
            synced: false,
            rotation: None,
            len: 0,
            last: Timestamp::from_secs(0),
            file: None,
        };
        LineSink {
            target,
            buffer: Vec::new(),
        }
    }
}

impl LineSink {
    /// The same sink, which has each batch written through to the disk before it counts as
    /// delivered: then nothing is lost either when the machine loses its power. Standard output
    /// stays as it is.
    #[must_use]
    pub fn synced(mut self) -> Self {
        if let Target::File { synced, .. } = &mut self.target {
            *synced = true;
        }
        self
    }
}

impl LineSink {
    /// The same sink, which sets the file aside when it has had enough. No other sink may write the
    /// same file. Where that fails, a line in the log says so and the file is written on.
    #[must_use]
    pub fn rotated(mut self, how: Rotation) -> Self {
        if let Target::File { rotation, .. } = &mut self.target {
            *rotation = Some(how);
        }
        self
    }

    /// Sets the file aside, where that is due.
    fn rotate(&mut self, now: Timestamp) -> Result<()> {
        let Target::File {
            path,
            rotation: Some(rotation),
            len,
            last,
            file,
            ..
        } = &mut self.target
        else {
            return Ok(());
        };
        if rotation.is_due(*len, self.buffer.len(), *last, now) {
            if let Err(error) = rotation.set_aside(path, now) {
                log::warn!(
                    "{}: it cannot be set aside: {error}",
                    quote(path.to_string_lossy())
                );
            }
            let opened = OpenOptions::new().create(true).append(true).open(&*path);
            let opened = opened.map_err(|error| cannot_create(path, &error).fatal())?;
            *len = opened.metadata().map_or(0, |meta| meta.len());
            *file = Some(opened);
        }
        *len += self.buffer.len() as u64;
        *last = now;
        Ok(())
    }
}

impl Node for LineSink {
    fn claims(&self) -> Vec<Claim> {
        match &self.target {
            Target::File {
                path,
                rotation: Some(_),
                ..
            } => vec![Claim::new("file", path)],
            _ => Vec::new(),
        }
    }

    fn open(&mut self) -> Result<()> {
        if let Target::File {
            path,
            append,
            rotation,
            len,
            last,
            file,
            ..
        } = &mut self.target
        {
            // Appending also where it overwrites: another sink may write the same file.
            let opened = OpenOptions::new().create(true).append(true).open(&*path);
            let mut opened = opened.map_err(|error| cannot_create(path, &error))?;
            // Only the first opening overwrites: a later one goes on.
            if file.is_none() && opened.metadata().is_ok_and(|meta| meta.is_file()) {
                let begun = match append {
                    true => mend(path, &mut opened),
                    false => opened.set_len(0),
                };
                begun.map_err(|error| cannot_create(path, &error))?;
            }
            if rotation.is_some()
                && let Ok(meta) = opened.metadata()
            {
                *len = meta.len();
                let written = meta
                    .modified()
                    .ok()
                    .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                *last = Timestamp::from_secs(0).after(written.unwrap_or_default());
            }
            *file = Some(opened);
        }
        Ok(())
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.rotate(cx.now())?;
        match &mut self.target {
            Target::Stdout => write_out(&mut self.buffer),
            Target::File {
                path,
                synced,
                file: Some(file),
                ..
            } => {
                let written = file.write_all(&self.buffer).and_then(|()| match synced {
                    true => file.sync_data(),
                    false => Ok(()),
                });
                self.buffer.clear();
                written.map_err(|error| Error::io(quote(path.to_string_lossy()), &error).fatal())
            }
            Target::File { .. } => Err(Error::new(ErrorKind::Failed, "the file is not open")),
        }
    }

    fn rollback(&mut self) {
        self.buffer.clear();
    }
}

impl Sink for LineSink {
    fn write(&mut self, event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        let bytes = event.payload().bytes();
        if bytes.contains(&b'\n') {
            let json = event.payload().json().map_err(|_| {
                Error::data("a payload that spans lines and is no JSON does not fit a line")
            })?;
            self.buffer.extend(json.to_string().as_bytes());
        } else {
            self.buffer.extend(bytes);
        }
        self.buffer.push(b'\n');
        Ok(())
    }
}

/// Has the file end with a whole line.
fn mend(path: &Path, file: &mut File) -> io::Result<()> {
    const MOST: u64 = MAX_EVENT_BYTES as u64 + 2;
    let len = file.metadata()?.len();
    let from = len.saturating_sub(MOST);
    // What was opened for appending cannot be read.
    let mut end = Vec::new();
    let mut reader = match File::open(path) {
        Ok(reader) => reader,
        // It may be written and not be read.
        Err(_) => return Ok(()),
    };
    reader.seek(SeekFrom::Start(from))?;
    reader.take(len - from).read_to_end(&mut end)?;
    let begins = match end.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => at + 1,
        None => 0,
    };
    let line = &end[begins..];
    if line.is_empty() {
        return Ok(());
    }
    let whole = begins > 0 || from == 0;
    if whole && matches!(line[0], b'{' | b'[' | b'"') && check_json(line).is_err() {
        log::warn!(
            "{}: half a line at its end is cut off: {}",
            quote(path.to_string_lossy()),
            quote_bytes(line)
        );
        return file.set_len(from + begins as u64);
    }
    file.write_all(b"\n")
}

fn cannot_create(path: &Path, error: &io::Error) -> Error {
    let error = Error::io(
        format!("cannot create {}", quote(path.to_string_lossy())),
        error,
    );
    match error.kind() {
        ErrorKind::NoInput | ErrorKind::Io => error.with_kind(ErrorKind::CannotCreate),
        _ => error,
    }
}

/// Writes the buffer to standard output and empties it. A reader that has gone ends the network.
pub(super) fn write_out(buffer: &mut Vec<u8>) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(buffer).and_then(|()| stdout.flush());
    buffer.clear();
    written.map_err(|error| match is_closed(&error) {
        true => Error::new(ErrorKind::Closed, "nobody reads standard output any more").fatal(),
        false => Error::io("standard output", &error).fatal(),
    })
}

/// Whether this error of standard output is a pipe without a reader, or a terminal that was closed.
fn is_closed(error: &io::Error) -> bool {
    let is_device = || {
        let stat = rustix::fs::fstat(rustix::stdio::stdout());
        let kind = stat.map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode));
        kind == Ok(rustix::fs::FileType::CharacterDevice)
    };
    error.kind() == io::ErrorKind::BrokenPipe
        || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) && is_device()
}
