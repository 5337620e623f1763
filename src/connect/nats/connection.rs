//! A connection to a server, and the runtime of its client.
//!
//! The invariant: the runtime runs only in [`Connection::wait`] and [`Connection::done`], which end at their time
//! limit, or when the connection is lost. A connection that was lost is never used again: the client would
//! reconnect by itself, but only the node that opens a new one knows what was under way.

use super::intake::{Intake, MOST};
use crate::connect::Address;
use crate::connect::support::runtime::ClientRuntime;
use crate::error::{Error, ErrorKind, Result, quote};
use crate::secret::scrub;
use async_nats::{Client, ClientError, ConnectErrorKind, ConnectOptions, Event, Message};
use async_nats::{ServerAddr, ServerError};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use std::future::Future;
use std::net::ToSocketAddrs as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How long the system is asked why there is no connection.
const LIMIT: Duration = Duration::from_millis(500);
/// How often it is looked whether the client has connected.
const LOOK: Duration = Duration::from_millis(1);

/// Where to connect to, and as whom.
#[derive(Clone, PartialEq)]
pub(super) struct ConnectConfig {
    pub address: Address,
    pub user: String,
    pub password: String,
    pub servers: Vec<String>,
    pub credentials: Option<String>,
    pub ca: Option<String>,
    pub timeout: Duration,
}

/// What the client reports by its event callback.
#[derive(Default)]
struct Trouble {
    connected: AtomicBool,
    /// Why there is no connection.
    refused: Mutex<Option<String>>,
    lost: AtomicBool,
    changed: Notify,
    last_error: Mutex<Option<String>>,
}

/// A connection.
pub(super) struct Connection {
    pub client: Client,
    intake: Intake,
    address: Address,
    timeout: Duration,
    trouble: Arc<Trouble>,
    runtime: ClientRuntime,
}

impl ConnectConfig {
    pub fn connect(&self) -> Result<Connection> {
        let runtime = ClientRuntime::new("a NATS client")?;
        let trouble = Arc::new(Trouble::default());
        let servers = self.servers.iter().map(|server| self.parsed(server));
        let servers: Vec<ServerAddr> = servers.collect::<Result<_>>()?;
        let options = self.options(trouble.clone())?;
        let connected = runtime.run_within(self.timeout, async {
            let options = match &self.credentials {
                None => options,
                Some(path) => options
                    .credentials_file(path)
                    .await
                    .map_err(|error| Error::io(quote(path), &error).with_kind(ErrorKind::Config))?,
            };
            let client = options.connect(servers).await;
            let client = client.map_err(|error| self.address.wrong(error))?;
            let intake = Intake::new(client.statistics());
            self.connected(&trouble, &intake).await?;
            Ok::<_, Error>((client, intake))
        });
        let late = || self.address.unavailable("no answer within the time limit");
        let (client, intake) = connected.ok_or_else(late)??;
        Ok(Connection {
            client,
            intake,
            address: self.address.clone(),
            timeout: self.timeout,
            trouble,
            runtime,
        })
    }

