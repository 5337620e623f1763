//! The connectors that are built in, and what is made with them.
//!
//! To add one, add a line to [`connectors`] and, if a feature enables it, one to [`FEATURES`].

#[cfg(feature = "amqp")]
use super::amqp;
use super::connector::{Connector, Make};
#[cfg(feature = "http")]
use super::http;
#[cfg(feature = "kafka")]
use super::kafka;
#[cfg(feature = "mqtt")]
use super::mqtt;
#[cfg(feature = "nats")]
use super::nats;
#[cfg(feature = "redis")]
use super::redis;
#[cfg(feature = "slack")]
use super::slack;
use super::support::address::Address;
use super::support::options::Options;
use super::support::secret;
use super::support::settings::Settings;
#[cfg(feature = "telegram")]
use super::telegram;
use super::{exec, lines, sql, stream};
use crate::error::{Error, ErrorKind, Result, did_you_mean, quote};
use crate::node::{Sink, Source};

/// The connectors that are built in.
pub(super) fn connectors() -> Vec<Connector> {
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

/// The feature that enables each scheme.
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

/// A scheme, and the names of its options as a source and as a sink. `None` if the scheme has no such
/// node.
pub type OptionNames = (
    &'static str,
    Option<&'static [&'static str]>,
    Option<&'static [&'static str]>,
);

/// The options of each scheme, as a source and as a sink, without those of formats.
pub fn option_names() -> Vec<OptionNames> {
    let built = connectors().into_iter();
    let names = built.map(|connector| {
        let source = connector.source.map(|make| make.options);
        let sink = connector.sink.map(|make| make.options);
        (connector.scheme, source, sink)
    });
    names.collect()
}

/// The schemes whose sources and sinks read and write bytes in any format.
pub fn byte_schemes() -> (Vec<&'static str>, Vec<&'static str>) {
    let is_of_bytes = |known: &&Connector| known.source.as_ref().is_some_and(|s| s.bytes.is_some());
    let writes_bytes = |known: &&Connector| known.sink.as_ref().is_some_and(|s| s.bytes.is_some());
    let built = connectors();
    let scheme = |known: &Connector| known.scheme;
    (
        built.iter().filter(is_of_bytes).map(scheme).collect(),
        built.iter().filter(writes_bytes).map(scheme).collect(),
    )
}

/// The scheme of an address, and the address without its secrets.
///
/// # Errors
/// A bad address, an unknown scheme.
pub(crate) fn shown(url: &str, options: &Options) -> Result<(String, String)> {
    let (address, connector) = find(url, options)?;
    Ok((connector.scheme.to_owned(), address.to_string()))
}

/// A source for this address.
///
/// # Errors
/// A bad address, a scheme that is unknown, has no source or is not built in, an option that is unknown
/// or has a bad value, a `${..}` that cannot be resolved. Whether the server is available is found when
/// the network starts.
pub fn source(url: &str, options: &Options) -> Result<Box<dyn Source>> {
    make(url, options, &SOURCE)
}

/// A sink for this address.
///
/// # Errors
/// Those of [`source()`].
pub fn sink(url: &str, options: &Options) -> Result<Box<dyn Sink>> {
    make(url, options, &SINK)
}

/// What a connector is used as.
struct Role<N: ?Sized + 'static> {
    name: &'static str,
    /// The name of the other role.
    other: &'static str,
    make: fn(&Connector) -> Option<&Make<N>>,
    options: fn(&Make<N>) -> Vec<&'static str>,
    /// The options that each event fills in.
    templates: fn(&Connector) -> &'static [&'static str],
}

const SOURCE: Role<dyn Source> = Role {
    name: "source",
    other: "sink",
    make: |connector| connector.source.as_ref(),
    options: Make::<dyn Source>::all_options,
    templates: |_| &[],
};

const SINK: Role<dyn Sink> = Role {
    name: "sink",
    other: "source",
    make: |connector| connector.sink.as_ref(),
    options: Make::<dyn Sink>::all_options,
    templates: |connector| connector.templates,
};

fn make<N: ?Sized>(url: &str, options: &Options, role: &Role<N>) -> Result<Box<N>> {
    let (address, connector) = find(url, options)?;
    let scheme = connector.scheme;
    let make = (role.make)(&connector)
        .ok_or_else(|| address.wrong(format!("{scheme} can be a {} only", role.other)))?;
    let of = format!("{scheme} {}s", role.name);
    let known = (role.options)(make);
    let settings = Settings::new(of, options, &known, (role.templates)(&connector))?;
    (make.make)(&address, &settings)
}

/// The address, and the connector of its scheme.
fn find(url: &str, options: &Options) -> Result<(Address, Connector)> {
    let mut address = Address::new(secret::fill(url)?)?;
    let scheme = address.scheme();
    let known = connectors()
        .into_iter()
        .find(|known| known.scheme == scheme);
    let Some(connector) = known else {
        return Err(unknown(&address));
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

/// The scheme of this address is not built in.
fn unknown(address: &Address) -> Error {
    let scheme = address.scheme();
    if let Some((_, feature)) = FEATURES.iter().find(|(known, _)| *known == scheme) {
        let error = address.wrong(format!("{scheme} is not built in"));
        return error.with_hint(format!("build with the feature {}", quote(feature)));
    }
    let built = connectors();
    let known: Vec<&str> = built.iter().map(|known| known.scheme).collect();
    let all = known
        .iter()
        .copied()
        .chain(FEATURES.map(|(scheme, _)| scheme));
    let hint =
        did_you_mean(scheme, all).unwrap_or_else(|| format!("there are {}", known.join(", ")));
    let error = format!("bad address {}: unknown scheme", quote(address.to_string()));
    Error::new(ErrorKind::Config, error).with_hint(hint)
}
