//! A connection to a broker, and the runtime of its client.
//!
//! The invariants: the runtime runs only in [`Connection::next`], which ends at its time limit; a connection that
//! was lost first gives what had come by it, then its error, and is not used again. The client would
//! reconnect by itself, but only the node that opens a new one knows what was under way.

use crate::connect::support::runtime::ClientRuntime;
use crate::connect::{Address, Server};
use crate::error::{Error, Result};
use crate::time::monotonic;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode as Code, DisconnectReasonCode as Reason, Publish,
};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, Request, StateError,
};
use rumqttc::{NetworkOptions, Outgoing};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// After this time without traffic the client sends a ping; the broker answers within half
/// as much more, or given up.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How often an idle node lets the client send a ping.
pub(super) const PUMP: Duration = Duration::from_secs(10);
/// The largest message that the broker is to send.
const LARGEST: u32 = 16 << 20;
/// A ping that the client sends by itself is that far away when another one is sent.
const MARGIN: Duration = Duration::from_secs(1);
/// How long the broker is given to see that the client leaves.
const LEAVE: Duration = Duration::from_millis(500);

/// Where to connect to, and as whom.
#[derive(Clone, PartialEq)]
pub(super) struct ConnectConfig {
    pub address: Address,
    pub server: Server,
    pub client_id: String,
    pub session: Duration,
    pub timeout: Duration,
}

/// What differs between those who send and those who listen.
pub(super) struct Role {
    /// How many messages may be under way from here.
    pub sends: u16,
    /// How many may be under way from the broker.
    pub receives: u16,
    /// How many requests the client takes before it is to be polled.
    pub requests: usize,
}

/// A connection.
pub(super) struct Connection {
    pub client: AsyncClient,
    events: EventLoop,
    runtime: ClientRuntime,
    address: Address,
    timeout: Duration,
    trouble: Option<Error>,
    pub granted: Granted,
    /// When the client sends a ping by itself.
    ping_at: Instant,
    /// Whether it is to ask without that.
    is_nudging: bool,
}

/// What the broker grants.
pub(super) struct Granted {
    /// Whether the session of an earlier connection is resumed.
    pub is_resumed: bool,
    pub max_qos: u8,
    pub retain: bool,
    pub shared: bool,
    /// The largest packet that it takes.
    pub largest: usize,
    /// How many messages it takes before it has confirmed the first.
    pub receives: u16,
}

impl ConnectConfig {
    pub fn connect(&self, role: &Role) -> Result<Connection> {
        let runtime = ClientRuntime::new("an MQTT client")?;
        let (client, events) = AsyncClient::new(self.options(role), role.requests);
        let mut connection = Connection {
            client,
            events,
            runtime,
            address: self.address.clone(),
            timeout: self.timeout,
            trouble: None,
            granted: Granted::of(None),
            ping_at: monotonic(),
            is_nudging: false,
        };
        match connection.next(self.timeout)? {
            Some(Event::Incoming(Incoming::ConnAck(ack))) => {
                connection.granted = Granted::of(Some(&ack));
                connection.ping_at = monotonic() + connection.events.options.keep_alive();
                Ok(connection)
            }
            _ => {
                let error = self.address.unavailable("no answer within the time limit");
                connection.trouble = Some(error.clone());
                Err(error)
            }
        }
    }

    fn options(&self, role: &Role) -> MqttOptions {
        let host = if self.server.host.contains(':') {
            format!("[{}]", self.server.host)
        } else {
            self.server.host.clone()
        };
        let mut options = MqttOptions::new(&self.client_id, host, self.server.port);
        let Server { user, password, .. } = &self.server;
        if !(user.is_empty() && password.is_empty()) {
            options.set_credentials(user, password);
        }
        // Ours is the stricter limit.
        let seconds = self.timeout.as_secs() + 1;
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(seconds);
        let session = self.session.as_secs_f64().ceil();
        let session = if session < f64::from(u32::MAX) {
            session as u32
        } else {
            u32::MAX
        };
        options
            .set_network_options(network)
            .set_connection_timeout(seconds)
            .set_keep_alive(KEEP_ALIVE)
            .set_manual_acks(true)
            .set_clean_start(self.session.is_zero())
            .set_session_expiry_interval(Some(session))
            .set_receive_maximum(Some(role.receives))
            .set_max_packet_size(Some(LARGEST))
            .set_outgoing_inflight_upper_limit(role.sends);
        options
    }
}

impl Granted {
    fn of(ack: Option<&ConnAck>) -> Self {
        let properties = ack.and_then(|ack| ack.properties.as_ref());
        let largest = properties.and_then(|of| of.max_packet_size);
        let is_there = |flag: Option<u8>| flag != Some(0);
        Granted {
            is_resumed: ack.is_some_and(|ack| ack.session_present),
            max_qos: properties.and_then(|of| of.max_qos).unwrap_or(2),
            retain: is_there(properties.and_then(|of| of.retain_available)),
            shared: is_there(properties.and_then(|of| of.shared_subscription_available)),
            largest: largest.map_or(256 << 20, |most| most as usize),
            receives: properties.and_then(|of| of.receive_max).unwrap_or(u16::MAX),
        }
    }
}

impl Connection {
    /// What happens next, or `None` where nothing does within `limit`; without a limit only what is
    /// there already.
    pub fn next(&mut self, limit: Duration) -> Result<Option<Event>> {
        let next = self.polled(limit);
        if let Ok(Some(Event::Outgoing(Outgoing::PingReq))) = next {
            if std::mem::take(&mut self.is_nudging) {
                self.events.state.await_pingresp = false
            } else {
                self.ping_at = monotonic() + self.events.options.keep_alive()
            }
        }
        next
    }

