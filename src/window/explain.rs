//! How a window keeps its answer up to date, for people to read.

use super::kind::WindowKind;
use super::options::{Emit, Plan};
use std::fmt;

/// How a window keeps its answer up to date: the plan, why it was chosen, the SQL that is run, and the
/// indexes that it uses.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// The plan.
    pub plan: Plan,
    /// Why it was chosen.
    pub why: String,
    /// The plans that do not support the query, and why.
    pub refused: Vec<(Plan, String)>,
    /// Which rows are in the window.
    pub kind: WindowKind,
    /// The time that the window goes by, and what is late.
    pub clock: String,
    /// What is emitted.
    pub emit: Emit,
    /// What is compared with the answer of the whole query, and at how many events, where `verify` is
    /// set.
    pub verify: Option<String>,
    /// Whether rows are stored, and why.
    pub stored: String,
    /// The SQL that is run: its purpose, and the text.
    pub sql: Vec<(String, String)>,
    /// The indexes that it uses: table and columns.
    pub indexes: Vec<(String, Vec<String>)>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan: {}: {}", self.plan, self.why)?;
        for (plan, why) in &self.refused {
            writeln!(f, "not {plan}: {why}")?;
        }
        writeln!(f, "window: {}", self.kind)?;
        writeln!(f, "clock: {}", self.clock)?;
        writeln!(f, "emits: {}", self.emit)?;
        if let Some(verify) = &self.verify {
            writeln!(f, "verify: {verify}")?;
        }
        writeln!(f, "rows: {}", self.stored)?;
        for (table, columns) in &self.indexes {
            writeln!(f, "index: {table} ({})", columns.join(", "))?;
        }
        for (what, sql) in &self.sql {
            writeln!(f, "{what}:")?;
            for line in sql.trim().lines() {
                writeln!(f, "    {}", line.trim_end())?;
            }
        }
        Ok(())
    }
}
