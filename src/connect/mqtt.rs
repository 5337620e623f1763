//! `mqtt://host:1883`: topics of a broker with MQTT 5.
//!
//! The address names user, password, host and port (1883 where none is given). There is no TLS.
//!
//! | options of both | |
//! |---|---|
//! | `topic` | of a source one or a list, with `+` for any one level and `#` for all that follow; of a sink a [template](super::Template) |
//! | `qos` | of a source the maximum, of a sink the QoS of its messages: 0, 1 or 2; default 1 |
//! | `client_id` | the name towards the broker, no two of which may be connected at once; without it the broker gives one |
//! | `timeout` | how long the broker may take to answer, "5s" |
//!
//! | options of a source | |
//! |---|---|
//! | `session` | for how long the broker keeps what comes while the source is not there, "1d" with a `client_id`; "0s" and without one it keeps nothing |
//! | `group` | sources of one group share the work (`$share/GROUP/TOPIC`), each with a `client_id` of its own: `"bets-${env:HOSTNAME}"` |
//! | `redeliver_after` | the pause before a message that failed comes again, "1s" |
//! | `in_flight` | the most messages under way, 2048 (the receive maximum) |
//!
//! | options of a sink | |
//! |---|---|
//! | `retain` | whether the broker keeps the last message of each topic for those who come later |
//!
//! What a source emits has the meta `topic`, `qos`, `retain` (whether the broker had kept it from
//! before) and `duplicate` (whether it may have been sent before).
//!
//! The invariants: a message of QoS 1 or 2 is acked when all that was made of it was delivered, and
//! in the order in which the messages came, as the protocol demands ([`order`]). A broker sends a
//! message again only after a new connection, so one that failed is emitted again from memory,
//! unacked until it succeeds; behind one that never does, `in_flight` messages are taken and no more.
//! Of a connection that was lost nothing is forgotten: what the broker sends again by the next one is
//! known by its number and is not emitted twice; only an ack that was lost with its connection makes
//! a message of QoS 1 come twice.
//!
//! A batch is committed when the broker has confirmed each of its messages. With QoS 0 no message is confirmed
//! anything: the batch is committed when it is written to the connection, and lost with it. What was
//! not confirmed when the connection was lost is sent again as a new message, also with QoS 2.
//! A message that the broker refuses rejects its event only.
//!
//! A sink that waits for the last answers to a batch pings the broker meanwhile: mosquitto holds them
//! back until the system has acknowledged the first ones, which it does late where nothing is sent
//! (40 ms; `set_tcp_nodelay true` ends that at its root).
//!
//! Brokers keep less than one may think: mosquitto drops what exceeds 1000 messages of a session
//! (`max_queued_messages`), lets a sink have 20 messages under way (`max_inflight_messages`), and
//! version 2.0.11 keeps nothing for a group from its restart until the sources are back. Of two clients
//! with one `client_id` the second takes the first one's place: that one ends with an error where
//! the broker gives a reason, and takes it back otherwise. Messages beyond 16 MiB are not sent here; of
//! QoS 0, what comes while there is no room may be lost.
//!
//! The client runs on a private current-thread runtime on the node's thread ([`connection`]):
//! its blocking face is the same, but makes a timer for each message, and its end may wait for the
//! look-up of a name. An option more is a line in the tables, in the list of its [`Make`] and where
//! its node is made.

mod connection;
mod order;
mod sink;
mod source;
mod topic;

use super::{Address, Connector, Make, Settings};
use crate::error::{Result, quote};
use crate::format::Framing;
use crate::node::{Sink, Source};
use connection::ConnectConfig;
use rumqttc::v5::mqttbytes::QoS;
use std::time::Duration;

