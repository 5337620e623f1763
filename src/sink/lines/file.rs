//! The file of a sink of lines.

use super::beginning::{Beginning, Id};
use super::mend::mend;
use super::output::{Failed, failed, write_whole};
use super::rotation::Rotation;
use crate::claim::Claim;
use crate::error::{Error, ErrorKind, Result, quote, quote_bytes};
use crate::payload::MAX_EVENT_BYTES;
use crate::time::Timestamp;
use std::borrow::Cow;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

pub(super) struct LineFile {
    pub path: PathBuf,
    append: bool,
    /// Whether its lines are JSON.
    pub is_json: bool,
    pub synced: bool,
    pub rotation: Option<Rotation>,
    open: Option<Open>,
    /// Until the first line is written.
    beginning: Option<Beginning>,
    /// Whether it ends with a part of a line.
    torn: bool,
    /// How many bytes it has, and when it was written last: asked where it is rotated.
    len: u64,
    last: Timestamp,
    /// Whether the first line is known to be the header.
    header_checked: bool,
}

struct Open {
    file: File,
    /// The identity of the file; none if it is not a regular file.
    id: Option<Id>,
}

impl LineFile {
    pub fn new(path: PathBuf, append: bool) -> Self {
        LineFile {
            path,
            append,
            is_json: true,
            synced: false,
            rotation: None,
            open: None,
            beginning: None,
            torn: false,
            len: 0,
            last: Timestamp::EPOCH,
            header_checked: false,
        }
    }

    /// One that is renamed must have no other writer.
    pub fn claim(&self) -> Option<Claim> {
        let rotated = self.rotation.is_some();
        rotated.then(|| Claim::new("file", &self.path))
    }

    /// Opens it, which changes nothing in it.
    ///
    /// # Errors
    /// A file that cannot be made or written.
    pub fn open(&mut self) -> Result<()> {
        let is_first = self.open.is_none();
        let opened = self.opened().map_err(|error| {
            if is_first {
                error
            } else {
                // Its directory was there, and may come back.
                error.retryable()
            }
        });
        let (open, meta) = opened?;
        if let (true, Some(id)) = (is_first, open.id) {
            self.beginning = Some(Beginning::join(id, self.append));
        }
        if let (true, Some(rotation)) = (is_first, &self.rotation) {
            rotation.tidy(&self.path);
        }
        self.len = meta.len();
        self.header_checked = false;
        let written = meta.modified().ok();
        let written = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        self.last = Timestamp::EPOCH.saturating_add(written.unwrap_or_default());
        self.open = Some(open);
        Ok(())
    }

