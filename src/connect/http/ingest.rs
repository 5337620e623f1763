//! The source of `http:`: a server to which events are posted.
//!
//! The body of a request is a JSON document, a list of them, or JSON lines; it is taken as a whole or
//! refused as a whole. It is answered when each of its events is settled: 204 when all were delivered,
//! 500 when one has failed. The head of an event that is too large leaves by `errors` beside the answer,
//! which is 413. Where as many events are under way as may be, it is answered 429.

use super::check_token;
use super::peer::{Peer, State, Whole};
use super::request::{Head, Refused, same};
use crate::ack::{Outcome, Token};
use crate::connect::socket::{Listener, Place, wait_for};
use crate::connect::{Address, Settings};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::node::{Context, Node, Read, Source};
use crate::payload::{check_json, parse_json};
use crate::source::{Decoder, Found};
use crate::time::monotonic;
use rustix::event::{PollFd, PollFlags};
use serde_json::Value;
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

pub(super) const OPTIONS: &[&str] = &[
    "token",
    "insecure",
    "body_limit",
    "in_flight",
    "connections",
    "timeout",
    "settle_timeout",
];

/// How much is read of one connection before the next one has its turn, in bytes.
const CHUNK: usize = 64 << 10;
/// How often it is looked at what has taken too long.
const LOOK: Duration = Duration::from_millis(250);
/// A connection that has been idle for so long is closed where others wait for it.
const IDLE: Duration = Duration::from_secs(2);

struct Ingest {
    address: Address,
    place: Place,
    path: String,
    token: Option<Vec<u8>>,
    body_limit: usize,
    in_flight: usize,
    connections: usize,
    reading: Duration,
    settling: Duration,
    listener: Option<Listener>,
    peers: HashMap<u64, Peer>,
    next: u64,
    /// By which connection an event came.
    waiting: HashMap<Token, u64>,
    /// Connections that may have brought the next request before the last one was answered.
    again: Vec<u64>,
    looked: Instant,
    chunk: Vec<u8>,
    ending: bool,
}

