//! Digests: hashes of 128 bits that stand for keys, so that finding one costs no comparison of keys.

use crate::window::kind::WindowBounds;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::LazyLock;

/// The hash of the bytes of a key. Two keys are taken for one only if all 128 bits are the same, under
/// a seed that differs in each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest {
    low: u64,
    high: u64,
}

static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));

impl Digest {
    /// The digest of the bytes of a key.
    pub fn of(bytes: &[u8]) -> Self {
        let whole = xxhash_rust::xxh3::xxh3_128_with_seed(bytes, *SEED);
        Digest {
            low: whole as u64,
            high: (whole >> 64) as u64,
        }
    }

    /// The digest of the same key in a window; of the key alone where the window has no bounds.
    #[inline]
    pub fn within(self, window: Option<WindowBounds>) -> Self {
        match window {
            Some(window) => self.in_window(window.start),
            None => self,
        }
    }

    /// The digest of the same key in the window that begins at an instant, in microseconds.
    pub fn in_window(self, start: i64) -> Self {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.low.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.high.to_le_bytes());
        bytes[16..].copy_from_slice(&start.to_le_bytes());
        Digest::of(&bytes)
    }

    /// The digest of the row with this number, of a table without a key.
    pub fn numbered(number: u64) -> Self {
        Digest {
            low: number,
            high: u64::MAX,
        }
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
    }
}

/// Uses a part of a digest as its hash.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DigestHashBuilder;

impl BuildHasher for DigestHashBuilder {
    type Hasher = DigestHasher;

    fn build_hasher(&self) -> DigestHasher {
        DigestHasher(0)
    }
}

/// The hasher of [`DigestHashBuilder`].
pub(crate) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        unreachable!("a digest is one number, not {} bytes", bytes.len());
    }

    fn write_u64(&mut self, value: u64) {
        // Numbers that follow each other differ in their low bits alone.
        self.0 = value.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
