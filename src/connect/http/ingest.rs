//! The source of `http:`: a server to which events are posted.
//!
//! The body of a request is a JSON document, a list of them, or JSON lines ([`body`](super::body)); it is
//! accepted or rejected as a whole. The response is sent when each of its events is settled: 204 if all were
//! delivered, 500 if one failed, 413 if an event is too large (its head leaves by `errors`), 429 if too many
//! events are under way. A client that does not read its responses is not read from, and closed after
//! `timeout`.

use super::body::{Rejected, events};
use super::check_token;
use crate::ack::{Outcome, Token};
use crate::connect::support::admission::Admission;
use crate::connect::support::http::{
    Head, Limits, Peer, Refused, Server, Service, State, Whole, same,
};
use crate::connect::support::socket::{Listener, SocketAddress};
use crate::connect::{Address, Settings};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{Format, Framing};
use crate::node::{Context, Handover, Node, ReadStatus, Source};
use std::collections::HashMap;
use std::time::Duration;

pub(super) const OPTIONS: &[&str] = &[
    "token",
    "insecure",
    "body_limit",
    "in_flight",
    "connections",
    "connections_per_address",
    "timeout",
    "settle_timeout",
];

struct Ingest {
    address: Address,
    socket: SocketAddress,
    server: Server,
    intake: Intake,
}

/// What becomes of requests.
struct Intake {
    address: Address,
    path: String,
    token: Option<Vec<u8>>,
    format: Format,
    in_flight: usize,
    /// The connection of each event under way.
    waiting: HashMap<Token, u64>,
    ending: bool,
}

pub(super) fn source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    let server = address.server(80)?;
    if !server.user.is_empty() || !server.query.is_empty() {
        let error = address.wrong("a source is at http://host:port/path");
        return Err(error.with_hint("set `token` to authenticate clients"));
    }
    let path = format!("/{}", server.path);
    let socket = SocketAddress::Tcp(server);
    let token = settings
        .string("token")?
        .map(|token| token.as_bytes().to_vec());
    if let Some(token) = settings.string("token")? {
        check_token(settings, token)?;
    }
    if token.is_none() && !socket.is_local() && !settings.boolean("insecure", false)? {
        let error = address.wrong("any host could post to it");
        return Err(error.with_hint("set the option token, or insecure = true"));
    }
    let limits = Limits {
        body: settings.count("body_limit", 1 << 20)?,
        admission: Admission::of(settings)?,
        reading: settings.duration("timeout", Duration::from_secs(10))?,
        answering: settings.duration("settle_timeout", Duration::from_secs(30))?,
    };
    Ok(Box::new(Ingest {
        address: address.clone(),
        socket,
        server: Server::new(limits),
        intake: Intake {
            address: address.clone(),
            path,
            token,
            format: settings.format(Framing::Stream)?,
            in_flight: settings.count("in_flight", 4_000)?,
            waiting: HashMap::new(),
            ending: false,
        },
    }))
}

/// The intake while its source is read.
struct Turn<'a, 'b> {
    intake: &'a mut Intake,
    cx: &'a mut Context<'b>,
}

impl Service for Turn<'_, '_> {
    fn check(&self, head: &Head) -> Result<(), Refused> {
        self.intake.check(head)
    }

    fn handle(&mut self, id: u64, peer: &mut Peer, request: Whole) {
        self.intake.handle(id, peer, request, self.cx);
    }
}

impl Intake {
    fn check(&self, head: &Head) -> Result<(), Refused> {
        if head.path != self.path {
            return Err((404, "nothing is here"));
        }
        if head.query.split('&').any(|pair| pair.starts_with("token=")) {
            return Err((401, "send the token in the header authorization"));
        }
        if let Some(token) = &self.token {
            let given = head.token.as_deref().unwrap_or_default();
            if !same(given, token) {
                return Err((401, "wrong or missing token"));
            }
        }
        match head.method.as_str() {
            "POST" => Ok(()),
            _ => Err((405, "events are posted")),
        }
    }

    fn handle(&mut self, id: u64, peer: &mut Peer, request: Whole, cx: &mut Context<'_>) {
        let closes = request.head.closes || self.ending;
        if self.waiting.len() >= self.in_flight {
            return peer.answer(429, "too many events are under way", closes);
        }
        let events = match events(&request, &self.format, cx) {
            Ok(events) if events.is_empty() => return peer.answer(400, "it has no event", closes),
            Ok(events) => events,
            Err(Rejected::Malformed(error)) => return peer.answer(400, error.message(), closes),
            Err(Rejected::Oversized(head, error)) => {
                peer.answer(413, error.message(), closes);
                return cx.reject(head, error.at(self.address.to_string()));
            }
        };
        peer.turn(State::Waiting {
            left: events.len(),
            failed: false,
            closes,
        });
        for event in events {
            self.waiting.insert(cx.emit_tracked(event), id);
        }
    }
}

/// A listener, its connections and the requests under way, on their way to a successor.
struct GivenServer {
    socket: SocketAddress,
    server: Server,
    waiting: HashMap<Token, u64>,
}

impl Node for Ingest {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(GivenServer {
            socket: self.socket.clone(),
            server: self.server.hand_over(),
            waiting: std::mem::take(&mut self.intake.waiting),
        }))
    }

    /// It listens on: no connection is refused meanwhile.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<GivenServer>()?;
        if old.socket != self.socket {
            return Err(old);
        }
        self.server.inherit(old.server);
        self.intake.waiting = old.waiting;
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        if !self.server.is_listening() {
            let listener = Listener::bind(&self.address, &self.socket)?;
            self.server.listen(listener);
        }
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        let Some(id) = self.intake.waiting.remove(&token) else {
            return Ok(());
        };
        let Some(peer) = self.server.peer(id) else {
            return Ok(());
        };
        let State::Waiting {
            left,
            failed,
            closes,
        } = peer.state
        else {
            return Ok(());
        };
        let (left, failed) = (left - 1, failed || outcome == Outcome::Failed);
        // Not a turn: the time that all of them take counts.
        peer.state = State::Waiting {
            left,
            failed,
            closes,
        };
        if left == 0 {
            let closes = closes || self.intake.ending;
            if failed {
                peer.answer(500, "an event was not delivered", closes)
            } else {
                peer.answer(204, "", closes)
            }
            self.server.answered(id);
        }
        Ok(())
    }

    fn finish(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        // Those whose events are under way are answered yet.
        self.server.close();
        self.intake.ending = true;
        Ok(())
    }
}

impl Source for Ingest {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        // While outcomes are due, the engine waits: it receives them at once.
        let wait = if self.intake.waiting.is_empty() {
            wait
        } else {
            Duration::ZERO
        };
        let intake = &mut self.intake;
        let served = self.server.turn(wait, &mut Turn { intake, cx });
        match served {
            Ok(true) => Ok(ReadStatus::More),
            Ok(false) => Ok(ReadStatus::Idle),
            Err(error) => Err(Error::io(&self.address, &error).with_kind(ErrorKind::Io)),
        }
    }
}
