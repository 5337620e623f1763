//! The SQL floor: databases, tables, rows and queries, over SQLite and MySQL (MariaDB).
//!
//! - [`Database`] is a cheap handle: where the database is and which tables are declared.
//! - [`Table`] declares columns, key and child tables; a JSON event becomes one row of it.
//! - [`Query`] is one SELECT, checked, in which every clock is the network's.
//!
//! Values are always bound, never formatted; identifiers are checked and quoted by one function
//! per dialect; nothing is visible to others before a commit.
//!
//! - `database`, `catalog`, `table` — the handle, what is declared, declarations.
//! - `url`, `location` — the backends by the schemes of their URLs.
//! - `driver`, `connection` — what a backend implements, and everything that is written once over it: rows,
//!   child rows, eviction, the outbox, dead letters (`letters`).
//! - `statements`, `fit` — the SQL that Tributary writes, and whether a table fits its declaration.
//! - `query`, `reads`, `limits`, `dialect` — queries: their parameters, what they may reach and use, and how SQL
//!   differs between databases.
//! - `row`, `datum`, `value`, `calendar` — values on their way in and out.
//! - `retention`, `feed` — how long rows are kept, and which rows other nodes have written.
//! - `sqlite`, `mysql` — the backends.
//!
//! A new backend is a folder beside `sqlite` and its line in `url.rs`: a `Backend` and a `Driver` (`driver.rs`),
//! a dialect (`dialect/capabilities.rs`), a `Location` and a `Scheme` (`location.rs`).

mod calendar;
mod catalog;
mod connection;
mod contract;
mod database;
mod datum;
pub(crate) mod dialect;
mod driver;
mod feed;
mod fit;
mod letters;
mod limits;
mod location;
mod mysql;
mod query;
mod reads;
mod retention;
mod row;
mod sqlite;
mod statements;
mod table;
mod url;
mod value;

pub(crate) use datum::Datum;
pub(crate) use dialect::{Dialect, LIMIT};
pub(crate) use driver::Evaluation;
pub(crate) use feed::TableUse;
pub(crate) use query::{Asker, Binding, Interval};

pub(crate) use connection::{Connection, Piece};
#[doc(hidden)]
pub use contract::{Inserted, Store};
pub use database::Database;
pub use letters::{DeadLetters, Letter, LetterFilter};
pub use limits::QueryLimits;
pub(crate) use limits::is_over;
#[doc(hidden)]
pub use query::Params;
pub use query::Query;
pub(crate) use retention::RowHold;
pub(crate) use row::{Cell, Row, RowReader};
pub(crate) use sqlite::{QueueFile, Stored};
pub use table::{Child, Column, Table, Type};
pub(crate) use url::{dialect_of, dialects};
#[cfg(test)]
pub(crate) use {mysql::DIALECT as MYSQL, sqlite::DIALECT as SQLITE};
