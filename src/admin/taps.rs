//! Streams of events: what taps have copied, as JSON lines.

use crate::connect::server::{Server, State};
use crate::event::Event;
use crate::network::Tap;
use crate::secret::scrub;
use crate::time::monotonic;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// How many bytes go into a connection together, and into all connections before requests have their turn.
const PART: usize = 16 << 10;
const TURN: usize = 256 << 10;
/// How often an empty line is sent where nothing comes, so that a client that has gone is noticed.
const PULSE: Duration = Duration::from_secs(15);

/// The tap of a connection.
struct Open {
    id: u64,
    tap: Tap,
    /// When something was sent last.
    sent: Instant,
}

#[derive(Default)]
pub(super) struct Taps {
    open: Vec<Open>,
    /// Whether more could be sent at once.
    has_more: bool,
}

impl Taps {
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether more could be sent at once.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Adds the tap of a connection.
    pub fn add(&mut self, id: u64, tap: Tap) {
        let sent = monotonic();
        self.open.push(Open { id, tap, sent });
    }

    /// Sends to connections what their clients have room for, one after another, up to a bound: the next turn
    /// goes on after them. A connection that has gone has no tap any more.
    pub fn send(&mut self, server: &mut Server) {
        let (mut left, mut turns) = (TURN, 0);
        self.has_more = false;
        self.open.retain_mut(|open| {
            let peer = server.peer(open.id);
            let Some(peer) = peer.filter(|peer| peer.state == State::Streaming) else {
                return false;
            };
            if left == 0 {
                return true;
            }
            turns += 1;
            if !peer.takes_more() {
                return true;
            }
            let part = part(&open.tap);
            if !part.is_empty() {
                peer.send(&part);
                left = left.saturating_sub(part.len());
                open.sent = monotonic();
                self.has_more |= part.len() >= PART;
            } else if open.tap.has_ended() {
                peer.end_stream();
                return false;
            } else if open.sent.elapsed() >= PULSE {
                peer.send(b"\n");
                open.sent = monotonic();
            }
            true
        });
        self.has_more |= left == 0;
        let turns = turns.min(self.open.len());
        self.open.rotate_left(turns);
    }
}

/// Lines, as many as there are and go together.
fn part(tap: &Tap) -> Vec<u8> {
    let mut part = Vec::new();
    match tap.take_lost() {
        0 => {}
        lost => part.extend(format!("{}\n", json!({ "lost": lost })).as_bytes()),
    }
    while part.len() < PART
        && let Some(event) = tap.next(Duration::ZERO)
    {
        let line = tap_line(tap, &event);
        part.extend(scrub(&line).as_bytes());
        part.push(b'\n');
    }
    part
}

/// An event as a line: its payload is `data` if it is JSON, with all digits that it has, and `text` otherwise.
pub(crate) fn tap_line(tap: &Tap, event: &Event) -> String {
    let bytes = event.payload().bytes();
    let text = String::from_utf8_lossy(bytes);
    let (key, value) = match serde_json::from_slice::<Value>(bytes) {
        // A line break in JSON stands between its words.
        Ok(_) => ("data", text.replace(['\n', '\r'], " ")),
        Err(_) => ("text", Value::from(text).to_string()),
    };
    let meta: Map<String, Value> = event
        .meta()
        .iter()
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect();
    let (node, port) = (Value::from(tap.node()), Value::from(tap.port()));
    let (time, meta) = (event.time(), Value::from(meta));
    format!(
        "{{\"node\":{node},\"port\":{port},\"time\":\"{time}\",\"{key}\":{value},\"meta\":{meta}}}"
    )
}
