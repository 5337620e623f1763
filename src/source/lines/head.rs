//! How the content of a file begins, by which it is known under another name or compressed.

use xxhash_rust::xxh3::xxh3_128;

/// How much of the beginning of a file is compared, in bytes.
pub(super) const HEAD: u64 = 4 << 10;
/// Shorter files may well begin alike.
pub(super) const LEAST: u64 = 256;
/// In nanoseconds.
pub(super) const SECOND: u64 = 1_000_000_000;

/// How the content of a file begins, and by what it is told apart from others that begin alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The length of the beginning.
    pub len: u64,
    pub hash: String,
    /// The size of all of it, modulo 2^32.
    pub size: u32,
    /// When it was last written to, in seconds.
    pub at: u64,
}

impl Head {
    pub fn of(begin: &[u8], size: u64, modified: u64) -> Self {
        Head {
            len: begin.len() as u64,
            hash: hash(begin),
            size: size as u32,
            at: modified / SECOND,
        }
    }

    /// Whether this is the beginning of the same content. Compression may change the time.
    pub fn is_of(&self, other: &Head) -> bool {
        let same_time = self.at == other.at;
        self.len > 0
            && (self.len, &self.hash) == (other.len, &other.hash)
            && (same_time || self.len >= LEAST && self.size == other.size)
    }
}

/// What tells the beginnings of files apart, and one checkpoint from another.
pub(super) fn hash(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}
