//! Connectors: sources and sinks by address, `nats://host/subject`, `file:bets.jsonl`.
//!
//! [`source()`] and [`sink()`] find the connector of the address's scheme, fill in every
//! `${env:NAME}` and `${file:path}` of the address and the options, refuse options that it does
//! not know, and have it make a node. No secret comes out of here: what was filled in, and every
//! password, is `***` in whatever a connector says ([`Masked`], [`secret`](crate::secret)).
//!
//! What connectors promise: an error that trying again may mend is
//! [retryable](crate::Error::retryable), and the engine opens the node again with growing pauses;
//! a wrong password or a missing queue is not, and says what to do. A source acknowledges a message
//! when all that was made of it is settled ([`Inbox`]). A node never waits longer than it was told,
//! or than its own time limit.
//!
//! To add a connector `tin` with scheme `tin`: a feature `tin` in `Cargo.toml`, with its client as an
//! optional dependency; `src/connect/tin.rs` with a `const TIN: Connector`; here its `mod` line and
//! its line in `connectors()`, both with `#[cfg(feature = "tin")]`; its line in `FEATURES`; a fence
//! for its client in `tests/floors.rs`; its part of the conformance suite. Options that each event
//! fills in are listed in `templates` and read by [`Settings::template`] and its siblings alone: what
//! a `${..}` stands for is no template.
//!
//! ```
//! use tributary::connect::{self, Options};
//!
//! let file = std::env::temp_dir().join("bets.jsonl");
//! let sink = connect::sink(&format!("file:{}", file.display()), &Options::new().with("append", true))?;
//! let network = tributary::Network::new();
//! network.add_sink("bets", sink)?;
//!
//! let error = connect::source("fil:bets.jsonl", &Options::new()).err().expect("a scheme that is not there");
//! assert!(error.to_string().ends_with("did you mean \"file\"?"));
//! # Ok::<(), tributary::Error>(())
//! ```

mod address;
mod admission;
#[cfg(feature = "amqp")]
mod amqp;
#[cfg(any(feature = "slack", feature = "telegram"))]
mod chat;
mod exec;
#[cfg(feature = "http")]
mod http;
mod inbox;
#[cfg(feature = "kafka")]
mod kafka;
mod lines;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "nats")]
mod nats;
mod options;
mod progress;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "amqp", feature = "mqtt", feature = "nats"))]
mod runtime;
mod secret;
#[cfg(feature = "slack")]
mod slack;
mod socket;
mod split;
mod sql;
mod stream;
#[cfg(feature = "telegram")]
mod telegram;
mod template;

use crate::error::{Error, ErrorKind, Result, did_you_mean, quote};
use crate::node::{Sink, Source};

#[cfg(feature = "http")]
pub(crate) use http::taken as http_requests;

pub use address::{Address, Server};
pub use inbox::Inbox;
pub use options::{Options, Settings};
pub use progress::Progress;
pub use secret::Masked;

pub use crate::secret::MASK;
pub use template::{JsonTemplate, Template};

/// What makes a node of an address: the options that it knows, and how.
struct Make<N: ?Sized> {
    options: &'static [&'static str],
    make: fn(&Address, &Settings) -> Result<Box<N>>,
}

/// What can be made for a scheme.
struct Connector {
    scheme: &'static str,
    /// Whether all that follows the scheme is a secret.
    is_secret: bool,
    /// Whether it starts programs.
    is_program: bool,
    /// The options of its sink that each event fills in.
    templates: &'static [&'static str],
    source: Option<Make<dyn Source>>,
    sink: Option<Make<dyn Sink>>,
}

impl Connector {
    const NONE: Connector = Connector {
        scheme: "",
        is_secret: false,
        is_program: false,
        templates: &[],
        source: None,
        sink: None,
    };
}

/// The connectors that are built in.
fn connectors() -> Vec<Connector> {
    vec![
        #[cfg(feature = "amqp")]
        amqp::AMQP,
        exec::EXEC,
        #[cfg(feature = "http")]
        http::HTTP,
        #[cfg(feature = "http")]
        http::HTTPS,
        #[cfg(feature = "kafka")]
        kafka::KAFKA,
        lines::FILE,
        lines::STDIN,
        lines::STDOUT,
        #[cfg(feature = "mqtt")]
        mqtt::MQTT,
        #[cfg(feature = "nats")]
        nats::NATS,
        #[cfg(feature = "nats")]
        nats::TLS,
        #[cfg(feature = "redis")]
        redis::REDIS,
        #[cfg(feature = "slack")]
        slack::SLACK,
        sql::SQL,
        stream::TCP,
        stream::UNIX,
        #[cfg(feature = "telegram")]
        telegram::TELEGRAM,
    ]
}

