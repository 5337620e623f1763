//! The declarations of a database: tables and indexes, how long rows are kept, and who uses which table.

use super::feed::{Subscribers, TableUse};
use super::retention::Retention;
use super::table::Table;
use crate::error::{Error, Result, did_you_mean, quote};
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// The declarations of a database, which its handles and connections share.
#[derive(Default)]
pub(crate) struct Catalog {
    declared: Mutex<Declarations>,
    subscribers: Mutex<HashMap<String, Arc<Subscribers>>>,
    uses: Mutex<Vec<Weak<TableUse>>>,
    /// The names under which existing windows store what they emit.
    scopes: Mutex<Vec<Weak<str>>>,
    /// The tables whose rows are not stored, and the use of the window that has them in its state.
    unstored: Mutex<Vec<(String, Weak<TableUse>)>>,
}

#[derive(Default, Clone)]
struct Declarations {
    tables: Vec<Arc<Table>>,
    retention: Retention,
    indexes: Vec<(String, Vec<String>)>,
}

/// The declarations of a [`Database`](super::Database) at one moment, to which it can return.
pub(crate) struct DeclarationsMark(Declarations);

impl Catalog {
    fn declared(&self) -> MutexGuard<'_, Declarations> {
        self.declared.lock()
    }

    /// Claims a name for a window, for as long as the result exists; if another window has it, with a
    /// number after it.
    pub fn claim_scope(&self, name: &str) -> Arc<str> {
        let mut scopes = self.scopes.lock();
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

    /// Adds a checked declaration.
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

    /// The retention of rows, to read or change.
    pub fn retention<T>(&self, work: impl FnOnce(&mut Retention) -> T) -> T {
        work(&mut self.declared().retention)
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

    pub(crate) fn mark(&self) -> DeclarationsMark {
        DeclarationsMark(self.declared().clone())
    }

    pub(crate) fn reset(&self, mark: DeclarationsMark) {
        *self.declared() = mark.0;
    }

    /// The subscribers of a table.
    pub fn subscribers(&self, table: &str) -> Arc<Subscribers> {
        let mut all = self.subscribers.lock();
        all.entry(table.to_owned()).or_default().clone()
    }

    /// Registers a use of these tables, for as long as the result exists.
    ///
    /// # Errors
    /// A table of which no rows are stored.
    pub fn name(&self, tables: Vec<String>) -> Result<Arc<TableUse>> {
        let used = self.name_before_open(tables);
        self.check_stored(&used, None)?;
        Ok(used)
    }

    /// The same for a window, which may be the successor of one that stores no rows: it is
    /// [checked](Self::check_stored) when it opens.
    pub fn name_before_open(&self, tables: Vec<String>) -> Arc<TableUse> {
        let used = Arc::new(TableUse(tables));
        let mut uses = self.uses.lock();
        uses.retain(|used| used.strong_count() > 0);
        uses.push(Arc::downgrade(&used));
        used
    }

    /// Checks that the rows of these tables are stored, unless by the window that is replaced.
    ///
    /// # Errors
    /// A table of which no rows are stored.
    pub fn check_stored(
        &self,
        own: &Arc<TableUse>,
        replaced: Option<&Arc<TableUse>>,
    ) -> Result<()> {
        let unstored = self.unstored.lock();
        let is_other = |by: &Weak<TableUse>| {
            let is = |used: &Arc<TableUse>| std::ptr::eq(Arc::as_ptr(used), by.as_ptr());
            by.strong_count() > 0 && !is(own) && !replaced.is_some_and(is)
        };
        let taken = |table: &&String| {
            let mut kept = unstored.iter().filter(|(_, by)| is_other(by));
            kept.any(|(name, _)| name == *table)
        };
        match own.0.iter().find(taken) {
            None => Ok(()),
            Some(table) => Err(Error::data(format!(
                "no rows of table {} are stored: the window on it was the only one to name it",
                quote(table)
            ))
            .with_hint("store = true makes that window store its rows")),
        }
    }

    /// Has the rows of a table not stored, if nothing else uses it but the window that is replaced;
    /// returns whether that is so.
    pub fn keep_to_itself(
        &self,
        table: &str,
        own: &Arc<TableUse>,
        replaced: Option<&Arc<TableUse>>,
    ) -> bool {
        let mut unstored = self.unstored.lock();
        if !self.is_alone(table, own, replaced) {
            return false;
        }
        unstored.retain(|(_, by)| by.strong_count() > 0);
        unstored.push((table.to_owned(), Arc::downgrade(own)));
        true
    }

    /// Whether nothing else uses a table but the window that is replaced.
    fn is_alone(&self, table: &str, own: &Arc<TableUse>, replaced: Option<&Arc<TableUse>>) -> bool {
        let uses = self.uses.lock();
        let ours = |used: &Arc<TableUse>| {
            Arc::ptr_eq(used, own) || replaced.is_some_and(|replaced| Arc::ptr_eq(used, replaced))
        };
        let mut others = uses.iter().filter_map(Weak::upgrade);
        !others.any(|used| !ours(&used) && used.0.iter().any(|name| name == table))
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
                // A name may contain other characters than a word.
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
}

#[cfg(test)]
mod tests {
    use crate::store::{Database, Table};

    #[test]
    fn declarations_can_be_taken_back() {
        let database = Database::open("sqlite::memory:").unwrap();
        database.declare(Table::new("one").text("a")).unwrap();
        let mark = database.mark();
        database.declare(Table::new("two").text("a")).unwrap();
        database.reset(mark);
        let tables = database.tables();
        let names: Vec<&str> = tables.iter().map(|table| table.name()).collect();
        assert_eq!(names, ["one"]);
        database.declare(Table::new("two").integer("b")).unwrap();
    }
}
