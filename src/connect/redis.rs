//! `redis://host:6379/0`: streams and channels of Redis.
//!
//! The address names user, password, host, port (6379 where none is given) and the number of the
//! database; a password without a user is `redis://:password@host`. There is no TLS.
//!
//! | options of both | |
//! |---|---|
//! | `stream` | the stream (of a sink a [template](super::Template)) |
//! | `channel` | in its place: the channel of pub/sub, which keeps nothing for who is not there (of a sink a template) |
//! | `field` | which field of an entry is the payload, "data"; an entry without it is taken as an object of its fields |
//! | `timeout` | how long the server may take to answer, "5s" |
//!
//! | options of a source | |
//! |---|---|
//! | `group` | the consumer group, made where it is missing; all sources that name it share the work. With `stream` |
//! | `consumer` | the name in the group, "tributary"; several sources may have the same |
//! | `deliver` | where a new group begins: "all" (what the stream has) or "new" |
//! | `claim_after` | the time after which an entry without an ack is claimed from its consumer (XAUTOCLAIM), "30s". It is extended for entries under way |
//! | `redeliver_after` | the pause before an entry that failed comes again, "1s" |
//! | `in_flight` | how many entries are under way at most, 2048 |
//! | `pattern` | in place of `channel`: all channels like this one, `bets.*` |
//!
//! | options of a sink | |
//! |---|---|
//! | `max_len` | about so many entries the stream keeps (MAXLEN ~) |
//!
//! What a source emits has the meta `stream` and `id`, or `channel`.
//!
//! The invariants: an entry is acked when all that was made of it was delivered; one that failed comes
//! again, and one whose owner has gone is claimed. An ack that a lost connection has kept from the
//! server is sent by the next one. A batch is committed when the server has answered to each of its
//! commands, and a command that was answered is not sent again. A reply of more than 64 MiB ends the
//! connection before it is read ([`guard`]); entries are asked for in smaller numbers from then on.
//!
//! An option more is a line in the tables, in the list of its [`Make`] and where its node is made.

mod channel;
mod config;
mod connection;
mod entry;
mod guard;
mod sink;
mod stream;

use super::{Address, Connector, Make, Settings};
use crate::error::{Result, quote};
use crate::format::Framing;
use crate::node::{Sink, Source};
use config::ConnectConfig;
use std::time::Duration;

pub(super) const REDIS: Connector = Connector {
    scheme: "redis",
    templates: &["channel", "stream", "template"],
    source: Some(Make {
        options: &[
            "channel",
            "claim_after",
            "consumer",
            "deliver",
            "field",
            "group",
            "in_flight",
            "pattern",
            "redeliver_after",
            "stream",
            "timeout",
        ],
        bytes: Some(Framing::Message),
        make: source,
    }),
    sink: Some(Make {
        options: &["channel", "field", "max_len", "stream", "timeout"],
        bytes: Some(Framing::Message),
        make: sink,
    }),
    ..Connector::NONE
};

/// How many events a read emits at most.
const BATCH: usize = 512;

fn source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    let config = connect_config(address, settings)?;
    let given = ["stream", "channel", "pattern"].map(|name| settings.string(name));
    let [stream, channel, pattern] = given;
    let of_streams = [
        "claim_after",
        "consumer",
        "deliver",
        "field",
        "group",
        "redeliver_after",
    ];
    let stray = of_streams.into_iter().find(|name| settings.has(name));
    let format = settings.format(Framing::Message)?;
    let in_flight = settings.count("in_flight", 2048)?;
    let (name, is_pattern) = match (stream?, channel?, pattern?) {
        (Some(stream), None, None) => {
            let options = stream::Options {
                stream: stream.to_owned(),
                group: settings.required("group")?.to_owned(),
                consumer: settings
                    .string("consumer")?
                    .unwrap_or("tributary")
                    .to_owned(),
                only_new: settings.choice("deliver", &["all", "new"])? == Some("new"),
                field: settings.string("field")?.unwrap_or("data").to_owned(),
                claim_after: settings.duration("claim_after", Duration::from_secs(30))?,
                redeliver_after: match settings.duration_or_none("redeliver_after")? {
                    None => Duration::from_secs(1),
                    Some(pause) => pause,
                },
                in_flight,
                format,
            };
            return Ok(Box::new(stream::StreamSource::new(config, options)));
        }
        (None, Some(channel), None) => (channel, false),
        (None, None, Some(pattern)) => (pattern, true),
        _ => return Err(settings.refuse("set one of stream, channel and pattern")),
    };
    if let Some(name) = stray {
        return Err(settings.refuse(format!("option {name} needs the option stream")));
    }
    let source =
        channel::ChannelSource::new(config, name.to_owned(), is_pattern, in_flight, &format);
    Ok(Box::new(source))
}

fn sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let config = connect_config(address, settings)?;
    let max_len = settings.integer("max_len", 1..=i64::MAX)?;
    let field = settings.string("field")?.unwrap_or("data").to_owned();
    let (stream, channel) = (settings.template("stream")?, settings.template("channel")?);
    let to = match (stream, channel) {
        (Some(stream), None) => sink::To::Stream {
            stream,
            field,
            max_len,
        },
        (None, Some(channel)) => {
            if let Some(name) = ["field", "max_len"].iter().find(|name| settings.has(name)) {
                let error = format!("option {name} needs the option stream");
                return Err(settings.refuse(error));
            }
            sink::To::Channel(channel)
        }
        _ => return Err(settings.refuse("set one of stream and channel")),
    };
    Ok(Box::new(sink::RedisSink::new(
        config,
        to,
        settings.encoder(Framing::Message)?,
    )))
}

fn connect_config(address: &Address, settings: &Settings) -> Result<ConnectConfig> {
    let server = address.server(6379)?;
    if let Some((name, _)) = server.query.first() {
        let error = address.wrong(format!("unknown parameter {} after the ?", quote(name)));
        return Err(error.with_hint("set options in the table of options"));
    }
    let database = match server.path.as_str() {
        "" => 0,
        path => path.parse::<u32>().map_err(|_| {
            let error = address.wrong(format!("{} is not a database number", quote(path)));
            error.with_hint("the stream or channel is an option")
        })?,
    };
    Ok(ConnectConfig {
        address: address.clone(),
        server,
        database: i64::from(database),
        timeout: settings.duration("timeout", Duration::from_secs(5))?,
    })
}
