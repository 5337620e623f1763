//! `sql:` before the address of a database: the rows that a query finds, as events; and events as rows.
//!
//! | options of a source | |
//! |---|---|
//! | `query` | one SELECT for the rows after `:cursor`, in the order of the cursor |
//! | `cursor` | the column that orders the rows, or a list of columns |
//! | `start` | the first value of the cursor, 0; for several columns a list |
//! | `every` | the pause before the query runs again after it found no rows, "1s" |
//! | `checkpoint` | path of a file that keeps the cursor |
//!
//! | options of a sink | |
//! |---|---|
//! | `table` | the table, created if it is missing |
//! | `columns`, `key`, `children` | its declaration, as for `create_table` |
//! | `mode` | "insert": an existing row stays; "upsert": the last row of a key wins |
//!
//! The query runs repeatedly with the cursor, which holds the values of the cursor columns so far, and
//! returns the rows after it in order. With `checkpoint` the cursor is kept in a file, which is written
//! before more rows are read: rows are delivered at least once, also after a kill.
//!
//! The invariant: the cursor passes a value when every row with this value is delivered. A row that failed
//! is read again, with all rows of its value and the rows after them. A limit may cut between rows of one
//! value: then the rows of the last value are left to the next query. If all rows have one value, the limit
//! is raised until there is another ([`source`]).
//!
//! A row that is inserted later with a value that was passed is not read. A cursor of several columns,
//! `cursor = {"at", "id"}` with `where (at, id) > (:at, :id) order by at, id`, distinguishes rows of one
//! instant. A transaction that commits after another one with greater values can still be missed: leave
//! time for it, as in `and at < :now - 10`.
//!
//! A result over a limit (`--query-bytes`, `--query-rows`, `--query-time`; in Rust
//! [`Options::query_limits`](super::Options::query_limits)) is discarded: the source logs it, waits, and runs the
//! query again. `limit` in the query makes results smaller.
//!
//! A sink is a [`SqlSink`](crate::sink::SqlSink) with a database of its own ([`sink`]), as
//! `create_sql_sink` makes one for the database of the network.

mod checkpoint;
mod cursor;
mod prepared;
mod sink;
mod source;

use super::{Connector, Make};

pub(super) const SQL: Connector = Connector {
    scheme: "sql",
    source: Some(Make {
        options: &["query", "cursor", "start", "every", "checkpoint"],
        bytes: None,
        make: source::source,
    }),
    sink: Some(Make {
        options: &["children", "columns", "key", "mode", "table"],
        bytes: None,
        make: sink::sink,
    }),
    ..Connector::NONE
};
