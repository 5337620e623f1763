//! Maps by the hashes of keys.
//!
//! A hash is not hashed again: its halves are mixed with random numbers of this process, so that keys
//! cannot be chosen that collide.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};

/// A map by hashes of keys.
pub(super) type KeyMap<V> = HashMap<u128, V, KeyHashBuilder>;
/// A set of hashes of keys.
pub(super) type KeySet = HashSet<u128, KeyHashBuilder>;

/// Makes the hashers of a map.
#[derive(Clone)]
pub(super) struct KeyHashBuilder([u64; 2]);

impl Default for KeyHashBuilder {
    fn default() -> Self {
        let random = RandomState::new();
        KeyHashBuilder([random.hash_one(0), random.hash_one(1)])
    }
}

impl BuildHasher for KeyHashBuilder {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher {
            seed: self.0,
            hash: 0,
        }
    }
}

/// The hasher of one key.
pub(super) struct KeyHasher {
    seed: [u64; 2],
    hash: u64,
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u128((u128::from(self.hash) << 8) | u128::from(byte));
        }
    }

    fn write_u128(&mut self, key: u128) {
        let [low, high] = [key as u64 ^ self.seed[0], (key >> 64) as u64 ^ self.seed[1]];
        let product = u128::from(low) * u128::from(high);
        self.hash = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_in_one_bit_have_other_hashes() {
        let builder = KeyHashBuilder::default();
        let hashes: HashSet<u64> = (0..128).map(|bit| builder.hash_one(1u128 << bit)).collect();
        assert_eq!(hashes.len(), 128);
    }
}
