//! The workloads, shared by the criterion benches and the ratios.
//!
//! A group is one flow of events and those that carry it: `tributary`, and its limit `bare`, the
//! same chain of threads written with nothing but flume and vectors ([`bare`]). Only the flow is
//! timed ([`watch`]): networks are built and threads started before it, and ended after it. To add
//! a group, write the flow in [`network`] and in [`bare`], and name both in [`groups`].

mod bare;
pub mod filter;
mod latency;
mod network;
mod script;
mod watch;

use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many events travel together, in the network as in its limit.
pub const BATCH: usize = 256;
/// How many batches wait in a channel: the default capacity of a link.
pub const SLOTS: usize = 16;
/// What each event carries, copied into an allocation of its own at the source.
pub static PAYLOAD: [u8; 100] = [b'x'; 100];

/// What a closure sees in an event that it lets pass.
pub fn is_ours(payload: &[u8]) -> bool {
    payload.first() == Some(&b'x')
}

/// Carries so many events; says how long that took.
pub type Run = fn(u64) -> Duration;

pub struct Group {
    pub name: &'static str,
    /// The events of one round.
    pub events: u64,
    /// Whether what counts is the time of one event, not the number in a time.
    pub latency: bool,
    /// The thing measured, and then what it is compared with.
    pub runs: Vec<(&'static str, Run)>,
}

/// The groups whose names start so.
pub fn groups(start: &str) -> Vec<Group> {
    let flow = |name, tributary, bare| Group {
        name,
        events: 2 << 20,
        latency: false,
        runs: vec![("tributary", tributary), ("bare", bare)],
    };
    let hop = |name, tributary, bare, single| {
        let mut group = flow(name, tributary, bare);
        group.runs.push(("single", single));
        group
    };
    let map = |name, ours, other| Group {
        name,
        events: 1 << 18,
        latency: false,
        runs: vec![ours, other],
    };
    let latency = Group {
        name: "latency-3",
        events: 5_000,
        latency: true,
        runs: vec![("tributary", latency::network), ("bare", latency::bare)],
    };
    let mut groups = vec![
        hop(
            "hop-1",
            network::hop::<1>,
            bare::hop::<1>,
            bare::single::<1>,
        ),
        hop(
            "hop-3",
            network::hop::<3>,
            bare::hop::<3>,
            bare::single::<3>,
        ),
        hop(
            "hop-8",
            network::hop::<8>,
            bare::hop::<8>,
            bare::single::<8>,
        ),
        flow("hop-3-ack", network::ack, bare::hop::<3>),
        flow("hop-3-closure", network::closure, bare::closure),
        flow("fanout-4", network::fanout, bare::fanout),
        flow("fanin-4", network::fanin, bare::fanin),
        flow("filter-1m", filter::network, filter::bare),
        latency,
        map(
            "map-field",
            ("tributary", script::field),
            ("bare", script::bare_field),
        ),
        map(
            "map-payload",
            ("tributary", script::payload),
            ("bare", script::bare_payload),
        ),
        map("map-two", ("two", script::two), ("one", script::one)),
    ];
    groups.retain(|group| group.name.starts_with(start));
    groups
}
