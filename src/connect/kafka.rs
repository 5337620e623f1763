//! `kafka://host:9092/topic`: topics of Kafka.
//!
//! The address names the host of one broker, which names the others, a port (9092 where none is
//! given) and the topic; user and password are for SASL PLAIN. There is no TLS.
//!
//! | options of both | |
//! |---|---|
//! | `servers` | further brokers to ask at first, `"host:port"` |
//! | `timeout` | how long the cluster may take to answer, "5s" |
//!
//! | options of a source | |
//! |---|---|
//! | `group` | the consumer group: all sources that name it share the partitions |
//! | `deliver` | where a group without a position begins: "all" (what the topic has) or "new" |
//! | `redeliver_after` | the pause before a message that failed comes again, "1s" |
//! | `in_flight` | how many messages are under way at most, 2048; eight times as many are taken ahead of one that is not delivered |
//! | `commit_every` | how often positions are written to the cluster, "1s" |
//! | `session` | after how long without a sign of life the partitions go to others, "45s" |
//!
//! | options of a sink | |
//! |---|---|
//! | `key` | template of the key: messages of one key go to one partition, in order, by the same hash as with clients in Java |
//! | `headers` | an object of templates |
//! | `compression` | "none", "lz4" or "snappy" |
//!
//! The topic of a sink is a [template](super::Template). What a source emits has the meta `topic`,
//! `partition`, `offset` and, where there are any, `key` and `headers`; a message without a value is
//! `null`.
//!
//! The invariants: the position of a partition never passes a message that is not delivered
//! ([`positions`]); one that failed comes again while the partition is ours, and after that the
//! member that has the partition begins at its position. A batch is committed when the cluster has confirmed each
//! of its messages; the producer is idempotent, and a message that waits for its confirmation is not
//! sent again when its batch comes again.
//!
//! A reply is bounded (64 MiB; 4 MiB, where it has several batches), and so is what waits of each partition
//! (64 MiB). What a compressed batch becomes is not: librdkafka decompresses it whole, and ends the process
//! where there is not enough memory. lz4 makes at most 255 times as many bytes, snappy as many as the batch
//! announces, up to 4 GB; gzip and zstd are not built in.
//!
//! librdkafka does its work on threads of its own and connects again by itself, so a node keeps its
//! client when it is opened again ([`config`]). An option more is a line in the tables, in the list of
//! its [`Make`] and where its node is made.

mod config;
mod member;
mod positions;
mod sink;
mod source;

use super::{Address, Connector, Make, Settings};
use crate::error::{Result, quote};
use crate::format::Framing;
use crate::node::{Sink, Source};
use config::ConnectConfig;
use std::time::Duration;

pub(super) const KAFKA: Connector = Connector {
    scheme: "kafka",
    templates: &["headers", "key", "template"],
    source: Some(Make {
        options: &[
            "commit_every",
            "deliver",
            "group",
            "in_flight",
            "redeliver_after",
            "servers",
            "session",
            "timeout",
        ],
        bytes: Some(Framing::Message),
        make: source,
    }),
    sink: Some(Make {
        options: &["compression", "headers", "key", "servers", "timeout"],
        bytes: Some(Framing::Message),
        make: sink,
    }),
    ..Connector::NONE
};

fn source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    let (config, topic) = connect_config(address, settings)?;
    if !is_topic(&topic) {
        return Err(bad_topic(address, &topic));
    }
    let options = source::Options {
        topic,
        group: settings.required("group")?.to_owned(),
        format: settings.format(Framing::Message)?,
        only_new: settings.choice("deliver", &["all", "new"])? == Some("new"),
        redeliver_after: match settings.duration_or_none("redeliver_after")? {
            None => Duration::from_secs(1),
            Some(pause) => pause,
        },
        in_flight: settings.count("in_flight", 2048)?,
        commit_every: settings.duration("commit_every", Duration::from_secs(1))?,
        session: settings.duration("session", Duration::from_secs(45))?,
    };
    Ok(Box::new(source::KafkaSource::new(config, options)))
}

fn sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let (config, _) = connect_config(address, settings)?;
    let topic = address.path_template()?;
    if let Some(fixed) = topic.constant()
        && !is_topic(fixed)
    {
        return Err(bad_topic(address, fixed));
    }
    Ok(Box::new(sink::KafkaSink::new(config, topic, settings)?))
}

fn connect_config(address: &Address, settings: &Settings) -> Result<(ConnectConfig, String)> {
    let server = address.server_with_path(9092)?;
    if let Some((name, _)) = server.query.first() {
        let error = address.wrong(format!("unknown parameter {} after the ?", quote(name)));
        return Err(error.with_hint("set options in the table of options"));
    }
    let mut servers = vec![server.host_and_port()];
    for further in settings.list("servers")? {
        if further.is_empty() || further.contains([',', '/', '@']) {
            return Err(settings.wrong("servers", "\"host:port\""));
        }
        servers.push(further);
    }
    let config = ConnectConfig {
        address: address.clone(),
        servers: servers.join(","),
        user: server.user.clone(),
        password: server.password.clone(),
        timeout: settings.duration("timeout", Duration::from_secs(5))?,
    };
    Ok((config, server.decoded_path()?))
}

/// Whether Kafka takes it as the name of a topic.
fn is_topic(name: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !matches!(name, "" | "." | "..") && name.len() < 250 && name.chars().all(is_legal)
}

fn bad_topic(address: &Address, topic: &str) -> crate::error::Error {
    match topic {
        "" => address.wrong("no topic in the address"),
        topic => address.wrong(format!("{} is not a topic name", quote(topic))),
    }
}
