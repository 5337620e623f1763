//! Chance that can be had again: every test prints its seed, and `TRIBUTARY_SEED` sets it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Random numbers (splitmix64); the same ones for the same seed.
#[derive(Clone)]
pub struct Chance(u64);

/// The seed of this test: that of the environment, or a new one. It is printed, and so shown when
/// the test fails.
pub fn seed(test: &str) -> u64 {
    let seed = match std::env::var("TRIBUTARY_SEED") {
        Ok(text) => text.parse().expect("TRIBUTARY_SEED is a whole number"),
        Err(_) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let nanos = now.map_or(1, |since| since.as_nanos() as u64);
            Chance(nanos ^ u64::from(std::process::id())).next() >> 16
        }
    };
    println!("{test}: TRIBUTARY_SEED={seed}");
    seed
}

/// Chance from the seed of this test.
pub fn chance(test: &str) -> Chance {
    Chance::new(seed(test))
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Chance(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to one less than `end`, which is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Whether it happens, once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

#[test]
fn the_same_seed_gives_the_same_chance() {
    let (mut one, mut other) = (Chance::new(7), Chance::new(7));
    for _ in 0..100 {
        assert_eq!(one.below(1_000), other.below(1_000));
    }
    assert_ne!(Chance::new(7).next(), Chance::new(8).next());
}
