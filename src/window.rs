//! The window nodes: events become rows, and queries over the rows become events.
//!
//! - [`CreateWindow`] inserts each event and passes it on once its row is committed.
//! - [`QueryWindow`] asks a query for each event and emits an event for each row of the answer.
//! - [`SlidingWindow`] does both, event by event, and deletes the rows that have left the window.
//!
//! A window begins a transaction at the first event of a batch and commits it with the batch; what
//! it emits leaves after that. A bad row is found before it is inserted, or undone alone, so it
//! rejects its event and no other.
//!
//! A new kind of window: a file here, a node over a `Session`.

mod create;
#[cfg_attr(not(test), expect(dead_code, reason = "no window asks for a plan yet"))]
mod plan;
mod query;
mod sliding;

use crate::error::{Error, ErrorKind, Result};
use crate::store::{self, Database, Store};

pub use create::CreateWindow;
pub use query::QueryWindow;
pub use sliding::SlidingWindow;

/// A window's connection, made when the node is opened.
struct Session {
    database: Database,
    store: Option<store::Session>,
}

impl Session {
    fn new(database: &Database) -> Self {
        Session {
            database: database.clone(),
            store: None,
        }
    }

    fn open(&mut self) -> Result<()> {
        // The old one first: it may hold a transaction.
        self.store = None;
        self.store = Some(self.database.session()?);
        Ok(())
    }

    fn store(&mut self) -> Result<&mut store::Session> {
        match &mut self.store {
            Some(store) => Ok(store),
            None => Err(Error::new(ErrorKind::Failed, "the window is not open")),
        }
    }

    /// The connection, in a transaction.
    fn begin(&mut self) -> Result<&mut store::Session> {
        let store = self.store()?;
        store.begin()?;
        Ok(store)
    }

    fn commit(&mut self) -> Result<()> {
        match &mut self.store {
            Some(store) => store.commit(),
            None => Ok(()),
        }
    }

    fn rollback(&mut self) {
        if let Some(store) = &mut self.store {
            store.rollback();
        }
    }
}
