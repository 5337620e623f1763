//! A connection to RabbitMQ, and the runtime of its client.
//!
//! The invariant: the runtime runs only in [`Connection::wait`] and what is made of it, which end at their time
//! limit. A connection that was lost is never used again: the engine opens another one.

use super::intake::{self, Intake};
use crate::connect::Address;
use crate::connect::support::runtime::ClientRuntime;
use crate::error::{Error, ErrorKind, Result, quote};
use futures_util::future::maybe_done;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, ConnectionProperties};
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// How often both sides send a heartbeat, in seconds.
const HEARTBEAT: u16 = 60;
/// The time limit of a close.
const FAREWELL: Duration = Duration::from_millis(500);

/// Where to connect to, and as whom.
#[derive(Clone, PartialEq)]
pub(super) struct ConnectConfig {
    pub address: Address,
    pub user: String,
    pub password: String,
    pub host: String,
    pub port: u16,
    pub vhost: String,
    pub timeout: Duration,
}

/// A connection with one channel.
pub(super) struct Connection {
    pub channel: Channel,
    pub intake: Arc<Intake>,
    client: lapin::Connection,
    address: Address,
    timeout: Duration,
    runtime: ClientRuntime,
}

impl ConnectConfig {
    pub fn connect(&self) -> Result<Connection> {
        let runtime = ClientRuntime::new("an AMQP client")?;
        let intake = Arc::new(Intake::default());
        let connected = runtime.run_within(self.timeout, async {
            let name = ConnectionProperties::default();
            let name = name.with_connection_name("tributary".into());
            let bounded = intake::runtime(&intake);
            let client =
                lapin::Connection::connect_uri_with_runtime(self.uri(), name, bounded).await?;
            let channel = client.create_channel().await?;
            Ok((client, channel))
        });
        match connected.unwrap_or_else(|| Err(late())) {
            Ok((client, channel)) => Ok(Connection {
                channel,
                intake,
                client,
                address: self.address.clone(),
                timeout: self.timeout,
                runtime,
            }),
            Err(error) => Err(self.refused(&error)),
        }
    }

    fn uri(&self) -> AMQPUri {
        let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        AMQPUri {
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: self.user.clone(),
                    password: self.password.clone(),
                },
                host: self.host.clone(),
                port: self.port,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                heartbeat: Some(HEARTBEAT),
                frame_max: Some(intake::FRAME),
                connection_timeout: Some(millis),
                ..AMQPQueryString::default()
            },
        }
    }

    /// Why there is no connection.
    fn refused(&self, error: &lapin::Error) -> Error {
        let (vhost, user) = (quote(&self.vhost), quote(&self.user));
        match protocol_error(error) {
            Some((403, _)) => {
                let error = self.address.wrong("the server refuses user and password");
                error.with_hint("check them; the user guest may connect from the same machine only")
            }
            Some((530, text)) if text.contains("not found") => {
                let error = self.address.wrong(format!("there is no vhost {vhost}"));
                error.with_hint(format!("create it: rabbitmqctl add_vhost {vhost}"))
            }
            Some((530, text)) if text.contains("refused for user") => {
                let error = format!("user {user} may not use the vhost {vhost}");
                let error = self.address.wrong(error);
                error.with_kind(ErrorKind::NoPermission).with_hint(format!(
                    "allow it: rabbitmqctl set_permissions -p {vhost} {user} \".*\" \".*\" \".*\""
                ))
            }
            _ => explained(&self.address, error),
        }
    }
}

fn late() -> lapin::Error {
    let error = "no answer within the time limit";
    std::io::Error::new(std::io::ErrorKind::TimedOut, error).into()
}

/// The code and the text of an error of the server.
pub(super) fn protocol_error(error: &lapin::Error) -> Option<(u16, &str)> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(protocol) => {
            Some((protocol.get_id(), protocol.get_message().as_str()))
        }
        _ => None,
    }
}

/// What an error is for the engine: only what was not allowed is for good.
fn explained(address: &Address, error: &lapin::Error) -> Error {
    match (protocol_error(error), error.kind()) {
        (Some((403, text)), _) => address.wrong(text).with_kind(ErrorKind::NoPermission),
        (Some((_, text)), _) => address.unavailable(text),
        (None, lapin::ErrorKind::IOError(error)) => address.unavailable(error),
        (None, _) => address.unavailable(error),
    }
}

impl Connection {
    /// What comes of this, or `None` where that takes longer than `limit`.
    pub fn wait<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        self.runtime.run_within(limit, work)
    }

    /// The same, where it is an error that it takes longer than the server may take to answer.
    pub fn answer<T>(&self, work: impl Future<Output = lapin::Result<T>>) -> lapin::Result<T> {
        let answer = self.wait(self.timeout, work);
        answer.unwrap_or_else(|| Err(late()))
    }

    /// The same, with the error as the engine takes it.
    pub fn done<T>(&self, work: impl Future<Output = lapin::Result<T>>) -> Result<T> {
        self.answer(work).map_err(|error| self.error(&error))
    }

    /// Lets the client receive and send heartbeats.
    pub fn pump(&self) -> Result<()> {
        let pause = tokio::time::sleep;
        self.wait(Duration::from_secs(1), async {
            pause(Duration::from_millis(1)).await;
        });
        if self.client.status().connected() && self.channel.status().connected() {
            Ok(())
        } else {
            Err(self.address.unavailable("the connection is lost"))
        }
    }

    pub fn error(&self, error: &lapin::Error) -> Error {
        explained(&self.address, error)
    }

    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// What comes of all of them: each is begun in its turn before any is waited for.
pub(super) async fn pipelined<F: Future>(works: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut no_waker = Context::from_waker(Waker::noop());
    let begun = works.map(|work| {
        let mut work = Box::pin(maybe_done(work));
        // It is polled again below.
        let _ = work.as_mut().poll(&mut no_waker);
        work
    });
    let begun: Vec<_> = begun.collect();
    let mut all = Vec::with_capacity(begun.len());
    for mut work in begun {
        work.as_mut().await;
        all.extend(work.as_mut().take_output());
    }
    all
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.client.status().connected() {
            // Without it the server gives back what was under way a little later.
            let farewell = self.client.close(200, "the end".into());
            let _ = self.runtime.run_within(FAREWELL, farewell);
        }
    }
}
