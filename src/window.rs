//! The window nodes: events become rows, and queries over the rows become events.
//!
//! - [`CreateWindow`] inserts each event and passes it on once its row is committed.
//! - [`QueryWindow`] asks a query for each event and emits an event for each row of the answer.
//! - [`SlidingWindow`] does both, event by event, and deletes the rows that have left the window.

mod create;
mod query;
mod sliding;

pub use create::CreateWindow;
pub use query::QueryWindow;
pub use sliding::SlidingWindow;
