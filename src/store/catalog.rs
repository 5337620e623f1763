//! What is declared of a database: tables, and how long windows need their rows.

mod last;

use super::feed::{Listeners, Use};
use super::table::Table;
use crate::error::{Error, Result, did_you_mean, quote};
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

pub(crate) use last::Last;

/// The declarations, and the generation of each table.
#[derive(Default)]
pub(crate) struct Catalog {
    declared: Mutex<Declared>,
    generations: Mutex<HashMap<String, Arc<AtomicU64>>>,
    listeners: Mutex<HashMap<String, Arc<Listeners>>>,
    uses: Mutex<Vec<Weak<Use>>>,
    /// The names under which windows that are there keep what they emit.
    scopes: Mutex<Vec<Weak<str>>>,
    /// The tables whose rows a window keeps to itself, and that window.
    unstored: Mutex<Vec<(String, Weak<Use>)>>,
}

#[derive(Default, Clone)]
struct Declared {
    tables: Vec<Arc<Table>>,
    windows: Vec<Window>,
    lasts: Vec<Weak<Last>>,
    indexes: Vec<(String, Vec<String>)>,
}

/// A time column by which rows of a table are evicted.
#[derive(Clone)]
pub(crate) struct Window {
    pub table: String,
    pub column: String,
    /// Of each window on the table, which rows it needs.
    holds: Vec<Weak<Hold>>,
}

/// Which rows of a table a window needs: nobody evicts those.
#[derive(Debug)]
pub(crate) struct Hold {
    /// Before the window has an instant of its own: those that are at most so old by the network's
    /// clock; all, where none is given.
    size: Option<Duration>,
    /// The least time of the rows that it needs, in microseconds.
    floor: AtomicI64,
}

/// What stands for a floor that is not known yet.
const UNKNOWN: i64 = i64::MIN;

impl Hold {
    /// The window needs rows from this time on.
    pub fn set(&self, floor: Timestamp) {
        let floor = floor.as_micros().max(UNKNOWN + 1);
        self.floor.store(floor, Ordering::SeqCst);
    }

    /// Whether it was never said which rows are needed.
    pub fn is_new(&self) -> bool {
        self.floor.load(Ordering::SeqCst) == UNKNOWN
    }

    fn floor(&self, now: Timestamp) -> Timestamp {
        match (self.floor.load(Ordering::SeqCst), self.size) {
            (UNKNOWN, Some(size)) => Timestamp::from_secs(now.as_secs()).before(size),
            (floor, _) => Timestamp::from_micros(floor),
        }
    }
}

impl Declared {
    /// What windows need of a table whose rows go by time.
    fn holds(&self, table: &str) -> impl Iterator<Item = Arc<Hold>> {
        let window = self.windows.iter().find(|window| window.table == table);
        let holds = window.into_iter().flat_map(|window| &window.holds);
        holds.filter_map(Weak::upgrade)
    }
}

/// The declarations of a [`Database`](super::Database) at one moment, to go back to.
pub struct Mark(Declared);

