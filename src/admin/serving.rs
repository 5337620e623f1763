//! The thread that serves.

use super::access::Access;
use super::changes::Waiting;
use super::taps::Taps;
use super::{Shown, routes};
use crate::connect::server::{
    Admission, Head, Limits, Listener, Peer, Refused, Server, Service, Whole,
};
use crate::error::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the thread waits for requests at most: the end is noticed within this time.
const WAIT: Duration = Duration::from_millis(100);
/// The same while events are copied.
const TAP_WAIT: Duration = Duration::from_millis(20);

const LIMITS: Limits = Limits {
    body: 16 << 10,
    admission: Admission {
        most: 1_536,
        per_address: 1_536,
    },
    reading: Duration::from_secs(10),
    // A change waits for nodes to open, and for those that are replaced to come to the end of a batch.
    answering: Duration::from_secs(300),
};

struct Requests {
    access: Access,
    shown: Arc<Shown>,
    taps: Taps,
    /// Connections that wait for a change to be made.
    waiting: Waiting,
}

impl Service for Requests {
    fn check(&self, head: &Head) -> Result<(), Refused> {
        self.access.check(head)
    }

    fn handle(&mut self, id: u64, peer: &mut Peer, request: Whole) {
        let later = routes::Later {
            taps: &mut self.taps,
            waiting: &mut self.waiting,
            id,
        };
        routes::answer(&self.shown, &self.access, later, peer, &request.head);
    }
}

/// Starts the thread.
pub(super) fn start(
    listener: Listener,
    access: Access,
    shown: Arc<Shown>,
) -> Result<JoinHandle<()>> {
    let mut server = Server::new(LIMITS);
    server.listen(listener);
    let mut requests = Requests {
        access,
        shown,
        taps: Taps::default(),
        waiting: Waiting::default(),
    };
    let thread = std::thread::Builder::new().name("tributary-admin".to_owned());
    let thread = thread.spawn(move || {
        while !requests.shown.ends.load(Ordering::Relaxed) {
            let wait = match &requests.taps {
                taps if taps.has_more() => Duration::ZERO,
                taps if taps.is_empty() && requests.waiting.is_empty() => WAIT,
                _ => TAP_WAIT,
            };
            if let Err(error) = server.turn(wait, &mut requests) {
                log::error!("the admin server ends: {error}");
                return;
            }
            requests.taps.send(&mut server);
            requests.waiting.answer(&mut server, routes::changed);
        }
    });
    thread.map_err(|error| {
        let error = Error::io("the thread of the admin server does not start", &error);
        error.with_kind(ErrorKind::Failed)
    })
}
