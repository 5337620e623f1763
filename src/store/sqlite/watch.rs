//! What a query reads and calls, as SQLite reports it while it prepares the query.
//!
//! The authorizer is set only on the scratch connection and permits everything: what it records is
//! checked afterwards. It reports each column that is read with its table, the table with an empty
//! column where no column is read, and in both cases the view or common table expression that
//! contains the read. So what an allowed view reads is found by preparing a query on that view.

use super::DIALECT;
use crate::store::reads::Reach;
use parking_lot::Mutex;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Result};
use std::sync::Arc;

/// Table functions that only parse their arguments.
const FUNCTIONS: [&str; 2] = ["json_each", "json_tree"];

/// What was recorded on a connection.
#[derive(Clone)]
pub(super) struct Watch(Arc<Mutex<Seen>>);

/// What one statement reads and calls.
#[derive(Default)]
pub(super) struct Seen {
    reads: Vec<Reading>,
    pub calls: Vec<String>,
}

/// A table that is read.
#[derive(PartialEq, Eq)]
struct Reading {
    table: String,
    /// The view or common table expression that contains the read.
    within: Option<String>,
    /// No column of it is read: then it may be the name of a query of its own.
    hollow: bool,
}

impl Watch {
    /// Begins to note.
    pub fn on(connection: &mut Connection) -> Result<Self> {
        let watch = Watch(Arc::default());
        let noted = watch.clone();
        connection.authorizer(Some(move |cx: AuthContext<'_>| {
            noted.note(&cx);
            Authorization::Allow
        }))?;
        Ok(watch)
    }

    fn note(&self, cx: &AuthContext<'_>) {
        let mut seen = self.0.lock();
        match cx.action {
            AuthAction::Function { function_name } => {
                let name = function_name.to_owned();
                if !seen.calls.contains(&name) {
                    seen.calls.push(name);
                }
            }
            AuthAction::Read {
                table_name,
                column_name,
            } => {
                let reading = Reading {
                    table: table_name.to_owned(),
                    within: cx.accessor.map(str::to_owned),
                    hollow: column_name.is_empty(),
                };
                if !seen.reads.contains(&reading) {
                    seen.reads.push(reading);
                }
            }
            _ => {}
        }
    }

    /// What was noted since this was called last.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Seen {
    /// The relations that the query may not read; `with` are the names that it gives to queries of its
    /// own.
    pub fn outside(
        &self,
        connection: &Connection,
        watch: &Watch,
        with: &[String],
        reach: &Reach,
    ) -> Result<Vec<String>> {
        let there = relations(connection)?;
        let allowed: Vec<&str> = match reach {
            Reach::Named(names) => names.iter().map(String::as_str).collect(),
            Reach::Own => there.iter().map(|(name, _)| name.as_str()).collect(),
        };
        let has = |names: &[&str], name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let is_own = |name: &str| with.iter().any(|with| with.eq_ignore_ascii_case(name));
        let mut through = Vec::new();
        for (view, is_view) in &there {
            let is_read = |reading: &Reading| reading.table.eq_ignore_ascii_case(view);
            if *is_view && has(&allowed, view) && self.reads.iter().any(is_read) {
                watch.take();
                let quoted = DIALECT.quote(view);
                connection.prepare(&format!("SELECT * FROM {quoted}"))?;
                through.extend(watch.take().reads);
            }
        }
        let through_view = |reading: &Reading| match &reading.within {
            // A query of its own that has the name of a view, or of one within it, hides it.
            Some(within) if is_own(within) => false,
            Some(_) => through
                .iter()
                .any(|known| known.table == reading.table && known.within == reading.within),
            // A view that is made part of the query leaves such a trace.
            None => reading.hollow && through.iter().any(|known| known.table == reading.table),
        };
        let names: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
        let of_its_own = |reading: &Reading| {
            reading.hollow
                && is_own(&reading.table)
                && !has(&names, &reading.table)
                && !DIALECT.is_system(&reading.table)
        };
        let mut outside: Vec<String> = Vec::new();
        // First what the query itself names, then what is read through that.
        let (named, through_others): (Vec<_>, Vec<_>) = self
            .reads
            .iter()
            .partition(|reading| reading.within.is_none());
        for reading in named.into_iter().chain(through_others) {
            let may = has(&allowed, &reading.table)
                || has(&FUNCTIONS, &reading.table)
                || of_its_own(reading)
                || through_view(reading);
            if !may && !outside.contains(&reading.table) {
                outside.push(reading.table.clone());
            }
        }
        Ok(outside)
    }
}

/// The tables and views of a database, and which are views.
pub(super) fn relations(connection: &Connection) -> Result<Vec<(String, bool)>> {
    let mut statement = connection
        .prepare("SELECT name, type = 'view' FROM sqlite_schema WHERE type IN ('table', 'view')")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
