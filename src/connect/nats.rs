//! `nats://host:4222/subject` and `tls://host:4222/subject`: subjects and JetStream streams of NATS.
//!
//! | address | |
//! |---|---|
//! | `nats://user:password@host:port/subject` | port 4222 where none is given; a user without a password is a token |
//! | `tls://..` | the same over TLS; the certificate must be one that the system trusts, or of `ca` |
//!
//! | options of both | |
//! |---|---|
//! | `stream` | the JetStream stream; without it a plain subject, which keeps nothing for who is not there |
//! | `servers` | further servers of the cluster, `"host:port"` |
//! | `credentials` | path of a `.creds` file |
//! | `ca` | path of certificates (PEM) that are trusted too |
//! | `timeout` | how long the server may take to answer, "5s" |
//!
//! | options of a source | |
//! |---|---|
//! | `durable` | the durable pull consumer, made where it is missing; all sources that name it share the work. With `stream` |
//! | `group` | the queue group that shares a plain subject |
//! | `ack_wait` | the time after which a message without an ack is delivered again, "30s". It is extended for messages under way |
//! | `max_deliver` | how often a message is given out at most; without it, without bound |
//! | `redeliver_after` | the pause before a message that failed comes again, "1s" |
//! | `deliver` | where a new durable begins: "all" (what the stream has) or "new" |
//! | `in_flight` | how many messages are under way at most, 2048 |
//!
//! | options of a sink | |
//! |---|---|
//! | `id` | template of the message id, by which the stream drops what it has already; `false` for none. Without it each event has an id of its own, the same whenever it is sent again |
//! | `headers` | an object of templates |
//!
//! The subject of a sink is a [template](super::Template). What a source emits has the meta `subject`
//! and, where there are any, `headers`; of a stream also `sequence`, `deliveries` and the `id`.
//!
//! The invariants: a message of a stream is acked when all that was made of it was delivered, and
//! nacked when that failed; an answer that a lost connection has kept from the server is sent by the
//! next one. A batch to a stream is committed when the stream has acked each of its messages, one to a
//! plain subject when the server has read all of them. Never are more messages asked for than may be
//! under way, so that none lies here unseen while its `ack_wait` runs. A server that sends more than
//! 72 MiB beyond what the node has taken loses its connection ([`intake`]).
//!
//! The client is asynchronous. It runs on a runtime on the node's thread, which runs only while
//! the node waits ([`connection`]); [`api`] sends requests to JetStream. A new option is a line in the tables, in
//! the list of its [`Make`] and where its node is made.

mod api;
mod connection;
mod id;
mod intake;
mod plain;
mod sink;
mod stream;

use super::{Address, Connector, Make, Server, Settings};
use crate::error::{Result, quote};
use crate::format::Framing;
use crate::node::{Sink, Source};
use connection::ConnectConfig;
use std::time::Duration;

const SOURCE_OPTIONS: &[&str] = &[
    "ack_wait",
    "ca",
    "credentials",
    "deliver",
    "durable",
    "group",
    "in_flight",
    "max_deliver",
    "redeliver_after",
    "servers",
    "stream",
    "timeout",
];
const SINK_OPTIONS: &[&str] = &[
    "ca",
    "credentials",
    "headers",
    "id",
    "servers",
    "stream",
    "timeout",
];

pub(super) const NATS: Connector = Connector {
    scheme: "nats",
    templates: &["headers", "id", "template"],
    source: Some(Make {
        options: SOURCE_OPTIONS,
        bytes: Some(Framing::Message),
        make: source,
    }),
    sink: Some(Make {
        options: SINK_OPTIONS,
        bytes: Some(Framing::Message),
        make: sink,
    }),
    ..Connector::NONE
};

pub(super) const TLS: Connector = Connector {
    scheme: "tls",
    ..NATS
};

/// How many events a read emits at most.
const BATCH: usize = 512;

