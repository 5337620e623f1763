//! Sinks that are recorded: they count what they get, and nothing leaves the process.

use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Sink};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Stands in for the sinks of a script that would leave the process, and counts the events of each:
/// see [`Runtime::record_sinks`](crate::Runtime::record_sinks).
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    node: String,
    target: String,
    events: Arc<AtomicU64>,
}

/// Takes every event and counts it.
struct Recorded {
    events: Arc<AtomicU64>,
    in_hand: u64,
}

impl Recorder {
    /// A recorder of no sink yet.
    pub fn new() -> Self {
        Recorder::default()
    }

    /// What stands in for the sink `node`, which would have written to `target`. Sinks of one name and
    /// target, as in several tests of one script, are counted together.
    pub(crate) fn sink(&self, node: &str, target: &str) -> impl Sink + use<> {
        let mut entries = self.0.lock();
        let known = entries
            .iter()
            .find(|entry| entry.node == node && entry.target == target);
        let events = match known {
            Some(entry) => entry.events.clone(),
            None => {
                let events = Arc::<AtomicU64>::default();
                entries.push(Entry {
                    node: node.to_owned(),
                    target: target.to_owned(),
                    events: events.clone(),
                });
                events
            }
        };
        Recorded { events, in_hand: 0 }
    }

    /// The nodes that were recorded, what each would have written to (without secrets), and how many
    /// events it got.
    pub fn recorded(&self) -> Vec<(String, String, u64)> {
        let entries = self.0.lock();
        let all = entries.iter().map(|entry| {
            let events = entry.events.load(Ordering::Relaxed);
            (entry.node.clone(), entry.target.clone(), events)
        });
        all.collect()
    }
}

impl Node for Recorded {
    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        let events = std::mem::take(&mut self.in_hand);
        self.events.fetch_add(events, Ordering::Relaxed);
        Ok(())
    }

    fn rollback(&mut self) {
        self.in_hand = 0;
    }
}

impl Sink for Recorded {
    fn write(&mut self, _event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        self.in_hand += 1;
        Ok(())
    }
}
