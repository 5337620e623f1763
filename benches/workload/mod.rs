//! The workloads, shared by the criterion benches and the ratios.
//!
//! A group is one flow of events and those that carry it: `tributary`, and its limit `bare`, the
//! same chain of threads written with nothing but flume and vectors ([`bare`]). Only the flow is
//! timed ([`watch`]): networks are built and threads started before it, and ended after it. To add
//! a group, write the flow in [`network`] and in [`bare`], and name both in [`groups`]. Windows are
//! groups of their own kind: see [`window`].

mod admin;
mod bare;
#[cfg(feature = "full")]
mod connect;
mod durable;
pub mod filter;
mod latency;
mod network;
mod parse;
mod script;
mod watch;
mod window;

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

/// Carries so many events; returns how long that took.
pub type Run = Box<dyn FnMut(u64) -> Duration>;

pub struct Group {
    pub name: &'static str,
    /// Whether what counts is the time of one event, not the number in a time.
    pub latency: bool,
    /// How many rounds the ratios are taken of.
    pub rounds: usize,
    pub functions: Vec<Function>,
}

/// One way to do the work of a group.
pub struct Function {
    pub name: &'static str,
    /// The events of one round.
    pub events: u64,
    pub run: Run,
    /// The functions of the group with which this one is compared.
    pub against: &'static [&'static str],
}

impl Function {
    fn new(name: &'static str, events: u64, run: impl FnMut(u64) -> Duration + 'static) -> Self {
        Function {
            name,
            events,
            run: Box::new(run),
            against: &[],
        }
    }

    fn against(mut self, others: &'static [&'static str]) -> Self {
        self.against = others;
        self
    }
}

/// How long a flow carries events.
type Flow = fn(u64) -> Duration;

const ROUNDS: usize = 11;

/// The groups whose names start so.
pub fn groups(start: &str) -> Vec<Group> {
    let flow = |name, tributary: Flow, bare: Flow| Group {
        name,
        latency: false,
        rounds: ROUNDS,
        functions: vec![
            Function::new("tributary", 2 << 20, tributary).against(&["bare", "single"]),
            Function::new("bare", 2 << 20, bare),
        ],
    };
    let hop = |name, tributary: Flow, bare: Flow, single: Flow| {
        let mut group = flow(name, tributary, bare);
        group
            .functions
            .push(Function::new("single", 2 << 20, single));
        group
    };
    // The same without acks is its second limit.
    let acked = |name, tributary: Flow, bare: Flow, without: Flow| {
        let mut group = flow(name, tributary, bare);
        group.functions[0].against = &["without", "bare"];
        group.rounds = 41;
        group
            .functions
            .push(Function::new("without", 2 << 20, without));
        group
    };
    let map = |name, ours: (&'static str, Flow), other: (&'static str, Flow), against| Group {
        name,
        latency: false,
        rounds: ROUNDS,
        functions: vec![
            Function::new(ours.0, 1 << 18, ours.1).against(against),
            Function::new(other.0, 1 << 18, other.1),
        ],
    };
    let latency = Group {
        name: "latency-3",
        latency: true,
        rounds: ROUNDS,
        functions: vec![
            Function::new("tributary", 5_000, latency::network).against(&["bare"]),
            Function::new("bare", 5_000, latency::bare),
        ],
    };
    let durable = |name, events, tributary: Flow, bare: Flow| Group {
        name,
        latency: false,
        rounds: 5,
        functions: vec![
            Function::new("tributary", events, tributary).against(&["bare"]),
            Function::new("bare", events, bare),
        ],
    };
    let mut groups = vec![
        // What they carry goes to disk: how fast that is depends on where.
        durable("queue", 1 << 17, durable::queue, durable::bare_queue),
        durable("spill", 1 << 18, durable::spill, durable::bare_spill),
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
        // What it costs to be looked at: bar 0.98.
        Group {
            name: "hop-3-admin",
            latency: false,
            rounds: 21,
            functions: vec![
                Function::new("scraped", 32 << 20, admin::scraped).against(&["alone"]),
                Function::new("alone", 32 << 20, network::hop::<3>),
            ],
        },
        hop(
            "hop-8",
            network::hop::<8>,
            bare::hop::<8>,
            bare::single::<8>,
        ),
        acked("hop-3-ack", network::ack, bare::hop::<3>, network::hop::<3>),
        flow("hop-3-closure", network::closure, bare::closure),
        flow("fanout-4", network::fanout, bare::fanout),
        flow("fanin-4", network::fanin, bare::fanin),
        flow("filter-1m", filter::network, filter::bare),
        // What a format costs beside its regular expression: bar 0.6.
        map(
            "parse-combined",
            ("tributary", parse::network),
            ("regex", parse::bare),
            &["regex"],
        ),
        latency,
        map(
            "map-field",
            ("tributary", script::field),
            ("bare", script::bare_field),
            &["bare"],
        ),
        map(
            "map-payload",
            ("tributary", script::payload),
            ("bare", script::bare_payload),
            &["bare"],
        ),
        map(
            "map-two",
            ("two", script::two),
            ("one", script::one),
            &["one"],
        ),
    ];
    groups.extend(window::groups());
    groups.retain(|group| group.name.starts_with(start));
    #[cfg(feature = "full")]
    groups.extend(connect::groups(start));
    groups
}
