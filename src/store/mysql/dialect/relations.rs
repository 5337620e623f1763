//! The tables and views that a query for MySQL reads. SQLite reports them itself
//! (`store/sqlite/watch.rs`).
//!
//! If the parser knows the query, its relations are those in the parsed query. If not, every identifier
//! may be one: then the query is refused if an identifier is the name of a relation that it may not read.
//! That may refuse too much, but never too little.

use super::DIALECT;
use crate::error::Result;
use crate::store::dialect::tokens::{self, Tokens};
use crate::store::dialect::{STACK, parse_scanned};
use crate::store::reads::Reach;
use sqlparser::ast::{ObjectName, Statement, Visit, Visitor};
use std::ops::ControlFlow;

/// The schemas of the server itself.
const SYSTEM: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// Whether a relation belongs to the server itself; no script can read it.
pub(super) fn is_system(name: &str) -> bool {
    let name = name.to_lowercase();
    name.split_once('.')
        .is_some_and(|(schema, _)| SYSTEM.contains(&schema))
}

/// What may be a relation in a query.
pub(crate) struct Relations {
    /// As the parser has found them, each with what qualifies it; `None` where it does not know the
    /// query.
    found: Option<Vec<Vec<String>>>,
    /// All identifiers, and of each whether a dot follows.
    names: Vec<(String, bool)>,
    /// The names that the query gives to queries of its own.
    with: Vec<String>,
}

/// The relations and databases of a server.
pub(crate) struct ServerSchema {
    /// The database of the connection.
    pub database: String,
    /// Whether names that differ in case are the same.
    pub folds: bool,
    /// The tables and views of the database.
    pub relations: Vec<String>,
    /// All databases.
    pub databases: Vec<String>,
}

impl Relations {
    /// Finds them in a query.
    ///
    /// # Errors
    /// Anything but one SELECT.
    pub fn of(sql: &str) -> Result<Self> {
        let tokens = tokens::scan(DIALECT, sql)?;
        let found = stacker::grow(STACK, || found(sql, &tokens))?;
        Ok(Relations {
            found,
            names: tokens.names(),
            with: tokens.with_names(),
        })
    }

    /// Those that the query may not read.
    pub fn outside(&self, there: &ServerSchema, reach: &Reach) -> Vec<String> {
        let mut outside = Vec::new();
        let mut note = |name: String| {
            if !outside.contains(&name) {
                outside.push(name);
            }
        };
        // Independently of the parser.
        for (at, (name, dot)) in self.names.iter().enumerate() {
            if *dot && SYSTEM.contains(&name.to_lowercase().as_str()) {
                let next = self.names.get(at + 1).map_or("", |(next, _)| next);
                note(format!("{name}.{next}"));
            }
        }
        match &self.found {
            Some(found) => {
                let strange = found
                    .iter()
                    .filter(|parts| !self.may_read(parts, there, reach));
                strange.for_each(|parts| note(parts.join(".")));
            }
            None => {
                for (at, (name, dot)) in self.names.iter().enumerate() {
                    let parts = match (dot, self.names.get(at + 1)) {
                        (true, Some((next, _))) if there.is_database(name) => {
                            vec![name.clone(), next.clone()]
                        }
                        _ if there.has(name) => vec![name.clone()],
                        _ => continue,
                    };
                    if !there.allows(&parts, reach) {
                        note(parts.join("."));
                    }
                }
            }
        }
        outside
    }

    fn may_read(&self, parts: &[String], there: &ServerSchema, reach: &Reach) -> bool {
        // A query of its own, unless a table of that name is hidden by it in one place and not in
        // another.
        let is_own = matches!(parts, [name] if !there.has(name)
            && self.with.iter().any(|with| with.eq_ignore_ascii_case(name)));
        is_own || there.allows(parts, reach)
    }
}

impl ServerSchema {
    fn same(&self, a: &str, b: &str) -> bool {
        if self.folds {
            a.to_lowercase() == b.to_lowercase()
        } else {
            a == b
        }
    }

    fn has(&self, name: &str) -> bool {
        self.relations.iter().any(|there| self.same(there, name))
    }

    fn is_database(&self, name: &str) -> bool {
        let mut all = self.databases.iter().map(String::as_str).chain(SYSTEM);
        all.any(|there| there.eq_ignore_ascii_case(name))
    }

    fn allows(&self, parts: &[String], reach: &Reach) -> bool {
        let full = parts.join(".");
        if is_system(&full) {
            return false;
        }
        let bare = match parts {
            [name] => name,
            [schema, name] if self.same(schema, &self.database) => name,
            _ => &full,
        };
        match reach {
            Reach::Own => true,
            Reach::Named(names) => names
                .iter()
                .any(|name| self.same(name, bare) || self.same(name, &full)),
        }
    }
}

fn found(sql: &str, tokens: &Tokens<'_>) -> Result<Option<Vec<Vec<String>>>> {
    let Ok(statement) = parse_scanned(DIALECT, sql, tokens)? else {
        return Ok(None);
    };
    let mut finder = Finder(Vec::new());
    let _ = Statement::visit(&statement, &mut finder);
    Ok(Some(finder.0))
}

struct Finder(Vec<Vec<String>>);

impl Visitor for Finder {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let parts = relation.0.iter();
        let parts: Vec<String> = parts
            .map(|part| match part.as_ident() {
                Some(ident) => ident.value.clone(),
                None => part.to_string(),
            })
            .collect();
        // It is no table.
        let is_dual =
            matches!(&*relation.0, [part] if part.to_string().eq_ignore_ascii_case("dual"));
        if !is_dual {
            self.0.push(parts);
        }
        ControlFlow::Continue(())
    }
}
