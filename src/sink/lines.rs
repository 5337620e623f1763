//! A sink that writes lines: to standard output, or to a file.
//!
//! - `file` — the file at a path, opened again when another file is there.
//! - `beginning`, `mend` — what is done to the file before the first line.
//! - `output` — lines go out whole or not at all.
//! - `rotation` — when and how the file is rotated.

mod beginning;
mod file;
mod mend;
mod output;
mod rotation;

use crate::claim::Claim;
use crate::error::Result;
use crate::event::Event;
use crate::format::Encoder;
use crate::node::{Context, Node, Sink};
use file::LineFile;
pub(super) use output::write_out;
use std::path::PathBuf;

pub use rotation::Rotation;

/// Writes the payload of each event as a line (JSON lines, unless it has another [`format`](Self::format)). A payload that spans lines is written as
/// compact JSON, or rejected if it is not JSON.
///
/// A batch is written whole or not at all. While the disk is full, or a limit on the size of files is
/// reached, the sink waits, with backpressure, and an incomplete line is removed.
/// (Where the process does not handle the signal `SIGXFSZ`, such a limit kills it. The command line
/// handles it.)
///
/// An event is delivered when the system has taken its line: it is there when the process is
/// killed, and with [`synced`](Self::synced) also when the power fails. A process that is killed
/// may leave half a line, of an event that was not delivered: the next sink that adds to the file
/// cuts off what begins like a JSON object, array or text and is none, and ends whatever else has no
/// line end.
///
/// If the file is removed, renamed or replaced, the next batch is written to the file that is at the
/// path then, which is created if it is missing.
pub struct LineSink {
    target: Target,
    encoder: Encoder,
    buffer: Vec<u8>,
}

opaque_debug!(LineSink);

enum Target {
    Stdout {
        /// Something was written to it.
        is_begun: bool,
    },
    File(LineFile),
}

impl LineSink {
    /// Writes to standard output. When its reader is gone, the network stops.
    pub fn stdout() -> Self {
        LineSink {
            target: Target::Stdout { is_begun: false },
            encoder: Encoder::default(),
            buffer: Vec::new(),
        }
    }

    /// Writes to a file, which is created if it is missing. `append` adds lines to an existing file;
    /// otherwise the file is emptied before the first line is written, or at the end if there is none.
    pub fn file(path: impl Into<PathBuf>, append: bool) -> Self {
        LineSink {
            target: Target::File(LineFile::new(path.into(), append)),
            encoder: Encoder::default(),
            buffer: Vec::new(),
        }
    }

    /// The same sink of bytes in another format. A CSV file that is empty begins with a header.
    #[must_use]
    pub fn format(mut self, format: Encoder) -> Self {
        if let Target::File(file) = &mut self.target {
            file.is_json = format.is_json();
        }
        self.encoder = format;
        self
    }

    /// The same sink, which has each batch written through to the disk before it counts as
    /// delivered: then nothing is lost either when the machine loses its power. Standard output
    /// stays as it is.
    #[must_use]
    pub fn synced(mut self) -> Self {
        if let Target::File(file) = &mut self.target {
            file.synced = true;
        }
        self
    }

    /// The same sink, which sets the file aside when it has had enough. No other sink may write the
    /// same file: it is [claimed](crate::Node::claims). Where setting aside fails, a line in the log
    /// reports it and the file is written on.
    #[must_use]
    pub fn rotated(mut self, how: Rotation) -> Self {
        if let Target::File(file) = &mut self.target {
            file.rotation = Some(how);
        }
        self
    }
}

impl Node for LineSink {
    fn claims(&self) -> Vec<Claim> {
        match &self.target {
            Target::File(file) => file.claim().into_iter().collect(),
            Target::Stdout { .. } => Vec::new(),
        }
    }

    fn open(&mut self) -> Result<()> {
        match &mut self.target {
            Target::File(file) => {
                file.open()?;
                if file.appends() {
                    file.check_header(&self.encoder.header())?;
                }
                Ok(())
            }
            Target::Stdout { .. } => Ok(()),
        }
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        match &mut self.target {
            Target::Stdout { is_begun } => {
                if !*is_begun {
                    self.buffer.splice(..0, self.encoder.header());
                }
                write_out(&mut self.buffer)?;
                *is_begun = true;
                Ok(())
            }
            Target::File(file) => {
                let written = file.write(&self.encoder.header(), &self.buffer, cx.now());
                self.buffer.clear();
                written
            }
        }
    }

    fn rollback(&mut self) {
        self.buffer.clear();
    }

    fn finish(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        match &mut self.target {
            Target::File(file) => file.finish(),
            Target::Stdout { .. } => Ok(()),
        }
    }
}

impl Sink for LineSink {
    fn write(&mut self, event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        self.encoder.encode_line(event, &mut self.buffer)
    }
}
