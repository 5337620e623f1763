//! Windows, SQL sinks, and the databases below them.

mod batches;
mod booleans;
mod branch_joins;
mod comparing_texts;
mod dialect;
mod errors;
mod event_time;
mod handover;
mod lost_database;
mod nodes;
mod outbox;
mod pitfalls;
mod plans;
mod query_bytes;
mod query_limits;
mod query_reach;
mod rejects;
mod silent_database;
mod sql_sinks;
mod store;
mod tables;
mod takeover;
mod unanswered;
mod urls;
mod verify;
