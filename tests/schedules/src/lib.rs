//! Schedules of threads, chosen at random by shuttle, which sees every deadlock: over the ack as it
//! is shipped, and over a model of the protocol that workers keep.
//!
//! Five thousand each by default; `TRIBUTARY_SCHEDULES=100000` for more. A schedule that fails is
//! printed, and `shuttle::replay` takes it.

#![cfg(test)]

#[path = "../../../src/ack.rs"]
mod ack;
mod settling;
mod workers;

/// How many schedules each test tries.
fn schedules() -> usize {
    let given = std::env::var("TRIBUTARY_SCHEDULES").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(5_000)
}