fn source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    let (config, server) = connect_config(address, settings)?;
    let subject = server.decoded_path()?;
    if !(subject.is_empty() || is_subject(&subject, true)) {
        return Err(bad_subject(address, &subject));
    }
    let format = settings.format(Framing::Message)?;
    let in_flight = settings.count("in_flight", 2048)?;
    let group = settings.string("group")?;
    if let Some(stream) = settings.string("stream")? {
        if group.is_some() {
            let error = settings.refuse("option group is for sources without the option stream");
            return Err(error.with_hint("sources with one durable share its messages"));
        }
        let durable = settings.required("durable")?;
        let consumer = api::Consumer {
            stream: named(settings, "stream", stream)?,
            durable: named(settings, "durable", durable)?,
            filter: subject,
            ack_wait: if settings.has("ack_wait") {
                Some(settings.duration("ack_wait", Duration::ZERO)?)
            } else {
                None
            },
            max_deliver: settings.integer("max_deliver", 1..=i64::from(u32::MAX))?,
            only_new: settings.choice("deliver", &["all", "new"])? == Some("new"),
        };
        let pause = match settings.duration_or_none("redeliver_after")? {
            None => Duration::from_secs(1),
            Some(pause) => pause,
        };
        let source = stream::StreamSource::new(config, consumer, pause, in_flight, &format);
        return Ok(Box::new(source));
    }
    let of_streams = [
        "ack_wait",
        "deliver",
        "durable",
        "max_deliver",
        "redeliver_after",
    ];
    if let Some(name) = of_streams.into_iter().find(|name| settings.has(name)) {
        return Err(settings.refuse(format!("option {name} needs the option stream")));
    }
    if subject.is_empty() {
        return Err(address.wrong("no subject in the address"));
    }
    let group = group.map(|group| named(settings, "group", group));
    let source = plain::SubjectSource::new(config, subject, group.transpose()?, in_flight, &format);
    Ok(Box::new(source))
}

fn sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let (config, _) = connect_config(address, settings)?;
    let subject = address.path_template()?;
    if let Some(subject) = subject.constant()
        && !is_subject(subject, false)
    {
        return Err(bad_subject(address, subject));
    }
    let stream = settings.string("stream")?;
    let stream = stream.map(|stream| named(settings, "stream", stream));
    Ok(Box::new(sink::NatsSink::new(
        config,
        subject,
        stream.transpose()?,
        settings,
    )?))
}

fn connect_config(address: &Address, settings: &Settings) -> Result<(ConnectConfig, Server)> {
    let server = address.server_with_path(4222)?;
    if let Some((name, _)) = server.query.first() {
        let error = address.wrong(format!("unknown parameter {} after the ?", quote(name)));
        return Err(error.with_hint("set options in the table of options"));
    }
    let config = ConnectConfig {
        address: address.clone(),
        user: server.user.clone(),
        password: server.password.clone(),
        servers: std::iter::once(server.host_and_port())
            .chain(settings.list("servers")?)
            .collect(),
        credentials: settings.string("credentials")?.map(str::to_owned),
        ca: settings.string("ca")?.map(str::to_owned),
        timeout: settings.duration("timeout", Duration::from_secs(5))?,
    };
    Ok((config, server))
}

/// A name of a stream, a consumer or a group: part of a subject.
fn named(settings: &Settings, option: &str, name: &str) -> Result<String> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    if name.is_empty() || name.contains(bad) {
        Err(settings.wrong(option, "a name without spaces, dots, *, > and slashes"))
    } else {
        Ok(name.to_owned())
    }
}

/// Whether this is a subject; with wildcards where one may listen to many.
fn is_subject(subject: &str, wild: bool) -> bool {
    let mut words = subject.split('.').peekable();
    while let Some(word) = words.next() {
        let is_last = words.peek().is_none();
        let good = match word {
            "" => false,
            "*" => wild,
            ">" => wild && is_last,
            word => !word.contains(|c: char| c.is_whitespace() || c.is_control()),
        };
        if !good {
            return false;
        }
    }
    true
}

fn bad_subject(address: &Address, subject: &str) -> crate::error::Error {
    match subject {
        "" => address.wrong("no subject in the address"),
        subject => address.wrong(format!("{} is not a subject", quote(subject))),
    }
}