    fn polled(&mut self, limit: Duration) -> Result<Option<Event>> {
        if let Some(event) = self.events.state.events.pop_front() {
            return Ok(Some(event));
        }
        if let Some(error) = &self.trouble {
            return Err(error.clone());
        }
        let polled = self.runtime.run(async {
            let mut next = pin!(self.events.poll());
            if limit.is_zero() {
                let now = std::future::poll_fn(|cx| match next.as_mut().poll(cx) {
                    Poll::Ready(polled) => Poll::Ready(Some(polled)),
                    Poll::Pending => Poll::Ready(None),
                });
                return now.await;
            }
            tokio::time::timeout(limit, next).await.ok()
        });
        match polled.transpose() {
            Ok(Some(Event::Incoming(Incoming::Publish(message)))) if has_alias(&message) => {
                let error = "the broker sends a topic alias, which was not requested";
                let error = self.address.unavailable(error);
                self.trouble = Some(error.clone());
                Err(error)
            }
            Ok(event) => Ok(event),
            Err(error) => {
                let error = self.error(&error);
                self.trouble = Some(error.clone());
                match self.events.state.events.pop_front() {
                    Some(event) => Ok(Some(event)),
                    None => Err(error),
                }
            }
        }
    }

    /// Has the last words of the broker acknowledged at once, by a ping. Until then it may hold back
    /// further ones (Nagle's algorithm), and the system acknowledges late where nothing is sent.
    pub fn nudge(&mut self) {
        // Two pings at once are an error of the client's.
        if !self.is_nudging && monotonic() + MARGIN < self.ping_at {
            self.events.state.await_pingresp = false;
            self.events.pending.push_back(Request::PingReq);
            self.is_nudging = true;
        }
    }

    /// It need not be any more.
    pub fn do_not_nudge(&mut self) {
        if std::mem::take(&mut self.is_nudging) {
            self.events.pending.clear();
        }
    }

    /// The same, where it is an error that nothing happens before the time limit of an answer.
    pub fn awaited(&mut self, since: Instant) -> Result<Event> {
        let left = self.timeout.saturating_sub(monotonic() - since);
        let next = match left {
            Duration::ZERO => None,
            left => self.next(left)?,
        };
        next.ok_or_else(|| {
            let error = "no answer within the time limit";
            let error = self.address.unavailable(error);
            self.trouble = Some(error.clone());
            error
        })
    }

    /// Takes PUBRELs of messages that another connection of this session has acked; the client
    /// knows those of its own only, and gives up the connection otherwise.
    pub fn expect_releases(&mut self) -> Result<()> {
        for packet in 1..=u16::MAX {
            let mut known = Publish::new("", QoS::ExactlyOnce, Vec::new(), None);
            known.pkid = packet;
            let taken = self
                .events
                .state
                .handle_incoming_packet(Incoming::Publish(known));
            taken.map_err(|error| self.address.unavailable(error))?;
            self.events.state.events.pop_back();
        }
        Ok(())
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The error of the client as an [`Error`].
    fn error(&self, error: &ConnectionError) -> Error {
        match error {
            ConnectionError::ConnectionRefused(code) => match code {
                Code::BadUserNamePassword
                | Code::NotAuthorized
                | Code::Banned
                | Code::BadAuthenticationMethod => {
                    let error = self.address.wrong("the broker refuses user and password");
                    error.with_hint("write mqtt://user:password@host")
                }
                Code::BadClientId | Code::ClientIdentifierNotValid => {
                    let error = self.address.wrong("the broker refuses the client_id");
                    error.with_hint("set the option client_id to another name")
                }
                Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => {
                    self.address.wrong("the broker does not support MQTT 5")
                }
                code => {
                    let error = format!("the broker refuses the connection: {code:?}");
                    self.address.unavailable(error)
                }
            },
            ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
                match reason_code {
                    Reason::SessionTakenOver => {
                        let error = "another client has connected with the same client_id";
                        let error = self.address.wrong(error);
                        error.with_hint(
                            "give each client its own; to share the work, set the option group",
                        )
                    }
                    reason => {
                        let error = format!("the broker closed the connection: {reason:?}");
                        self.address.unavailable(error)
                    }
                }
            }
            ConnectionError::Timeout(_) => {
                self.address.unavailable("no answer within the time limit")
            }
            ConnectionError::MqttState(StateError::ConnectionAborted) => {
                self.address.unavailable("the connection is lost")
            }
            ConnectionError::MqttState(StateError::Deserialization(error)) => {
                self.address.unavailable(error)
            }
            error => self.address.unavailable(error),
        }
    }
}

/// The client keeps the topic of each alias.
fn has_alias(message: &Publish) -> bool {
    let properties = message.properties.as_ref();
    properties.is_some_and(|properties| properties.topic_alias.is_some())
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Otherwise the end of a connection on which something has come unread would take with it
        // what was sent last.
        if self.trouble.is_none() && self.client.try_disconnect().is_ok() {
            let until = monotonic() + self.timeout.min(LEAVE);
            loop {
                let left = until.saturating_duration_since(monotonic());
                if left.is_zero() || !matches!(self.next(left), Ok(Some(_))) {
                    break;
                }
            }
        }
    }
}
