//! As much of time as links need.

use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timestamp(i64);

impl Timestamp {
    pub fn from_micros(micros: i64) -> Self {
        Timestamp(micros)
    }

    pub fn as_micros(self) -> i64 {
        self.0
    }
}

pub fn monotonic() -> Instant {
    Instant::now()
}
