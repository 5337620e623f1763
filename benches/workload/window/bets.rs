//! Bets as JSON, from a fixed seed: the same stream for everybody.
//!
//! A tenth of a window's rows come in each second of the events' time. The bets of one customer in
//! five qualify by themselves, those of the others never do, however many are in the window.

use std::fmt::Write;

pub const CUSTOMERS: usize = 1_000;
pub const GAMES: u64 = 10;
const START: u64 = 1_700_000_000;

/// An endless stream of bets.
pub struct Bets {
    random: Random,
    customers: Vec<String>,
    a_second: u64,
    number: u64,
}

impl Bets {
    /// Bets of which a window holds so many.
    pub fn new(rows: u64) -> Self {
        let mut random = Random(42);
        Bets {
            customers: (0..CUSTOMERS).map(|_| random.uuid()).collect(),
            random,
            a_second: rows / super::SIZE,
            number: 0,
        }
    }
}

impl Iterator for Bets {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let random = &mut self.random;
        let customer = random.below(CUSTOMERS as u64) as usize;
        let least = if customer.is_multiple_of(5) {
            300.0
        } else {
            0.1
        };
        let stake = least * (1.0 + random.below(100) as f64 / 100.0);
        let rate = 0.9 + random.below(200) as f64 / 1_000.0;
        let odds = 1.5 + random.below(100) as f64 / 100.0;
        let mut text = String::with_capacity(384);
        write!(
            text,
            r#"{{"uuid":"{}","create_time":{},"customer_uuid":"{}","stake":{stake:.2},"currency":"EUR","exchange_rate":{rate:.3},"odds":{odds:.2},"selections":["#,
            random.uuid(),
            START + self.number / self.a_second,
            self.customers[customer],
        )
        .expect("a string takes whatever is written");
        let first = random.below(GAMES);
        for at in 0..1 + random.below(2) {
            let comma = if at == 0 { "" } else { "," };
            let game = 123_400 + (first + at * (1 + random.below(GAMES - 1))) % GAMES;
            let odds = 1.1 + random.below(300) as f64 / 100.0;
            write!(
                text,
                r#"{comma}{{"game_id":{game},"market":"win","odds":{odds:.2}}}"#
            )
            .expect("a string takes whatever is written");
        }
        text.push_str("]}");
        self.number += 1;
        Some(text.into_bytes())
    }
}

/// Numbers that are as good as random (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A random uuid, of version 4.
    fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFF,
            0x8000 | (low >> 50),
            low & 0xFFFF_FFFF_FFFF
        )
    }
}