/// Which feature brings a scheme.
const FEATURES: [(&str, &str); 10] = [
    ("amqp", "amqp"),
    ("http", "http"),
    ("https", "http"),
    ("kafka", "kafka"),
    ("mqtt", "mqtt"),
    ("nats", "nats"),
    ("redis", "redis"),
    ("slack", "slack"),
    ("telegram", "telegram"),
    ("tls", "nats"),
];

/// The schemes of the sinks that are built in.
pub fn sink_schemes() -> Vec<&'static str> {
    let built = connectors().into_iter();
    let sinks = built.filter(|connector| connector.sink.is_some());
    sinks.map(|connector| connector.scheme).collect()
}

/// A scheme, and the names of its options as a source and as a sink; `None` where it is none.
pub type OptionNames = (
    &'static str,
    Option<&'static [&'static str]>,
    Option<&'static [&'static str]>,
);

/// The options of each scheme, as a source and as a sink, where it is one.
pub fn option_names() -> Vec<OptionNames> {
    let built = connectors().into_iter();
    let names = built.map(|connector| {
        let source = connector.source.map(|make| make.options);
        let sink = connector.sink.map(|make| make.options);
        (connector.scheme, source, sink)
    });
    names.collect()
}

/// The scheme of an address, and the address as it may be shown.
///
/// # Errors
/// A bad address, a scheme that is not known.
pub(crate) fn shown(url: &str, options: &Options) -> Result<(String, String)> {
    let (address, connector) = find(url, options)?;
    Ok((connector.scheme.to_owned(), address.to_string()))
}

/// A source for this address.
///
/// # Errors
/// A bad address, a scheme that is not known or has no source or is not built in, an option that is
/// unknown or wrong, a `${..}` that stands for nothing. Whether the other side answers is found when
/// the network starts.
pub fn source(url: &str, options: &Options) -> Result<Box<dyn Source>> {
    let (address, connector) = find(url, options)?;
    let make = connector.source.ok_or_else(|| only(&address, "sink"))?;
    let of = format!("{} sources", connector.scheme);
    let settings = Settings::new(of, options, make.options, &[])?;
    (make.make)(&address, &settings)
}

/// A sink for this address.
///
/// # Errors
/// Those of [`source()`].
pub fn sink(url: &str, options: &Options) -> Result<Box<dyn Sink>> {
    let (address, connector) = find(url, options)?;
    let make = connector.sink.ok_or_else(|| only(&address, "source"))?;
    let of = format!("{} sinks", connector.scheme);
    let settings = Settings::new(of, options, make.options, connector.templates)?;
    (make.make)(&address, &settings)
}

fn only(address: &Address, there: &str) -> Error {
    address.wrong(format!("{} can be a {there} only", address.scheme()))
}

fn find(url: &str, options: &Options) -> Result<(Address, Connector)> {
    let mut address = Address::new(secret::fill(url)?)?;
    let scheme = address.scheme();
    let known = connectors()
        .into_iter()
        .find(|known| known.scheme == scheme);
    let Some(connector) = known else {
        if let Some((_, feature)) = FEATURES.iter().find(|(known, _)| *known == scheme) {
            let error = address.wrong(format!("{scheme} is not built in"));
            let hint = format!("build with the feature {}", quote(feature));
            return Err(error.with_hint(hint));
        }
        let built = connectors();
        let known: Vec<&str> = built.iter().map(|known| known.scheme).collect();
        let all = known
            .iter()
            .copied()
            .chain(FEATURES.map(|(scheme, _)| scheme));
        let hint =
            did_you_mean(scheme, all).unwrap_or_else(|| format!("there are {}", known.join(", ")));
        let error = format!(
            "bad address {}: its scheme is none that is known",
            quote(address.to_string())
        );
        return Err(Error::new(ErrorKind::Config, error).with_hint(hint));
    };
    if connector.is_program && options.is_confined {
        let error = format!("{scheme} is not available to this script");
        return Err(Error::data(error));
    }
    address.show_scheme();
    if connector.is_secret {
        address.hide();
    }
    Ok((address, connector))
}

#[cfg(test)]
mod tests;