pub(super) fn source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    let server = address.server(80)?;
    if !server.user.is_empty() || !server.query.is_empty() {
        let error = address.wrong("a source is at http://host:port/path");
        return Err(error.with_hint("who may post is said by the option token"));
    }
    let path = format!("/{}", server.path);
    let place = Place::Tcp(server);
    let token = settings
        .string("token")?
        .map(|token| token.as_bytes().to_vec());
    if let Some(token) = settings.string("token")? {
        check_token(settings, token)?;
    }
    if token.is_none() && !place.is_local() && !settings.boolean("insecure", false)? {
        let error = address.wrong("everybody could post to it");
        return Err(error.with_hint("give it a token, or say insecure = true"));
    }
    Ok(Box::new(Ingest {
        address: address.clone(),
        place,
        path,
        token,
        body_limit: settings.count("body_limit", 1 << 20)?,
        in_flight: settings.count("in_flight", 4_000)?,
        connections: settings.count("connections", 256)?,
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
    fn accept(&mut self) {
        while let Some(listener) = &mut self.listener
            && self.peers.len() < self.connections
            && let Some(stream) = listener.accept()
        {
            self.peers.insert(self.next, Peer::new(stream));
            self.next += 1;
        }
    }

    /// Makes room for those who wait, where a connection has been idle for some time.
    fn make_room(&mut self) {
        let Some(listener) = &mut self.listener else {
            return;
        };
        if self.peers.len() < self.connections || !listener.is_short(self.connections) {
            return;
        }
        let quiet = self.peers.values_mut();
        let quiet = quiet.filter(|peer| peer.state == State::Quiet && !peer.is_writing());
        if let Some(peer) = quiet.min_by_key(|peer| peer.since)
            && peer.since.elapsed() >= IDLE
        {
            peer.turn(State::Ended);
        }
    }

    /// Takes every request of this connection that is there.
    fn take(&mut self, id: u64, cx: &mut Context<'_>) {
        while let Some(mut peer) = self.peers.remove(&id) {
            let check = |head: &Head| self.check(head);
            let goes_on = match peer.next(self.body_limit, check) {
                Ok(None) => false,
                Ok(Some(request)) => {
                    self.handle(id, &mut peer, request, cx);
                    peer.state == State::Reading && peer.has_input()
                }
                Err((status, why)) => {
                    peer.answer(status, why, true);
                    false
                }
            };
            self.peers.insert(id, peer);
            if !goes_on {
                break;
            }
        }
    }

    fn check(&self, head: &Head) -> Result<(), Refused> {
        if head.path != self.path {
            return Err((404, "nothing is here"));
        }
        if head.query.split('&').any(|pair| pair.starts_with("token=")) {
            return Err((401, "a token goes into the header authorization"));
        }
        if let Some(token) = &self.token {
            let given = head.token.as_deref().unwrap_or_default();
            if !same(given, token) {
                return Err((401, "it has not the right token"));
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
            Err(Bad::Malformed(error)) => return peer.answer(400, error.message(), closes),
            Err(Bad::Oversized(head, error)) => {
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
        self.make_room();
    }
}

/// Why a body is refused.
enum Bad {
    Malformed(Error),
    /// An event of it is too large: its head.
    Oversized(Event, Error),
}

impl From<Error> for Bad {
    fn from(error: Error) -> Self {
        Bad::Malformed(error)
    }
}

/// The events of a body.
fn events(request: &Whole, cx: &Context<'_>) -> Result<Vec<Event>, Bad> {
    let body = request.body.as_slice();
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body = body.trim_ascii();
    let fits = |event: Event| {
        let fits = event.within(cx.max_event_bytes());
        fits.map_err(|(head, error)| Bad::Oversized(head, error))
    };
    let now = cx.now();
    let is_lines = ["ndjson", "jsonl", "json-lines", "jsonlines"];
    let is_lines = is_lines
        .iter()
        .any(|word| request.head.content_type.contains(word));
    if !is_lines {
        match body.first() {
            None => return Ok(Vec::new()),
            Some(b'[') => match parse_json(body) {
                Ok(Value::Array(items)) => {
                    let events = items.into_iter().map(|item| Event::new(item, now));
                    return events.map(fits).collect();
                }
                Err(error) if !body.contains(&b'\n') => return Err(error.into()),
                _ => {}
            },
            Some(_) => match check_json(body) {
                Ok(()) => return Ok(vec![fits(Event::new(body, now))?]),
                Err(error) if !body.contains(&b'\n') => return Err(error.into()),
                // Lines that nobody has called so.
                Err(_) => {}
            },
        }
    }
    lines(&request.body, cx)
}

fn lines(mut body: &[u8], cx: &Context<'_>) -> Result<Vec<Event>, Bad> {
    let limit = cx.max_event_bytes();
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    let mut number = 0;
    let mut line = |found: Found<'_>| -> Result<(), Bad> {
        number += 1;
        let here = |error: Error| error.within(format!("line {number}"));
        match found {
            Found::Blank => {}
            Found::Line(line) => {
                check_json(line).map_err(here)?;
                events.push(Event::new(line, cx.now()));
            }
            Found::TooLong(whole) => {
                let (head, error) = whole.into_event(limit, cx.now());
                return Err(Bad::Oversized(head, here(error)));
            }
        }
        Ok(())
    };
    while !body.is_empty() {
        let (taken, found) = decoder.next(body, limit);
        found.map_or(Ok(()), &mut line)?;
        body = &body[taken..];
    }
    decoder.end(limit).map_or(Ok(()), &mut line)?;
    Ok(events)
}

impl Node for Ingest {
    fn open(&mut self) -> Result<()> {
        if self.listener.is_none() {
            self.listener = Some(Listener::bind(&self.address, &self.place)?);
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
            if peer.state == State::Reading {
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
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<Read> {
        self.expire();
        let again = std::mem::take(&mut self.again);
        if !again.is_empty() {
            for id in again {
                self.take(id, cx);
            }
            return Ok(Read::More);
        }
        self.peers.retain(|_, peer| peer.state != State::Ended);
        let mut ids: Vec<u64> = self.peers.keys().copied().collect();
        ids.sort_unstable();
        let mut fds = Vec::with_capacity(ids.len() + 1);
        for id in &ids {
            let peer = &self.peers[id];
            let mut flags = match peer.state {
                State::Waiting { .. } => PollFlags::empty(),
                _ => PollFlags::IN,
            };
            flags.set(PollFlags::OUT, peer.is_writing());
            fds.push(PollFd::new(peer.stream(), flags));
        }
        if let Some(listener) = &self.listener
            && ids.len() < self.connections
            && listener.pause().is_none()
        {
            fds.push(PollFd::new(listener, PollFlags::IN));
        }
        // While outcomes may come, it is the engine that waits: it hears of them at once.
        let wait = match self.waiting.is_empty() {
            true => wait.min(LOOK),
            false => Duration::ZERO,
        };
        let wrong = |error: io::Error| Error::io(&self.address, &error).with_kind(ErrorKind::Io);
        if !wait_for(&mut fds, wait).map_err(wrong)? {
            return Ok(Read::Idle);
        }
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        for (id, ready) in ids.iter().zip(&ready) {
            let Some(peer) = self.peers.get_mut(id) else {
                continue;
            };
            if ready.contains(PollFlags::OUT) {
                peer.flush();
            }
            match peer.state {
                State::Waiting { .. } if ready.intersects(PollFlags::HUP | PollFlags::ERR) => {
                    peer.turn(State::Ended);
                }
                State::Waiting { .. } => {}
                _ if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) => {
                    peer.read(&mut self.chunk);
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
        Ok(Read::More)
    }
}
