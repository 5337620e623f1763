//! Events on their way out of a window.
//!
//! They are collected while an event, or a wake, is processed, and sent when all of it has succeeded.

use super::event_key::EventKey;
use crate::error::Error;
use crate::event::{Event, Meta};
use crate::node::Context;
use crate::payload::Payload;
use crate::time::Timestamp;
use crate::window::emission::{Emission, NewEntry, OutboxEntry};
use crate::window::strategy::GroupRow;

/// What a window emits, and what it has emitted.
pub(in crate::window) struct Emitter {
    pub emission: Emission,
    /// What is sent after the current event, or wake.
    outputs: Vec<Output>,
    /// The key of an event, while it is hashed.
    key_bytes: Vec<u8>,
}

/// One event that leaves the window.
enum Output {
    Event(Event),
    /// An event with an entry of the outbox.
    Entry {
        event: Event,
        entry: OutboxEntry,
        /// Whether it was emitted before.
        again: bool,
    },
    Reject(Event, Error),
}

/// The event because of which a row is emitted.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub event: &'a Event,
    /// Its key, where it may come again.
    pub key: Option<&'a EventKey<'a>>,
}

impl Emitter {
    pub fn new(emission: Emission) -> Self {
        Emitter {
            emission,
            outputs: Vec::new(),
            key_bytes: Vec::new(),
        }
    }

    pub fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Whether an event that may come again has entries that answer it, or had.
    pub(super) fn answers(&mut self, key: &EventKey<'_>) -> bool {
        self.emission.has_keys() && self.emission.answers(key.hash(&mut self.key_bytes))
    }

    /// Emits a row for an event.
    #[inline]
    pub(super) fn emit_for(&mut self, origin: Origin<'_>, row: Payload) {
        let event = origin.event;
        // If delivery fails the event comes again. Without a key its row is another one then, and no
        // entry could tell.
        if !self.emission.is_kept() && origin.key.is_none() && event.is_tracked() {
            self.outputs.push(Output::Event(event.derive(row)));
            return;
        }
        let entry = NewEntry {
            group_id: None,
            row,
            key: origin.key.map(|key| key.hash(&mut self.key_bytes)),
            time: event.time(),
            meta: event.meta().clone(),
        };
        self.emit_entry(entry, Some(event));
    }

    /// Emits the row of a group, because of an event, or at the instant `now`.
    pub(super) fn emit_row(&mut self, row: GroupRow, origin: Option<Origin<'_>>, now: Timestamp) {
        let (time, meta, key) = match origin {
            Some(Origin { event, key }) => (event.time(), event.meta().clone(), key),
            None => (now, Meta::default(), None),
        };
        let entry = NewEntry {
            group_id: Some(row.group_id),
            row: row.row,
            key: key.map(|key| key.hash(&mut self.key_bytes)),
            time,
            meta,
        };
        self.emit_entry(entry, origin.map(|origin| origin.event));
    }

    /// An event is delivered when its entries are, and takes them over when it comes again. Without a
    /// key it would be another row: what is kept on disk needs no event behind it, so the event is
    /// delivered with the commit.
    #[inline]
    fn emit_entry(&mut self, entry: NewEntry, origin: Option<&Event>) {
        let entry = self.emission.entry(entry);
        let event = match origin {
            Some(origin) if entry.may_come_again() || !self.emission.is_kept() => {
                entry.event_for(origin)
            }
            _ => entry.event(),
        };
        self.outputs.push(Output::Entry {
            event,
            entry,
            again: false,
        });
    }

    /// Emits the entries again that failed, or were found after a restart, and are due.
    pub fn emit_due(&mut self, now: Timestamp) {
        for entry in self.emission.take_due(now) {
            self.outputs.push(Output::Entry {
                event: entry.event(),
                entry,
                again: true,
            });
        }
    }

    /// Emits the entries that answer an event which has come again.
    pub(super) fn emit_again(&mut self, event: &Event, key: Option<&EventKey<'_>>) {
        let Some(key) = key else { return };
        let hash = key.hash(&mut self.key_bytes);
        for (event, entry) in self.emission.take_for(hash, event) {
            self.outputs.push(Output::Entry {
                event,
                entry,
                again: true,
            });
        }
    }

    pub fn reject(&mut self, event: Event, error: Error) {
        self.outputs.push(Output::Reject(event, error));
    }

    /// Sends what was collected.
    pub fn send(&mut self, cx: &mut Context<'_>) {
        for output in self.outputs.drain(..) {
            match output {
                Output::Event(event) => cx.emit(event),
                Output::Entry {
                    event,
                    entry,
                    again,
                } => {
                    let token = cx.emit_tracked(event);
                    self.emission.emitted(token, entry, again);
                }
                Output::Reject(event, error) => cx.reject(event, error),
            }
        }
    }

    /// Discards what was collected; entries that were emitted before wait again.
    pub fn discard(&mut self) {
        for output in self.outputs.drain(..) {
            if let Output::Entry {
                entry, again: true, ..
            } = output
            {
                self.emission.put_back(entry);
            }
        }
    }
}
