//! A sink that writes lines: to standard output, or to a file.

use crate::error::{Error, ErrorKind, Result, quote};
use crate::event::Event;
use crate::node::{Context, Node, Sink};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

/// Writes the payload of each event as a line (JSON lines). When it cannot write, because a disk is
/// full, say, the network stops: what came would be lost, one event like the other.
/// A payload that spans lines is written
/// as compact JSON, or rejected where it is no JSON.
pub struct LineSink {
    target: Target,
    buffer: Vec<u8>,
}

enum Target {
    Stdout,
    File {
        path: PathBuf,
        append: bool,
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
            file: None,
        };
        LineSink {
            target,
            buffer: Vec::new(),
        }
    }
}

impl Node for LineSink {
    fn open(&mut self) -> Result<()> {
        if let Target::File { path, append, file } = &mut self.target {
            // Appending also where it overwrites: another sink may write the same file.
            let opened = OpenOptions::new().create(true).append(true).open(&*path);
            let opened = opened.map_err(|error| cannot_create(path, &error))?;
            // Only the first opening overwrites: a later one goes on.
            if !*append && file.is_none() && opened.metadata().is_ok_and(|meta| meta.is_file()) {
                let cut = opened.set_len(0);
                cut.map_err(|error| cannot_create(path, &error))?;
            }
            *file = Some(opened);
        }
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        match &mut self.target {
            Target::Stdout => write_out(&mut self.buffer),
            Target::File {
                path,
                file: Some(file),
                ..
            } => {
                let written = file.write_all(&self.buffer);
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

fn cannot_create(path: &std::path::Path, error: &std::io::Error) -> Error {
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
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => {
            Error::new(ErrorKind::Closed, "nobody reads standard output any more").fatal()
        }
        _ => Error::io("standard output", &error).fatal(),
    })
}
