//! The source of `http:`: a server to which events are posted.
//!
//! The body of a request is a JSON document, a list of them, or JSON lines ([`body`](super::body)); it is
//! accepted or rejected as a whole. The response is sent when each of its events is settled: 204 if all were
//! delivered, 500 if one failed, 413 if an event is too large (its head leaves by `errors`), 429 if too many
//! events are under way. A client that does not read its responses is not read from, and closed after
//! `timeout`.

use super::body::{Rejected, events};
use super::check_token;
use super::peer::{Peer, State, Whole};
use super::request::{Head, Refused, same};
use crate::ack::{Outcome, Token};
use crate::connect::support::admission::{Admission, Entry, Open};
use crate::connect::support::socket::{Listener, SocketAddress, wait_for};
use crate::connect::{Address, Settings};
use crate::error::{Error, ErrorKind, Result};
use crate::node::{Context, Node, ReadStatus, Source};
use crate::time::monotonic;
use rustix::event::{PollFd, PollFlags};
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

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

/// The bytes that are read of all connections before new ones are accepted, and the least per connection.
const CHUNK: usize = 64 << 10;
const SHARE: usize = 4 << 10;
/// The interval between checks of the time limits.
const LOOK: Duration = Duration::from_millis(250);
/// The most requests of one connection before the next connection has its turn.
const REQUESTS: usize = 32;
/// The most connections that are accepted before the open ones have their turn.
const TURN: usize = 64;

struct Ingest {
    address: Address,
    socket: SocketAddress,
    path: String,
    token: Option<Vec<u8>>,
    body_limit: usize,
    in_flight: usize,
    admission: Admission,
    reading: Duration,
    settling: Duration,
    listener: Option<Listener>,
    peers: HashMap<u64, Peer>,
    next: u64,
    /// The connection of each event under way.
    waiting: HashMap<Token, u64>,
    /// Connections whose buffers may hold another request.
    again: Vec<u64>,
    looked: Instant,
    chunk: Vec<u8>,
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
    Ok(Box::new(Ingest {
        address: address.clone(),
        socket,
        path,
        token,
        body_limit: settings.count("body_limit", 1 << 20)?,
        in_flight: settings.count("in_flight", 4_000)?,
        admission: Admission::of(settings)?,
        reading: settings.duration("timeout", Duration::from_secs(10))?,
        settling: settings.duration("settle_timeout", Duration::from_secs(30))?,
        listener: None,
        peers: HashMap::new(),
        next: 0,
        waiting: HashMap::new(),
        again: Vec::new(),
        looked: monotonic(),
        chunk: vec![0; CHUNK],
        ending: false,
    }))
}

impl Ingest {
    /// The connections, as the admission counts them.
    fn connections(&self) -> impl ExactSizeIterator<Item = Open<u64>> {
        self.peers.iter().map(|(id, peer)| Open {
            key: *id,
            origin: peer.origin,
            usage: peer.usage(),
        })
    }

    fn accept(&mut self) {
        for _ in 0..TURN {
            if !self.admission.has_room(self.connections()) {
                break;
            }
            let accepted = self.listener.as_mut().and_then(Listener::accept);
            let Some((stream, origin)) = accepted else {
                break;
            };
            let may_close = |id| !self.peers[&id].stream().has_input();
            let entry = self.admission.admit(origin, self.connections(), may_close);
            let mut peer = Peer::new(stream, origin);
            match entry {
                Entry::Free => {}
                Entry::Replaces(id) => drop(self.peers.remove(&id)),
                Entry::Refused => {
                    peer.answer(503, "too many connections are open", true);
                    if let Some(listener) = &mut self.listener {
                        listener.warn_refused(origin, self.admission.per_address);
                    }
                    continue;
                }
            }
            self.peers.insert(self.next, peer);
            self.next += 1;
        }
    }

    /// Logs that clients are waiting in the backlog.
    fn warn_full(&mut self) {
        if self.peers.len() >= self.admission.most
            && let Some(listener) = &mut self.listener
        {
            listener.is_short(self.admission.most);
        }
    }

