//! The content of a log that was compressed by gzip when it was set aside.
//!
//! It is read from its beginning, since a place in it cannot be found otherwise. Other formats are not read.

use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The least size of a file in this format.
const LEAST: u64 = 18;

/// A compressed file that is read.
pub(super) struct Packed {
    decoder: MultiGzDecoder<Bytes>,
    /// How many bytes of the content were read.
    at: u64,
    /// The size of the file when it ended within the content, where it did: it may still be written.
    ended_at: Option<u64>,
}

/// The bytes of a file, read without moving the place of its handle.
struct Bytes {
    file: File,
    at: u64,
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buffer, self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}

/// What there was to read of the content.
pub(super) enum Unpacked {
    Bytes(usize),
    /// The file ends within the content, and has not grown since.
    Nothing,
    End,
}

impl Packed {
    /// The content from its beginning.
    pub fn open(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        Ok(Packed {
            decoder: MultiGzDecoder::new(Bytes { file, at: 0 }),
            at: 0,
            ended_at: None,
        })
    }

    /// Reads what comes next.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Unpacked> {
        if let Some(size) = self.ended_at {
            let file = self.decoder.get_ref().file.try_clone()?;
            if file.metadata()?.len() == size {
                return Ok(Unpacked::Nothing);
            }
            // A decoder that has met the end does not go on.
            let (mut again, at) = (Packed::open(&file)?, self.at);
            again.skip(at)?;
            if again.at < at {
                return Ok(Unpacked::Nothing);
            }
            *self = again;
        }
        loop {
            match self.decoder.read(buffer) {
                Ok(0) => return Ok(Unpacked::End),
                Ok(len) => {
                    self.at += len as u64;
                    return Ok(Unpacked::Bytes(len));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.ended_at = Some(self.decoder.get_ref().file.metadata()?.len());
                    return Ok(Unpacked::Nothing);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the file ends within the content.
    pub fn is_cut(&self) -> bool {
        self.ended_at.is_some()
    }

    /// Reads over the content up to a place, or to its end.
    pub fn skip(&mut self, to: u64) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        while self.at < to {
            let most = usize::try_from(to - self.at).unwrap_or(usize::MAX);
            let most = most.min(buffer.len());
            match self.read(&mut buffer[..most])? {
                Unpacked::Bytes(_) => {}
                Unpacked::Nothing | Unpacked::End => break,
            }
        }
        Ok(())
    }

    /// The content from a place to another one, or less where it ends before.
    pub fn range(&mut self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        self.skip(from)?;
        let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
        let mut len = 0;
        while self.at >= from && len < bytes.len() {
            match self.read(&mut bytes[len..])? {
                Unpacked::Bytes(more) => len += more,
                Unpacked::Nothing | Unpacked::End => break,
            }
        }
        bytes.truncate(len);
        Ok(bytes)
    }
}

/// Whether a file is compressed by gzip, by its name and its first bytes.
pub(super) fn is_packed(path: &Path, file: &File) -> bool {
    let mut magic = [0; 2];
    path.extension().is_some_and(|extension| extension == "gz")
        && file.read_exact_at(&mut magic, 0).is_ok()
        && magic == [0x1f, 0x8b]
}

/// Whether an error is about the content of a file.
pub(super) fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

/// The size of the content, modulo 2^32, as the file gives it.
pub(super) fn content_size(file: &File) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let mut size = [0; 4];
    if len >= LEAST {
        file.read_exact_at(&mut size, len - 4)?;
    }
    Ok(u32::from_le_bytes(size).into())
}

/// The content of a file from a place to another one; `None` where it ends before, or is damaged.
pub(super) fn whole_range(
    file: &File,
    packed: bool,
    from: u64,
    to: u64,
) -> io::Result<Option<Vec<u8>>> {
    match range(file, packed, from, to) {
        Ok(bytes) => Ok((bytes.len() as u64 == to - from).then_some(bytes)),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The content of a file from a place to another one, compressed or not; less where it ends before.
pub(super) fn range(file: &File, packed: bool, from: u64, to: u64) -> io::Result<Vec<u8>> {
    if packed {
        return Packed::open(file)?.range(from, to);
    }
    let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
    let mut len = 0;
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], from + len as u64) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}