impl Catalog {
    fn declared(&self) -> MutexGuard<'_, Declared> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a name for a window, for as long as what comes out is kept; another window that is there
    /// and has the same one keeps it.
    pub fn claim_scope(&self, name: &str) -> Arc<str> {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        scopes.retain(|scope| scope.strong_count() > 0);
        let taken: Vec<Arc<str>> = scopes.iter().filter_map(Weak::upgrade).collect();
        let is_free = |scope: &str| taken.iter().all(|taken| **taken != *scope);
        let mut scope = name.to_owned();
        let mut number = 1;
        while !is_free(&scope) {
            number += 1;
            scope = format!("{name}#{number}");
        }
        let scope: Arc<str> = scope.into();
        scopes.push(Arc::downgrade(&scope));
        scope
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

    /// Lets a window on `table` hold its rows, which go by `column`.
    ///
    /// # Errors
    /// Rows that go by another column already; a table of which a window asks the last rows.
    pub fn hold(&self, table: &str, column: &str, size: Option<Duration>) -> Result<Arc<Hold>> {
        let hold = Arc::new(Hold {
            size,
            floor: AtomicI64::new(UNKNOWN),
        });
        let mut declared = self.declared();
        last::check(&declared.lasts, table)?;
        let known = declared.windows.iter_mut().find(|w| w.table == table);
        match known {
            Some(window) if window.column == column => {
                window.holds.retain(|hold| hold.strong_count() > 0);
                window.holds.push(Arc::downgrade(&hold));
            }
            Some(window) if window.holds.iter().all(|hold| hold.strong_count() == 0) => {
                window.column = column.to_owned();
                window.holds = vec![Arc::downgrade(&hold)];
            }
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
                holds: vec![Arc::downgrade(&hold)],
            }),
        }
        Ok(hold)
    }

    /// Before which time no window needs rows of this table any more; `now` is the network's instant.
    pub fn floor(&self, table: &str, now: Timestamp) -> Option<Timestamp> {
        let declared = self.declared();
        declared.holds(table).map(|hold| hold.floor(now)).min()
    }

    pub fn want_index(&self, table: &str, columns: &[String]) {
        let wanted = (table.to_owned(), columns.to_vec());
        let indexes = &mut self.declared().indexes;
        if !indexes.contains(&wanted) {
            indexes.push(wanted);
        }
    }

    pub fn indexes(&self) -> Vec<(String, Vec<String>)> {
        self.declared().indexes.clone()
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

    /// Who listens to a table.
    pub fn listeners(&self, table: &str) -> Arc<Listeners> {
        let mut all = lock(&self.listeners);
        all.entry(table.to_owned()).or_default().clone()
    }

    /// Notes that somebody reads or writes these tables, for as long as what comes out is kept.
    ///
    /// # Errors
    /// A table of which no rows are stored.
    pub fn name(&self, tables: Vec<String>) -> Result<Arc<Use>> {
        let unstored = lock(&self.unstored);
        let taken = |table: &&String| {
            let mut kept = unstored.iter().filter(|(_, by)| by.strong_count() > 0);
            kept.any(|(name, _)| name == *table)
        };
        if let Some(table) = tables.iter().find(taken) {
            return Err(Error::data(format!(
                "no rows of table {} are stored: the window on it was the only one to name it",
                quote(table)
            ))
            .with_hint("store = true makes that window store its rows"));
        }
        let used = Arc::new(Use(tables));
        let mut uses = lock(&self.uses);
        uses.retain(|used| used.strong_count() > 0);
        uses.push(Arc::downgrade(&used));
        Ok(used)
    }

    /// Has the rows of a table not be stored, where nobody else names it. Says whether that is so.
    pub fn keep_to_itself(&self, table: &str, own: &Arc<Use>) -> bool {
        let mut unstored = lock(&self.unstored);
        if !self.is_alone(table, own) {
            return false;
        }
        unstored.retain(|(_, by)| by.strong_count() > 0);
        unstored.push((table.to_owned(), Arc::downgrade(own)));
        true
    }

    /// Whether nobody else names a table.
    pub fn is_alone(&self, table: &str, own: &Arc<Use>) -> bool {
        let uses = lock(&self.uses);
        let mut others = uses.iter().filter_map(Weak::upgrade);
        !others.any(|used| !Arc::ptr_eq(&used, own) && used.0.iter().any(|name| name == table))
    }

    /// The declared tables that a text may name: those of which it, or a child of it, has the
    /// name as a word.
    pub fn named_in(&self, sql: &str) -> Vec<String> {
        let words: Vec<String> = sql
            .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
            .map(str::to_lowercase)
            .collect();
        let mut found = Vec::new();
        for table in self.tables() {
            let mut named = false;
            table.walk(&mut |below| {
                let name = below.name().to_lowercase();
                // A name may have other characters than a word has.
                let odd = !name
                    .chars()
                    .all(|c| c.is_alphanumeric() || c == '_' || c == '$');
                named |= words.contains(&name) || (odd && sql.to_lowercase().contains(&name));
            });
            if named {
                found.push(table.name().to_owned());
            }
        }
        found
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
