//! The rows that the nodes of this process insert, published to the windows on the same table.
//!
//! A window that keeps the state of its groups needs the rows that other nodes insert. A connection
//! publishes the rows of a transaction when it commits, on SQLite while other nodes are still locked out.
//! Any other change makes the state stale.

use crate::payload::Payload;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// The changes to a table by other nodes since the last [`take`](Feed::take).
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<ReceivedRows>);

/// Rows that other nodes have inserted.
#[derive(Debug, Default)]
pub(crate) struct ReceivedRows {
    pub rows: Vec<Payload>,
    /// Whether there were other changes than these rows.
    pub stale: bool,
}

/// The most rows that are passed on. Beyond them it is cheaper to read the table again.
const MOST: usize = 10_000;

impl Feed {
    /// Takes the changes since the last call.
    pub fn take(&self) -> ReceivedRows {
        std::mem::take(&mut *self.0.lock())
    }

    fn give(&self, row: Option<&Payload>) {
        let mut received = self.0.lock();
        match row {
            Some(row) if !received.stale && received.rows.len() < MOST => {
                received.rows.push(row.clone());
            }
            _ => {
                received.stale = true;
                received.rows = Vec::new();
            }
        }
    }
}

/// The feeds of one table.
#[derive(Debug, Default)]
pub(crate) struct Subscribers(Mutex<Vec<Weak<Feed>>>);

impl Subscribers {
    pub fn join(&self) -> Arc<Feed> {
        let feed = Arc::new(Feed::default());
        let mut feeds = self.0.lock();
        feeds.retain(|feed| feed.strong_count() > 0);
        feeds.push(Arc::downgrade(&feed));
        feed
    }

    /// Passes inserted rows, or other changes (`None`), to all feeds but one's own.
    pub fn publish(&self, own: Option<&Arc<Feed>>, rows: &[Option<Payload>]) {
        for feed in self.0.lock().iter().filter_map(Weak::upgrade) {
            if own.is_none_or(|own| !Arc::ptr_eq(own, &feed)) {
                rows.iter().for_each(|row| feed.give(row.as_ref()));
            }
        }
    }

    /// Whether there are feeds other than one's own.
    pub fn has_others(&self, own: Option<&Arc<Feed>>) -> bool {
        let feeds = self.0.lock();
        let ours =
            |feed: &Weak<Feed>| own.is_some_and(|own| std::ptr::eq(own.as_ref(), feed.as_ptr()));
        feeds
            .iter()
            .any(|feed| feed.strong_count() > 0 && !ours(feed))
    }
}

/// A use of some tables by a node, for as long as it exists.
#[derive(Debug)]
pub(crate) struct TableUse(pub Vec<String>);
