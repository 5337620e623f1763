//! The window nodes: events become rows, and queries over the rows become events.
//!
//! - [`CreateWindow`] inserts each event and passes it on once its row is committed.
//! - [`QueryWindow`] runs a query for each event and emits an event for each row of the answer.
//! - [`Window`] inserts each event, keeps the answer of a query over the rows of its window up to
//!   date, and emits the rows that its mode selects.
//!
//! A window begins a transaction at the first event of a batch and commits it with the batch; its
//! events leave after that. A bad row is found before it is inserted, or its insertion is undone, so
//! that it rejects its event and no other. The row of an event whose query fails is not kept: the
//! commit fails, and the engine feeds the events of the batch again, one by one.
//!
//! The parts of a [`Window`]:
//!
//! - `kind` — which rows are in a window, and when they leave: everything that depends on the kind.
//! - `options` — the settings; `make` — checks them, and chooses the plan.
//! - `analysis` — reads a query: which plans can serve it, and the SQL of each plan.
//! - `strategy` — the plans; `state` — the running state of the plan `incremental`; `aggregates` — a
//!   file for each aggregate whose value is kept there.
//! - `node` — the node: rows in and out, answers, emission.
//! - `watermark` — event time.
//! - `failing` — groups whose query fails for a while.
//! - `outline` — what a successor of a window has to know of it.
//! - `emission` — what was emitted, and the outbox; `answer` — group ids; `explain`.
//!
//! A new mode of emission: a variant of `Emit`, a line in the table of `emission`, an arm in
//! `node/answering`. A new plan: a variant of `Plan`, a file in `strategy`, an arm there too. A new
//! kind of window: a variant of `WindowKind`, and its arms in `kind`. A new aggregate: a file in
//! `aggregates`.

mod aggregates;
mod analysis;
mod answer;
mod create;
mod emission;
mod explain;
mod failing;
mod kind;
mod make;
mod node;
mod options;
mod outline;
mod query;
mod state;
mod strategy;
mod watermark;

#[doc(hidden)]
pub use emission::outbox_line;

use crate::error::{Error, ErrorKind, Result};
use crate::store::{self, Database, Store};

pub use create::CreateWindow;
pub use explain::Explanation;
pub use kind::WindowKind;
pub use node::Window;
pub use options::{Emit, Plan, TimeDomain, WindowOptions};
pub use query::QueryWindow;

/// A window's connection, made when the node is opened.
struct NodeConnection {
    database: Database,
    store: Option<store::Connection>,
}

impl NodeConnection {
    fn new(database: &Database) -> Self {
        NodeConnection {
            database: database.clone(),
            store: None,
        }
    }

    fn open(&mut self) -> Result<()> {
        // The old one first: it may hold a transaction.
        self.store = None;
        self.store = Some(self.database.connection()?);
        Ok(())
    }

    fn store(&mut self) -> Result<&mut store::Connection> {
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