pub(super) const MQTT: Connector = Connector {
    scheme: "mqtt",
    templates: &["topic", "template"],
    source: Some(Make {
        options: &[
            "client_id",
            "group",
            "in_flight",
            "qos",
            "redeliver_after",
            "session",
            "timeout",
            "topic",
        ],
        bytes: Some(Framing::Message),
        make: source,
    }),
    sink: Some(Make {
        options: &["client_id", "qos", "retain", "timeout", "topic"],
        bytes: Some(Framing::Message),
        make: sink,
    }),
    ..Connector::NONE
};

fn source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    let mut config = connect_config(address, settings)?;
    let qos = qos(settings)?;
    let mut topics = settings.list("topic")?;
    if topics.is_empty() {
        settings.required("topic")?;
        return Err(settings.wrong("topic", "at least one topic"));
    }
    if let Some(bad) = topics.iter().find(|one| !topic::is_filter(one)) {
        return Err(settings.refuse(format!("{} is not a topic filter", quote(bad))));
    }
    if let Some(shared) = topics.iter().find(|one| one.starts_with("$share/")) {
        let error = settings.refuse(format!("{} names a group", quote(shared)));
        return Err(error.with_hint("set the option group"));
    }
    if let Some(group) = settings.string("group")? {
        if group.is_empty() || group.contains(['/', '+', '#', '\0']) {
            return Err(settings.wrong("group", "a name without /, + and #"));
        }
        for topic in &mut topics {
            *topic = format!("$share/{group}/{topic}");
        }
    }
    config.session = match (settings.duration_or_none("session")?, &*config.client_id) {
        (None, "") => Duration::ZERO,
        (None, _) => Duration::from_secs(24 * 3600),
        (Some(session), "") if !session.is_zero() => {
            return Err(settings.refuse("a session needs the option client_id"));
        }
        (Some(session), _) => session,
    };
    let in_flight = settings.integer("in_flight", 1..=i64::from(u16::MAX))?;
    let in_flight = in_flight.and_then(|count| u16::try_from(count).ok());
    let options = source::Options {
        topics,
        qos,
        redeliver_after: match settings.duration_or_none("redeliver_after")? {
            None => Duration::from_secs(1),
            Some(pause) => pause,
        },
        in_flight: in_flight.unwrap_or(2048),
        format: settings.format(Framing::Message)?,
    };
    Ok(Box::new(source::MqttSource::new(config, options)))
}

fn sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let config = connect_config(address, settings)?;
    settings.required("topic")?;
    let topic = settings.template("topic")?;
    let topic = topic.ok_or_else(|| settings.wrong("topic", "a template"))?;
    if let Some(fixed) = topic.constant()
        && !topic::is_name(fixed)
    {
        return Err(topic::bad_name(fixed).within("option topic of mqtt sinks"));
    }
    let retain = settings.boolean("retain", false)?;
    let sink = sink::MqttSink::new(
        config,
        topic,
        qos(settings)?,
        retain,
        settings.encoder(Framing::Message)?,
    );
    Ok(Box::new(sink))
}

fn qos(settings: &Settings) -> Result<QoS> {
    Ok(match settings.integer("qos", 0..=2)? {
        Some(0) => QoS::AtMostOnce,
        None | Some(1) => QoS::AtLeastOnce,
        Some(_) => QoS::ExactlyOnce,
    })
}

fn connect_config(address: &Address, settings: &Settings) -> Result<ConnectConfig> {
    let server = address.server(1883)?;
    if let Some((name, _)) = server.query.first() {
        let error = address.wrong(format!("unknown parameter {} after the ?", quote(name)));
        return Err(error.with_hint("set options in the table of options"));
    }
    if !server.path.is_empty() {
        let error = address.wrong(format!("{} is no part of it", quote(&server.path)));
        return Err(error.with_hint("the topic is an option"));
    }
    Ok(ConnectConfig {
        address: address.clone(),
        client_id: settings.string("client_id")?.unwrap_or("").to_owned(),
        session: Duration::ZERO,
        timeout: settings.duration("timeout", Duration::from_secs(5))?,
        server,
    })
}
