//! The loop of the server: accepts connections, reads what comes, and hands each request to a service.
//!
//! One call of [`Server::turn`] serves what is ready. No connection holds up the others: the bytes that are
//! read of all of them before new ones are accepted are bounded, and so are the requests of one connection.

use super::peer::{Peer, State, Whole};
use super::request::{Head, Refused};
use crate::connect::support::admission::{Admission, Entry, Open};
use crate::connect::support::socket::{Listener, wait_for};
use crate::time::monotonic;
use rustix::event::{PollFd, PollFlags};
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

/// The bytes that are read of all connections before new ones are accepted, and the least per connection.
const CHUNK: usize = 64 << 10;
const SHARE: usize = 4 << 10;
/// The interval between checks of the time limits.
const LOOK: Duration = Duration::from_millis(250);
/// The most requests of one connection before the next connection has its turn.
const REQUESTS: usize = 32;
/// The most connections that are accepted before the open ones have their turn.
const TURN: usize = 64;

/// What a server is for.
pub(crate) trait Service {
    /// Whether a request is taken, by its head, before its body is read.
    fn check(&self, head: &Head) -> Result<(), Refused>;

    /// Answers a request, or has its connection wait for the answer.
    fn handle(&mut self, id: u64, peer: &mut Peer, request: Whole);
}

/// The limits of a server.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// The longest body.
    pub body: usize,
    pub admission: Admission,
    /// How long a request may take to come, and an answer to be read.
    pub reading: Duration,
    /// How long an answer may take.
    pub answering: Duration,
}

pub(crate) struct Server {
    limits: Limits,
    listener: Option<Listener>,
    peers: HashMap<u64, Peer>,
    next: u64,
    /// Connections whose buffers may hold another request.
    again: Vec<u64>,
    looked: Instant,
    chunk: Vec<u8>,
}

impl Server {
    pub fn new(limits: Limits) -> Self {
        Server {
            limits,
            listener: None,
            peers: HashMap::new(),
            next: 0,
            again: Vec::new(),
            looked: monotonic(),
            chunk: vec![0; CHUNK],
        }
    }

    pub fn is_listening(&self) -> bool {
        self.listener.is_some()
    }

    pub fn listen(&mut self, listener: Listener) {
        self.listener = Some(listener);
    }

    /// Continues with the listener and the connections of another server.
    pub fn inherit(&mut self, other: Server) {
        *self = Server {
            limits: self.limits,
            ..other
        };
    }

    /// What another server continues with.
    pub fn hand_over(&mut self) -> Server {
        std::mem::replace(self, Server::new(self.limits))
    }

    /// Takes no more requests; connections that wait for an answer get it.
    pub fn close(&mut self) {
        self.listener = None;
        self.peers
            .retain(|_, peer| matches!(peer.state, State::Waiting { .. }));
    }

    /// A connection.
    pub fn peer(&mut self, id: u64) -> Option<&mut Peer> {
        self.peers.get_mut(&id)
    }

    /// A connection was answered: what its buffer holds has its turn.
    pub fn answered(&mut self, id: u64) {
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.state == State::Reading
            && !peer.is_writing()
        {
            peer.has_more = true;
            self.again.push(id);
        }
    }

    /// The connections, as the admission counts them.
    fn connections(&self) -> impl ExactSizeIterator<Item = Open<u64>> {
        self.peers.iter().map(|(id, peer)| Open {
            key: *id,
            origin: peer.origin,
            usage: peer.usage(),
        })
    }

    fn accept(&mut self) {
        let admission = self.limits.admission;
        for _ in 0..TURN {
            if !admission.has_room(self.connections()) {
                break;
            }
            let accepted = self.listener.as_mut().and_then(Listener::accept);
            let Some((stream, origin)) = accepted else {
                break;
            };
            let may_close = |id| !self.peers[&id].stream().has_input();
            let entry = admission.admit(origin, self.connections(), may_close);
            let mut peer = Peer::new(stream, origin);
            match entry {
                Entry::Free => {}
                Entry::Replaces(id) => drop(self.peers.remove(&id)),
                Entry::Refused => {
                    peer.answer(503, "too many connections are open", true);
                    if let Some(listener) = &mut self.listener {
                        listener.warn_refused(origin, admission.per_address);
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
        let most = self.limits.admission.most;
        if self.peers.len() >= most
            && let Some(listener) = &mut self.listener
        {
            listener.is_short(most);
        }
    }

    /// Takes the requests in the buffer of this connection, until an answer cannot be written at once.
    fn take(&mut self, id: u64, service: &mut impl Service) {
        let Some(mut peer) = self.peers.remove(&id) else {
            return;
        };
        peer.has_more = false;
        for left in (0..REQUESTS).rev() {
            match peer.next(self.limits.body, |head| service.check(head)) {
                Ok(None) => break,
                Ok(Some(request)) => service.handle(id, &mut peer, request),
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

    fn expire(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = monotonic();
        for peer in self.peers.values_mut() {
            peer.expire(self.limits.reading, self.limits.answering);
        }
        self.warn_full();
    }

    /// Serves what is ready, and waits up to `wait` for that. Returns whether anything was.
    ///
    /// # Errors
    /// The system refuses to wait.
    pub fn turn(&mut self, wait: Duration, service: &mut impl Service) -> io::Result<bool> {
        self.expire();
        let again = std::mem::take(&mut self.again);
        let has_taken = !again.is_empty();
        for id in again {
            self.take(id, service);
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
            && self.limits.admission.has_room(self.connections())
        {
            fds.push(PollFd::new(listener, PollFlags::IN));
        }
        let wait = if has_taken {
            Duration::ZERO
        } else {
            wait.min(LOOK)
        };
        if !wait_for(&mut fds, wait)? {
            return Ok(has_taken);
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
                    self.take(*id, service);
                }
                _ if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) => {
                    peer.read(&mut self.chunk[..share]);
                    if peer.state == State::Reading {
                        self.take(*id, service);
                    }
                }
                _ => {}
            }
        }
        if ready.get(ids.len()).is_some_and(|ready| !ready.is_empty()) {
            self.accept();
        }
        Ok(true)
    }
}
