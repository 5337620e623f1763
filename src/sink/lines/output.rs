//! Lines go out whole or not at all.

use crate::error::{Error, ErrorKind, Result, quote};
use rustix::fs::{FileType, SeekFrom, fstat, ftruncate, seek};
use rustix::io::Errno;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::Path;

/// The error of the system, and what is left to write.
pub(super) struct Failed {
    pub error: io::Error,
    /// Whether the file ends with a part of a line that could not be taken back.
    pub torn: bool,
}

impl Failed {
    /// As the error of a file. What a disk refuses now, it may take later: its files can be removed, its
    /// limits raised.
    pub fn of_file(&self, path: &Path) -> Error {
        let error = Error::io(quote(path.to_string_lossy()), &self.error);
        let number = self.error.raw_os_error().map(Errno::from_raw_os_error);
        if error.is_retryable() || matches!(number, Some(Errno::IO | Errno::STALE)) {
            error.retryable()
        } else {
            error.fatal()
        }
    }
}

/// Writes all of the bytes, or none: bytes that were written before the disk was full are removed.
pub(super) fn write_whole(file: impl AsFd, bytes: &[u8]) -> Result<(), Failed> {
    let mut written = 0;
    while written < bytes.len() {
        match rustix::io::write(&file, &bytes[written..]) {
            Ok(0) => return Err(failed(&file, written, io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed(&file, written, error.into())),
        }
    }
    Ok(())
}

/// So many bytes were written last, and are not to stay.
pub(super) fn failed(file: impl AsFd, written: usize, error: io::Error) -> Failed {
    let torn = written > 0 && take_back(file, written as u64).is_err();
    Failed { error, torn }
}

fn take_back(file: impl AsFd, written: u64) -> rustix::io::Result<()> {
    let (stat, end) = (fstat(&file)?, seek(&file, SeekFrom::Current(0))?);
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let is_last = u64::try_from(stat.st_size) == Ok(end) && end >= written;
    // Another process may have added to it, and a pipe takes nothing back.
    if !is_file || !is_last {
        return Err(Errno::INVAL);
    }
    ftruncate(&file, end - written)?;
    seek(&file, SeekFrom::Start(end - written)).map(drop)
}

/// Writes the buffer to standard output and empties it. When its reader is gone, the network
/// ends.
pub(in crate::sink) fn write_out(buffer: &mut Vec<u8>) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let flushed = stdout
        .flush()
        .map_err(|error| Failed { error, torn: false });
    // Not through its buffer, which would keep what was not written and write it later.
    let written = flushed.and_then(|()| write_whole(&stdout, buffer));
    buffer.clear();
    written.map_err(|failed| {
        if is_closed(&failed.error) {
            return Error::new(ErrorKind::Closed, "the reader of standard output is gone").fatal();
        }
        let error = Error::io("standard output", &failed.error);
        if error.is_retryable() {
            error
        } else {
            error.fatal()
        }
    })
}

/// Whether this error of standard output is a pipe without a reader, or a terminal that was closed.
fn is_closed(error: &io::Error) -> bool {
    let is_device = || {
        let stat = fstat(rustix::stdio::stdout());
        let kind = stat.map(|stat| FileType::from_raw_mode(stat.st_mode));
        kind == Ok(FileType::CharacterDevice)
    };
    error.kind() == io::ErrorKind::BrokenPipe
        || error.raw_os_error() == Some(Errno::IO.raw_os_error()) && is_device()
}
