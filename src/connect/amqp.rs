//! `amqp://host/vhost`: queues and exchanges of RabbitMQ.
//!
//! The address is `amqp://user:password@host:port/vhost`: `guest:guest`, port 5672 and the virtual host `/`
//! (written `%2f`) where they are not given. There is no TLS.
//!
//! | options of both | |
//! |---|---|
//! | `declare` | `true` or an object: makes the queue or the exchange where it is missing ([`declare`]) |
//! | `timeout` | how long the server may take to answer, "5s" |
//!
//! | options of a source | |
//! |---|---|
//! | `queue` | the queue; all sources that name it share the work |
//! | `prefetch` | how many messages are under way at most, 1024 |
//! | `redeliver_after` | the pause before a message that failed comes again, "1s" |
//! | `requeue` | `false`: one that failed does not come again, but goes where the queue's dead letters go, or is dropped |
//!
//! | options of a sink | |
//! |---|---|
//! | `exchange` | the exchange; without it the default one, where `key` is the name of a queue |
//! | `key` | template of the routing key |
//! | `mandatory` | `false`: an event that no queue takes counts as delivered; else it is refused |
//! | `persistent` | `false`: a message need not outlive a restart of the server |
//! | `headers` | an object of templates |
//! | `id` | template of the message id |
//! | `content_type` | "application/json" |
//!
//! What a source emits has the meta `exchange`, `key`, `redelivered` and, where there are any, `headers` and
//! the `id`.
//!
//! The invariants: a message is acked when all that was made of it was delivered, and nacked when that
//! failed; what a lost connection has left without an answer comes again. A batch is committed when the
//! server has confirmed each of its messages, all of which are under way at once; what it has
//! confirmed is not sent again. No more than 64 MiB are read beyond what the node has taken, and no message
//! that is longer ([`intake`]).
//!
//! The client is lapin: it is released often, gives the number of the reason why the server has refused something, and
//! distinguishes a refused password from a lost connection. amqprs does not ask the server for that, and writes
//! every frame by itself; amiquip blocks, as would fit here, but has had no release for years.
//! It has a thread for its socket and its tasks on a runtime that runs only while the node waits ([`connection`]).
//! An option more is a line in the tables, in the list of its [`Make`] and where its node is made.

mod connection;
mod declare;
mod intake;
mod ledger;
mod sink;
mod source;
mod value;

use super::{Address, Connector, Make, Settings};
use crate::error::{Error, Result, quote};
use crate::format::Framing;
use crate::node::{Sink, Source};
use connection::ConnectConfig;
use lapin::types::ShortString;
use std::time::Duration;

pub(super) const AMQP: Connector = Connector {
    scheme: "amqp",
    templates: &["headers", "id", "key", "template"],
    source: Some(Make {
        options: &[
            "declare",
            "prefetch",
            "queue",
            "redeliver_after",
            "requeue",
            "timeout",
        ],
        bytes: Some(Framing::Message),
        make: source,
    }),
    sink: Some(Make {
        options: &[
            "content_type",
            "declare",
            "exchange",
            "headers",
            "id",
            "key",
            "mandatory",
            "persistent",
            "timeout",
        ],
        bytes: Some(Framing::Message),
        make: sink,
    }),
    ..Connector::NONE
};

fn source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    let queue = short(settings.required("queue")?)?;
    if queue.as_str().is_empty() {
        return Err(settings.wrong("queue", "a name"));
    }
    let most = i64::from(u16::MAX);
    let prefetch = settings.integer("prefetch", 1..=most)?.unwrap_or(1024);
    let pause = settings.duration_or_none("redeliver_after")?;
    let source = source::QueueSource::new(
        connect_config(address, settings)?,
        declare::Queue::parse(queue, settings)?,
        u16::try_from(prefetch).expect("it was checked to be one"),
        pause.unwrap_or(Duration::from_secs(1)),
        settings.boolean("requeue", true)?,
        &settings.format(Framing::Message)?,
    );
    Ok(Box::new(source))
}

fn sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let exchange = short(settings.string("exchange")?.unwrap_or_default())?;
    let exchange = declare::Exchange::parse(exchange, settings)?;
    let config = connect_config(address, settings)?;
    Ok(Box::new(sink::ExchangeSink::new(
        config, exchange, settings,
    )?))
}

fn connect_config(address: &Address, settings: &Settings) -> Result<ConnectConfig> {
    let server = address.server_with_path(5672)?;
    if let Some((name, _)) = server.query.first() {
        let error = address.wrong(format!("unknown parameter {} after the ?", quote(name)));
        return Err(error.with_hint("set options in the table of options"));
    }
    let vhost = server.decoded_path()?;
    short(&vhost)?;
    let (user, password) = match (server.user.as_str(), server.password.as_str()) {
        ("", "") => ("guest", "guest"),
        given => given,
    };
    Ok(ConnectConfig {
        address: address.clone(),
        user: user.to_owned(),
        password: password.to_owned(),
        host: server.host.clone(),
        port: server.port,
        vhost: match vhost.as_str() {
            "" => "/".to_owned(),
            _ => vhost,
        },
        timeout: settings.duration("timeout", Duration::from_secs(5))?,
    })
}

/// A name as the protocol has them: at most 255 bytes.
fn short(text: &str) -> Result<ShortString> {
    ShortString::try_new(text).map_err(|_| {
        let text = quote(text);
        Error::data(format!("{text} has more than 255 bytes"))
    })
}
