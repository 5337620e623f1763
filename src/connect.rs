//! Connectors: sources and sinks by address, `nats://host/subject`, `file:bets.jsonl`.
//!
//! [`source()`] and [`sink()`] find the connector of the address's scheme, resolve every `${env:NAME}` and
//! `${file:path}` in the address and the options, refuse unknown options, and have the connector make a
//! node. Resolved values and passwords are `***` in every message of a connector.
//!
//! What connectors guarantee: an error that another attempt may solve is
//! [retryable](crate::Error::retryable), and the engine opens the node again with backoff. A wrong password
//! or a missing queue is not retryable, and its hint names the remedy. A source acknowledges a message when
//! all its events are settled ([`Inbox`]). A node never waits longer than the engine allows, or than its
//! own time limit.
//!
//! To add a connector `tin` with scheme `tin`: a feature `tin` in `Cargo.toml`, with its client as an
//! optional dependency; `src/connect/tin.rs` with a `const TIN: Connector`; here its `mod` line, in
//! `registry.rs` its line in `connectors()`, both with `#[cfg(feature = "tin")]`, and its line in
//! `FEATURES`; a fence for its client in `tests/floors/main.rs`; its part of the conformance suite. Options that
//! each event fills in are listed in `templates` and read by `Settings::template` and the other methods of
//! `support/settings/templates.rs` only: the value of a `${..}` is never parsed as a template.
//!
//! ```
//! use tributary::connect::{self, Options};
//!
//! let file = std::env::temp_dir().join("bets.jsonl");
//! let sink = connect::sink(&format!("file:{}", file.display()), &Options::new().with("append", true))?;
//! let network = tributary::Network::new();
//! network.add_sink("bets", sink)?;
//!
//! let error = connect::source("fil:bets.jsonl", &Options::new()).err().expect("an unknown scheme");
//! assert!(error.to_string().ends_with("did you mean \"file\"?"));
//! # Ok::<(), tributary::Error>(())
//! ```

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(any(feature = "slack", feature = "telegram"))]
mod chat;
mod connector;
mod exec;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod lines;
#[cfg(any(feature = "admin", feature = "http"))]
mod listening;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "redis")]
mod redis;
mod registry;
#[cfg(feature = "slack")]
mod slack;
mod sql;
mod stream;
mod support;
#[cfg(feature = "telegram")]
mod telegram;

use connector::{Connector, Make};
#[doc(hidden)]
pub use registry::{OptionNames, byte_schemes, option_names, sink_schemes};
pub use registry::{sink, source};
use support::address::{Address, Server};
pub(crate) use support::secret::filled;
use support::settings::Settings;

#[cfg(feature = "http")]
pub(crate) use support::http::taken as http_requests;

pub use crate::format::{JsonTemplate, Template};
pub use support::inbox::Inbox;
pub use support::options::Options;
pub use support::progress::Progress;

#[cfg(feature = "admin")]
pub(crate) use listening::{Listening, token};
pub(crate) use registry::shown;

/// The HTTP server, for what is no connector.
#[cfg(feature = "admin")]
pub(crate) mod server {
    pub(crate) use super::support::admission::Admission;
    #[cfg(test)]
    pub(crate) use super::support::http::head;
    pub(crate) use super::support::http::{
        Head, Limits, Peer, Refused, Response, Server, Service, State, Whole, same,
    };
    pub(crate) use super::support::socket::Listener;
}

#[cfg(test)]
mod tests;
