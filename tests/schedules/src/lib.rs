//! Schedules of threads, chosen at random by shuttle, which finds every deadlock: over the ack and
//! over links as they are shipped, and over models of the protocol that workers keep, also when a network
//! is changed.
//!
//! Five thousand each by default; `TRIBUTARY_SCHEDULES=100000` for more. A schedule that fails is
//! printed, and `shuttle::replay` takes it. Shuttle runs one thread at a time, so a memory ordering
//! that is too weak is not found here.

#![cfg(test)]

// The sources name their channels `flume::…`; here those are channels that shuttle can block.
extern crate self as flume;

mod channel;
#[path = "../../../src/name.rs"]
#[expect(dead_code, reason = "links have names and read none")]
mod name;
mod payload;
mod secret;
mod settling;
mod time;
mod workers;

#[path = "../../../src"]
mod tributary {
    #[expect(dead_code, reason = "only groups are tried here")]
    pub mod ack;
    #[expect(dead_code, unused_imports, reason = "links make few errors")]
    pub mod error;
    #[expect(dead_code, unused_imports, reason = "links look into no event")]
    pub mod event;
}

/// The sources of a folder, and what they need of its other files.
#[path = "../../../src/network"]
#[expect(dead_code, unused_imports, reason = "only links are tried here")]
mod network {
    #[path = "../../tests/schedules/src/changing.rs"]
    mod changing;
    #[path = "../../tests/schedules/src/ends.rs"]
    mod ends;
    #[path = "../../tests/schedules/src/handover.rs"]
    mod handover;
    pub mod id;
    pub mod link;
    mod losses;
    pub mod stats;
    #[path = "../../tests/schedules/src/links.rs"]
    mod tries;
    pub mod routes;
}

pub(crate) use channel::*;
pub(crate) use tributary::{ack, error, event};

/// How many schedules each test tries.
fn schedules() -> usize {
    let given = std::env::var("TRIBUTARY_SCHEDULES").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(5_000)
}