    /// Waits until the client has connected in the background, or has failed.
    async fn connected(&self, trouble: &Trouble, intake: &Intake) -> Result<()> {
        while !trouble.connected.load(Ordering::Relaxed) {
            if intake.is_flooded() {
                return Err(flooded(&self.address));
            }
            let refused = trouble.refused.lock().take();
            if let Some(why) = refused {
                return Err(self.refused(&why));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Why there is no connection, by what the client calls it.
    fn refused(&self, why: &str) -> Error {
        let is = |kind: ConnectErrorKind| why == kind.to_string();
        if is(ConnectErrorKind::AuthorizationViolation) || is(ConnectErrorKind::Authentication) {
            let error = self.address.wrong("the server refuses user and password");
            return error.with_hint("check them, the token or the option credentials");
        }
        if is(ConnectErrorKind::Tls) {
            let error = self.address.wrong("no TLS connection to the server");
            return error
                .with_hint("its certificate must be trusted by the system or by the option ca");
        }
        let system = is(ConnectErrorKind::Io).then(|| self.system_error());
        match system.flatten() {
            Some(error) => self.address.unavailable(error),
            None => self.address.unavailable(why),
        }
    }

    /// Why the system does not connect to the first server, which the client keeps to itself.
    fn system_error(&self) -> Option<std::io::Error> {
        let server = self.servers.first()?;
        let address = server.to_socket_addrs().ok()?.next()?;
        std::net::TcpStream::connect_timeout(&address, self.timeout.min(LIMIT)).err()
    }

    fn parsed(&self, server: &str) -> Result<ServerAddr> {
        let bad = |error| {
            self.address
                .wrong(format!("bad server {}: {error}", quote(server)))
        };
        format!("nats://{server}").parse().map_err(bad)
    }

    fn options(&self, trouble: Arc<Trouble>) -> Result<ConnectOptions> {
        let mut options = ConnectOptions::new()
            .name("tributary")
            .connection_timeout(self.timeout)
            .request_timeout(Some(self.timeout))
            .ping_interval(Duration::from_secs(10))
            .require_tls(self.address.scheme() == "tls")
            .ignore_discovered_servers()
            .skip_subject_validation(true)
            .subscription_capacity(1 << 20)
            // The client is there at once, with its count of what it reads.
            .retry_on_initial_connect()
            .event_callback(move |event| {
                trouble.handle(&event);
                std::future::ready(())
            });
        if let Some(ca) = &self.ca {
            options = options.add_root_certificates(ca.into());
        }
        options = match (self.user.as_str(), self.password.as_str()) {
            ("", _) => options,
            (token, "") => options.token(token.to_owned()),
            (user, password) => options.user_and_password(user.to_owned(), password.to_owned()),
        };
        Ok(options)
    }
}

/// The server sends what was not asked for.
fn flooded(address: &Address) -> Error {
    let error = address.unavailable(format!("the server sends more than {MOST} bytes at once"));
    error.with_hint("set the option in_flight to a lower number if the messages are that large")
}

impl Trouble {
    fn handle(&self, event: &Event) {
        match event {
            Event::Connected => self.connected.store(true, Ordering::Relaxed),
            Event::ClientError(ClientError::Other(why)) => {
                *self.refused.lock() = Some(why.clone());
            }
            Event::Disconnected | Event::Closed => {
                self.lost.store(true, Ordering::Relaxed);
                self.changed.notify_waiters();
            }
            Event::ServerError(ServerError::Other(text)) => {
                let text = scrub(text).to_lowercase();
                log::warn!("the NATS server reports: {text}");
                *self.last_error.lock() = Some(text);
                self.changed.notify_waiters();
            }
            Event::SlowConsumer(_) => {
                log::warn!("NATS messages arrive faster than they are read: some are lost");
            }
            _ => {}
        }
    }
}

impl Connection {
    /// Whether the connection is there, and the server has nothing against what was done by it.
    pub fn check(&self) -> Result<()> {
        let last_error = self.trouble.last_error.lock().take();
        match last_error {
            Some(text) if text.contains("permissions violation") => {
                return Err(self.address.wrong(text).with_kind(ErrorKind::NoPermission));
            }
            Some(text) if self.is_lost() => return Err(self.address.unavailable(text)),
            _ => {}
        }
        if self.intake.is_flooded() {
            return Err(flooded(&self.address));
        }
        if self.is_lost() {
            Err(self.address.unavailable("the connection is lost"))
        } else {
            Ok(())
        }
    }

    fn is_lost(&self) -> bool {
        self.trouble.lost.load(Ordering::Relaxed)
    }

    /// What comes of this, or `None` where that takes longer than `limit`.
    pub fn wait<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<Option<T>> {
        self.check()?;
        let done = self.runtime.run(async {
            let trouble = pin!(self.trouble.changed.notified());
            let flooded = pin!(self.intake.flooded());
            let trouble = futures_util::future::select(trouble, flooded);
            let work = pin!(tokio::time::timeout(limit, work));
            match futures_util::future::select(work, trouble).await {
                futures_util::future::Either::Left((done, _)) => done.ok(),
                futures_util::future::Either::Right(_) => None,
            }
        });
        // Messages that arrived are returned first; if the connection is lost, the next call returns the error.
        if done.is_none() {
            self.check()?;
        }
        Ok(done)
    }

    /// The same, where it is an error that it takes longer than the server may take to answer.
    pub fn done<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let done = self.wait(self.timeout, work)?;
        done.unwrap_or_else(|| {
            let error = "no answer within the time limit";
            Err(self.address.unavailable(error))
        })
    }

    /// Notes that a message was taken from a subscription.
    pub fn take(&self, message: &Message) {
        self.intake.take(message);
    }

    /// Lets the client answer to pings.
    pub fn pump(&self) -> Result<()> {
        let pause = tokio::time::sleep;
        self.wait(Duration::from_secs(1), async {
            pause(Duration::from_millis(1)).await;
        })?;
        self.check()
    }

    /// Everything that was sent is on its way.
    pub async fn flushed(&self) -> Result<()> {
        let flushed = self.client.flush().await;
        flushed.map_err(|error| self.address.unavailable(error))
    }

    /// The server has read everything that was sent: it has sent back what was sent last.
    pub async fn await_echo(&self) -> Result<()> {
        let lost = |error: &dyn std::fmt::Display| self.address.unavailable(error);
        let inbox = self.client.new_inbox();
        let echo = self.client.subscribe(inbox.clone()).await;
        let mut echo = echo.map_err(|error| lost(&error))?;
        let sent = self.client.publish(inbox, "".into()).await;
        sent.map_err(|error| lost(&error))?;
        match echo.next().await {
            Some(message) => self.intake.take(&message),
            None => return Err(lost(&"the connection is lost")),
        }
        // The server sent its error before, and another task receives it.
        tokio::task::yield_now().await;
        self.check()
    }

    pub fn address(&self) -> &Address {
        &self.address
    }
}