    fn opened(&self) -> Result<(Open, Metadata)> {
        let open = || {
            // Appending also where it overwrites: another sink may write the same file.
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path)?;
            let meta = file.metadata()?;
            let id = meta.is_file().then(|| id(&meta));
            Ok((Open { file, id }, meta))
        };
        open().map_err(|error| self.cannot_create(&error))
    }

    fn cannot_create(&self, error: &io::Error) -> Error {
        let path = quote(self.path.to_string_lossy());
        let error = Error::io(format!("cannot create {path}"), error);
        match error.kind() {
            ErrorKind::NoInput | ErrorKind::Io => error.with_kind(ErrorKind::CannotCreate),
            _ => error,
        }
    }

    /// Whether what is there already begins with this header.
    ///
    /// # Errors
    /// A file with another first line; one that cannot be read.
    pub fn check_header(&mut self, header: &[u8]) -> Result<()> {
        if header.is_empty() || self.len == 0 || self.header_checked {
            return Ok(());
        }
        let path = || quote(self.path.to_string_lossy());
        let read = || {
            let mut first = Vec::new();
            let file = BufReader::new(File::open(&self.path)?);
            file.take(MAX_EVENT_BYTES as u64)
                .read_until(b'\n', &mut first)?;
            Ok(first)
        };
        let first = read().map_err(|error| Error::io(format!("cannot read {}", path()), &error))?;
        if first.trim_ascii_end() != header.trim_ascii_end() {
            let (is, new) = (
                quote_bytes(first.trim_ascii_end()),
                quote_bytes(header.trim_ascii_end()),
            );
            let error = format!("{} begins with {is}, not with the header {new}", path());
            return Err(Error::data(error)
                .with_hint("give the columns of the file, or write to another file"));
        }
        self.header_checked = true;
        Ok(())
    }

    /// Whether lines are added to what is there already.
    pub fn appends(&self) -> bool {
        self.append
    }

    /// Adds whole lines; a file that has none yet gets the header first.
    ///
    /// # Errors
    /// Errors of the system, and a file with another header: then none of the lines is in the file.
    pub fn write(&mut self, header: &[u8], lines: &[u8], now: Timestamp) -> Result<()> {
        self.follow()?;
        self.begin()?;
        self.rotate(lines.len(), now)?;
        self.check_header(header)?;
        let Some(Open { file, .. }) = &self.open else {
            return Err(closed());
        };
        let lines = if header.is_empty() || self.len > 0 {
            Cow::Borrowed(lines)
        } else {
            self.header_checked = true;
            Cow::Owned([header, lines].concat())
        };
        let whole = if self.torn {
            write_whole(file, b"\n")
        } else {
            Ok(())
        };
        let written = whole.and_then(|()| {
            self.torn = false;
            write_whole(file, &lines)?;
            if self.synced {
                file.sync_data().map_err(|e| failed(file, lines.len(), e))
            } else {
                Ok(())
            }
        });
        written.map_err(|failed: Failed| {
            self.torn |= failed.torn;
            failed.of_file(&self.path)
        })?;
        self.len += lines.len() as u64;
        self.last = now;
        Ok(())
    }

    /// Empties it where that is to be done, or ends its last line; only before the first line.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn begin(&mut self) -> Result<()> {
        let (Some(beginning), Some(Open { file, .. })) = (&self.beginning, &self.open) else {
            return Ok(());
        };
        let begun = beginning.begin(|overwrite| {
            if overwrite {
                file.set_len(0)
            } else {
                mend(&self.path, file, self.is_json)
            }
        });
        let len = begun.and_then(|()| file.metadata()).map(|meta| meta.len());
        self.len = len.map_err(|error| Failed { error, torn: false }.of_file(&self.path))?;
        self.beginning = None;
        Ok(())
    }

    /// Nothing more comes: where it overwrites and nothing came, the file is empty now.
    ///
    /// # Errors
    /// Those of [`begin`](Self::begin).
    pub fn finish(&mut self) -> Result<()> {
        if self.append { Ok(()) } else { self.begin() }
    }

    /// Opens the file at the path again, if it was removed, renamed or replaced.
    fn follow(&mut self) -> Result<()> {
        let Some(Open {
            file,
            id: Some(ours),
        }) = &self.open
        else {
            return Ok(());
        };
        match std::fs::metadata(&self.path) {
            Ok(there) if id(&there) == *ours => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Ok(()),
            _ => {}
        }
        let path = quote(self.path.to_string_lossy());
        let (open, meta) = self.opened().map_err(Error::retryable)?;
        if file.metadata().is_ok_and(|meta| meta.nlink() == 0) {
            log::warn!("{path} was removed: it is created again")
        } else {
            log::info!("{path} was renamed or replaced: writing continues in the file at this path")
        }
        self.len = meta.len();
        self.torn = false;
        self.open = Some(open);
        Ok(())
    }

    /// Sets the file aside, where that is due.
    fn rotate(&mut self, more: usize, now: Timestamp) -> Result<()> {
        let Some(rotation) = &self.rotation else {
            return Ok(());
        };
        if !rotation.is_due(self.len, more, self.last, now) {
            return Ok(());
        }
        if let Err(error) = rotation.set_aside(&self.path, now) {
            let path = quote(self.path.to_string_lossy());
            log::warn!("{path}: cannot rotate the file: {error}");
        }
        let (open, meta) = self.opened().map_err(|error| {
            if error.is_retryable() {
                error
            } else {
                error.fatal()
            }
        })?;
        self.len = meta.len();
        self.torn = false;
        self.open = Some(open);
        Ok(())
    }
}

fn id(meta: &Metadata) -> Id {
    (meta.dev(), meta.ino())
}

fn closed() -> Error {
    Error::new(ErrorKind::Failed, "the file is not open").retryable()
}
