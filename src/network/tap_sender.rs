//! The node's end of a tap: copies of events, as many as there is room for.

use crate::event::Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many events, and bytes of events, wait in a tap.
pub(super) const EVENTS: usize = 1024;
const BYTES: usize = 1 << 20;

/// Where a tap is attached to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TapPoint {
    /// At what it receives.
    Input,
    /// At what leaves by the port of this number.
    Port(u16),
}

/// What both ends share.
#[derive(Debug, Default)]
pub(super) struct TapRoom {
    pub events: AtomicUsize,
    pub bytes: AtomicUsize,
    pub lost: AtomicU64,
}

/// The node's end of a tap.
pub(crate) struct TapSender {
    point: TapPoint,
    events: flume::Sender<Event>,
    room: Arc<TapRoom>,
}

impl TapSender {
    pub(super) fn new(point: TapPoint, events: flume::Sender<Event>, room: Arc<TapRoom>) -> Self {
        TapSender {
            point,
            events,
            room,
        }
    }

    /// Whether it is attached there.
    pub fn is_at(&self, point: TapPoint) -> bool {
        self.point == point
    }

    /// Whether nobody reads it any more.
    pub fn is_closed(&self) -> bool {
        self.events.is_disconnected()
    }

    /// Copies events as long as there is room; the rest is lost. A tap that is full costs its node one look.
    pub fn offer(&self, events: &[Event]) {
        let room = &self.room;
        for (at, event) in events.iter().enumerate() {
            let size = event.size();
            let (queued, bytes) = (
                room.events.load(Ordering::Relaxed),
                room.bytes.load(Ordering::Relaxed),
            );
            if queued >= EVENTS || (queued > 0 && bytes + size > BYTES) {
                let lost = (events.len() - at) as u64;
                room.lost.fetch_add(lost, Ordering::Relaxed);
                return;
            }
            room.events.fetch_add(1, Ordering::Relaxed);
            room.bytes.fetch_add(size, Ordering::Relaxed);
            // A reader that has gone needs nothing.
            let _ = self.events.try_send(event.detached());
        }
    }
}
