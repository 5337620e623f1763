//! The window nodes: events become rows, and queries over the rows become events.
//!
//! - [`CreateWindow`] inserts each event and passes it on once its row is committed.
//! - [`QueryWindow`] asks a query for each event and emits an event for each row of the answer.
//! - [`Window`] inserts each event, keeps the answer of a query over the rows of its window up to
//!   date, and emits of it what is asked for.
//!
//! A window begins a transaction at the first event of a batch and commits it with the batch; what
//! it emits leaves after that. A bad row is found before it is inserted, or undone alone, so it
//! rejects its event and no other. The row of an event that cannot be answered is not kept: the commit
//! fails, and the engine feeds the events of the batch one by one.
//!
//! What a [`Window`] is made of:
//!
//! - `options` — what it is told; `make` — checks of that, and the choice of the plan.
//! - `plan` — reads a query: what it is, and which SQL serves each plan.
//! - `node` — the node: rows in and out, answers, emissions.
//! - `span` — for how long a row is in a window; `watermark` — the clock of events.
//! - `requery`, `incremental` — the plans; `rows` and `state` are what the latter stands on.
//! - `broken` — groups whose answer cannot be given for a while.
//! - `emission` — what was emitted last; `answer` — what groups are called; `explain`.
//!
//! A new mode of emission: a variant of `Emit`, a line in the table of `emission`, an arm in
//! `node/answering`. A new plan: a variant of `Plan`, a file beside `requery`, an arm there too.

mod answer;
mod broken;
mod create;
mod emission;
mod explain;
mod incremental;
mod make;
mod node;
mod options;
mod plan;
mod query;
mod requery;
mod rows;
mod span;
mod state;
mod watermark;

use crate::error::{Error, ErrorKind, Result};
use crate::store::{self, Database, Store};

pub use create::CreateWindow;
pub use explain::Explanation;
pub use node::Window;
pub use options::{Emit, Extent, Now, Plan, WindowOptions};
pub use query::QueryWindow;

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
