//! What windows on one table tell each other: which rows were inserted, and who needs them.
//!
//! A window that keeps the state of its groups has to hear of rows that others insert. Whoever
//! inserts one through this process passes it on when the transaction is committed, while on SQLite
//! the others are still shut out. What was written in another way makes the state stale.

use crate::payload::Payload;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// What others have done to a table since somebody looked last.
#[derive(Debug, Default)]
pub(crate) struct Feed(Mutex<Brought>);

/// Rows that others have inserted.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    pub rows: Vec<Payload>,
    /// Whether more has happened than these rows.
    pub stale: bool,
}

/// Above this many rows it is cheaper to read the table again.
const MOST: usize = 10_000;

impl Feed {
    /// Takes what has come since the last call.
    pub fn take(&self) -> Brought {
        std::mem::take(&mut *self.0.lock())
    }

    fn give(&self, row: Option<&Payload>) {
        let mut brought = self.0.lock();
        match row {
            Some(row) if !brought.stale && brought.rows.len() < MOST => {
                brought.rows.push(row.clone());
            }
            _ => {
                brought.stale = true;
                brought.rows = Vec::new();
            }
        }
    }
}

/// Everybody who listens to one table.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<Vec<Weak<Feed>>>);

impl Listeners {
    pub fn join(&self) -> Arc<Feed> {
        let feed = Arc::new(Feed::default());
        let mut feeds = self.0.lock();
        feeds.retain(|feed| feed.strong_count() > 0);
        feeds.push(Arc::downgrade(&feed));
        feed
    }

    /// Tells everybody else of rows that were inserted, or (`None`) that something was done.
    pub fn tell(&self, own: Option<&Arc<Feed>>, rows: &[Option<Payload>]) {
        for feed in self.0.lock().iter().filter_map(Weak::upgrade) {
            if own.is_none_or(|own| !Arc::ptr_eq(own, &feed)) {
                rows.iter().for_each(|row| feed.give(row.as_ref()));
            }
        }
    }

    /// Whether somebody else listens.
    pub fn has_others(&self, own: Option<&Arc<Feed>>) -> bool {
        let feeds = self.0.lock();
        let ours =
            |feed: &Weak<Feed>| own.is_some_and(|own| std::ptr::eq(own.as_ref(), feed.as_ptr()));
        feeds
            .iter()
            .any(|feed| feed.strong_count() > 0 && !ours(feed))
    }
}

/// Says that somebody reads or writes a table, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Use(pub Vec<String>);