    /// Takes the requests in the buffer of this connection, until an answer cannot be written at once.
    fn take(&mut self, id: u64, cx: &mut Context<'_>) {
        let Some(mut peer) = self.peers.remove(&id) else {
            return;
        };
        peer.has_more = false;
        for left in (0..REQUESTS).rev() {
            let check = |head: &Head| self.check(head);
            match peer.next(self.body_limit, check) {
                Ok(None) => break,
                Ok(Some(request)) => self.handle(id, &mut peer, request, cx),
                Err((status, why)) => peer.answer(status, why, true),
            }
            if peer.state != State::Reading || !peer.has_input() || peer.is_writing() {
                break;
            }
            if left == 0 {
                peer.has_more = true;
                self.again.push(id);
            }
        }
        self.peers.insert(id, peer);
    }

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
        let events = match events(&request, cx) {
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

    fn expire(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = monotonic();
        for peer in self.peers.values_mut() {
            peer.expire(self.reading, self.settling);
        }
        self.warn_full();
    }
}

impl Node for Ingest {
    fn open(&mut self) -> Result<()> {
        if self.listener.is_none() {
            self.listener = Some(Listener::bind(&self.address, &self.socket)?);
        }
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        let Some(id) = self.waiting.remove(&token) else {
            return Ok(());
        };
        let Some(peer) = self.peers.get_mut(&id) else {
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
            let closes = closes || self.ending;
            match failed {
                false => peer.answer(204, "", closes),
                true => peer.answer(500, "an event was not delivered", closes),
            }
            if peer.state == State::Reading && !peer.is_writing() {
                peer.has_more = true;
                self.again.push(id);
            }
        }
        Ok(())
    }

    fn finish(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.listener = None;
        self.ending = true;
        // Those whose events are under way are answered yet.
        self.peers
            .retain(|_, peer| matches!(peer.state, State::Waiting { .. }));
        Ok(())
    }
}

impl Source for Ingest {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        self.expire();
        let again = std::mem::take(&mut self.again);
        let has_taken = !again.is_empty();
        for id in again {
            self.take(id, cx);
        }
        self.peers.retain(|_, peer| peer.state != State::Ended);
        let mut ids: Vec<u64> = self.peers.keys().copied().collect();
        ids.sort_unstable();
        let mut fds = Vec::with_capacity(ids.len() + 1);
        for id in &ids {
            let peer = &self.peers[id];
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, peer.reads());
            flags.set(PollFlags::OUT, peer.is_writing());
            fds.push(PollFd::new(peer.stream(), flags));
        }
        if let Some(listener) = &self.listener
            && listener.pause().is_none()
            && self.admission.has_room(self.connections())
        {
            fds.push(PollFd::new(listener, PollFlags::IN));
        }
        // While outcomes are due, the engine waits: it receives them at once.
        let wait = match self.waiting.is_empty() && !has_taken {
            true => wait.min(LOOK),
            false => Duration::ZERO,
        };
        let wrong = |error: io::Error| Error::io(&self.address, &error).with_kind(ErrorKind::Io);
        if !wait_for(&mut fds, wait).map_err(wrong)? {
            return Ok(match has_taken {
                true => ReadStatus::More,
                false => ReadStatus::Idle,
            });
        }
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        let many = ready.iter().filter(|ready| !ready.is_empty()).count();
        let share = (CHUNK / many.max(1)).max(SHARE);
        for (id, ready) in ids.iter().zip(&ready) {
            let Some(peer) = self.peers.get_mut(id) else {
                continue;
            };
            if ready.contains(PollFlags::OUT) {
                peer.flush();
            }
            match peer.state {
                // It has its turn, also where its peer has gone.
                _ if peer.has_more => {}
                _ if !peer.reads() && ready.intersects(PollFlags::HUP | PollFlags::ERR) => {
                    peer.turn(State::Ended);
                }
                _ if !peer.reads() => {}
                // What came before its last answer left.
                State::Reading if ready.contains(PollFlags::OUT) && peer.has_input() => {
                    self.take(*id, cx);
                }
                _ if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) => {
                    peer.read(&mut self.chunk[..share]);
                    if peer.state == State::Reading {
                        self.take(*id, cx);
                    }
                }
                _ => {}
            }
        }
        if ready.get(ids.len()).is_some_and(|ready| !ready.is_empty()) {
            self.accept();
        }
        Ok(ReadStatus::More)
    }
}
