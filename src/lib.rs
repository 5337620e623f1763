//! An event-stream processor to embed in blocking programs, and to script in Lua.
//!
//! A [`Network`] is made of named nodes, each on an OS thread of its own, joined by bounded links.
//! Networks are written in Lua or Rust and can be extended while they run; windows over the stream
//! are plain SQL on SQLite or MySQL. Nothing here is async.
//!
//! ```
//! use tributary::{Network, Runtime, sink, source};
//!
//! let (numbers, source) = source::channel();
//! let (results, sink) = sink::channel();
//! let network = Network::new();
//! network.add_source("numbers", source)?;
//! network.add_sink("results", sink)?;
//! Runtime::new(&network)?.run_text("net.lua", r#"
//!     local tb = require("tributary")
//!     tb.create_filter("once", "1h")
//!     tb.chain("numbers", "once", "results")
//! "#)?;
//! network.start()?;
//! for number in ["1", "2", "1"] {
//!     numbers.send(number)?;
//! }
//! drop(numbers); // nothing more will come
//! let seen: Vec<_> = results.iter().map(|event| event.payload().clone()).collect();
//! assert_eq!(seen, ["1".into(), "2".into()]);
//! network.wait()?;
//! # Ok::<(), tributary::Error>(())
//! ```
//!
//! # Where to look
//!
//! - [`Network`]: build, start, extend, stop, [simulate](Network::simulate), account.
//!   [`Replay`]: the same network on recorded events.
//! - [`node`]: the contracts, for nodes of one's own; [`source`], [`pipeline`], [`sink`]: those that
//!   are there, and closures as nodes.
//! - [`connect`]: sources and sinks by address, with secrets and templates.
//! - [`store`] and [`window`]: tables, queries and windows in SQL.
//! - [`script`]: networks in Lua.
//! - [`doc`]: why it is built as it is, and what has changed.
//!
//! # What is promised
//!
//! - Links are bounded: a slow node holds back those before it, and memory stays bounded.
//! - Order is kept along each path; events that come over different paths are merged as they come.
//! - Every event is accounted for: received is passed, consumed, dropped (with a reason), rejected
//!   or held, exactly, after every graceful stop.
//! - An event that a source tracks has exactly one outcome: delivered when every branch delivered
//!   it or let it go on purpose, failed otherwise (an error, a panic, an abort).
//! - A stop drains: what a source has sent by then arrives.
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `http` | posts events and has them posted to it: ureq, httparse | no |
//! | `slack`, `telegram` | messages to people, over `http` | no |
//! | `amqp`, `kafka`, `mqtt`, `nats`, `redis` | connectors to brokers, each with its client | no |
//! | `full` | all connectors | no |
//! | `cli` | the `tributary` binary: clap, env_logger, indicatif, signals, mimalloc | yes |
//!
//! A host that only wants the library sets `default-features = false`. Memory is freed on another
//! thread than it came from all the time here, and the system's allocator loses half of its speed
//! on that: hosts with much traffic may want mimalloc as their global allocator, with its feature
//! `no_thp` (without it a thousand nodes take several times the memory).
//!
//! # Log levels
//!
//! Through the crate `log`: `error` for what stops a node or breaks a promise, `warn` for events
//! that were rejected unheard (at most a line a second and node), nodes that are lost and opened again (a
//! line as the pauses grow, then one a minute, and one when they are back) and nodes that are not linked,
//! `info` for stops.

pub mod ack;
pub mod claim;
pub mod connect;
pub mod error;
pub mod event;
pub mod name;
pub mod network;
pub mod node;
pub mod payload;
pub mod pipeline;
pub mod script;
pub mod sink;
pub mod source;
pub mod store;
pub mod time;
pub mod window;

/// What was decided and why, and what has changed.
pub mod doc {
    #![doc = include_str!("doc/design.md")]

    /// What has changed.
    pub mod changelog {
        #![doc = include_str!("doc/changelog.md")]
    }
}

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;

pub use ack::{Outcome, Token};
pub use error::{Error, ErrorKind, Result};
pub use event::{Batch, Event, Meta};
pub use name::{Endpoint, Name, Port};
pub use network::{
    Capacity, Draft, Format, Kind, LinkOptions, Network, OnError, Overflow, Replay, Simulation,
    Spill, Stats,
};
pub use node::{Context, Node, Pipeline, Read, Sink, Source};
pub use payload::Payload;
pub use script::Runtime;
pub use store::{Database, Table};
