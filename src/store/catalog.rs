//! What is declared of a database: tables, and how long windows need their rows.

use super::table::Table;
use crate::error::{Error, Result, did_you_mean, quote};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The declarations, and the generation of each table.
#[derive(Default)]
pub(crate) struct Catalog {
    declared: Mutex<Declared>,
    generations: Mutex<HashMap<String, Arc<AtomicU64>>>,
}

#[derive(Default, Clone)]
struct Declared {
    tables: Vec<Arc<Table>>,
    windows: Vec<Window>,
}

/// A time column by which rows of a table are evicted.
#[derive(Clone)]
pub(crate) struct Window {
    pub table: String,
    pub column: String,
    /// The size of the largest window.
    pub size: Duration,
}

/// The declarations of a [`Database`](super::Database) at one moment, to go back to.
pub struct Mark(Declared);

impl Catalog {
    fn declared(&self) -> MutexGuard<'_, Declared> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a declaration that was checked.
    pub fn declare(&self, table: Table) -> Result<()> {
        let mut declared = self.declared();
        if declared.tables.iter().any(|known| **known == table) {
            return Ok(());
        }
        let mut names = Vec::new();
        table.walk(&mut |table| names.push(table.name().to_owned()));
        for known in &declared.tables {
            let mut clash = None;
            known.walk(&mut |known| {
                if names.iter().any(|n| n.eq_ignore_ascii_case(known.name())) {
                    clash = Some(known.name().to_owned());
                }
            });
            if let Some(clash) = clash {
                return Err(Error::data(format!(
                    "table {} is declared already, otherwise",
                    quote(clash)
                )));
            }
        }
        declared.tables.push(Arc::new(table));
        Ok(())
    }

    pub fn tables(&self) -> Vec<Arc<Table>> {
        self.declared().tables.clone()
    }

    pub fn table(&self, name: &str) -> Result<Arc<Table>> {
        let tables = self.tables();
        if let Some(table) = tables.iter().find(|table| table.name() == name) {
            return Ok(table.clone());
        }
        let names = tables.iter().map(|table| table.name());
        let hint = match did_you_mean(name, names.clone()) {
            Some(hint) => hint,
            None if tables.is_empty() => "no table is declared".to_owned(),
            None => format!(
                "the declared tables are {}",
                names.collect::<Vec<_>>().join(", ")
            ),
        };
        Err(Error::data(format!("no table {} is declared", quote(name))).with_hint(hint))
    }

    /// The names of all tables, children too.
    pub fn table_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for table in self.tables() {
            table.walk(&mut |table| names.push(table.name().to_owned()));
        }
        names
    }

    /// The names of all columns, each once.
    pub fn column_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for table in self.tables() {
            table.walk(&mut |table| {
                for column in table.columns() {
                    if !names.contains(&column.name) {
                        names.push(column.name.clone());
                    }
                }
            });
        }
        names
    }

    /// Keeps rows of `table` for at least `size` by `column`.
    pub fn keep(&self, table: &str, column: &str, size: Duration) -> Result<()> {
        let mut declared = self.declared();
        let known = declared.windows.iter_mut().find(|w| w.table == table);
        match known {
            Some(window) if window.column == column => window.size = window.size.max(size),
            Some(window) => {
                return Err(Error::data(format!(
                    "rows of {} are evicted by {} already, so not by {}",
                    quote(table),
                    quote(&window.column),
                    quote(column)
                )));
            }
            None => declared.windows.push(Window {
                table: table.to_owned(),
                column: column.to_owned(),
                size,
            }),
        }
        Ok(())
    }

    /// For how long the largest window keeps rows of this table.
    pub fn kept(&self, table: &str) -> Option<Duration> {
        let declared = self.declared();
        let window = declared.windows.iter().find(|w| w.table == table)?;
        Some(window.size)
    }

    pub fn windows(&self) -> Vec<Window> {
        self.declared().windows.clone()
    }

    pub fn mark(&self) -> Mark {
        Mark(self.declared().clone())
    }

    pub fn reset(&self, mark: Mark) {
        *self.declared() = mark.0;
    }

    /// The generation of a table: raised by every transaction that writes it.
    pub fn generation(&self, table: &str) -> Arc<AtomicU64> {
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        generations.entry(table.to_owned()).or_default().clone()
    }
}
