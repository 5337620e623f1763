//! What differs between the dialects of SQL: one trait, that each database implements.
//!
//! Nothing else in the crate compares dialects: a difference is a method here, or a field of
//! [`Lexicon`] or [`ExpressionRules`]. `Dialect` has no `PartialEq`, so a comparison does not compile.

use super::build::{self, Scalar};
use super::tokens::Tokens;
use crate::error::Result;
use crate::store::table::{Table, Type};
use sqlparser::ast::{DataType, Expr};
use sqlparser::dialect::Dialect as Grammar;
use std::fmt;

/// A dialect of SQL, by what it can do.
pub(crate) type Dialect = &'static dyn Capabilities;

/// What a database writes, computes or supports in its own way.
pub(crate) trait Capabilities: fmt::Debug + Send + Sync {
    /// The name of the database, for messages.
    fn name(&self) -> &'static str;

    /// Whether the database is a server, which can be unreachable for a while.
    fn is_server(&self) -> bool;

    // Reading a query.

    /// The grammar of the parser.
    fn grammar(&self) -> &'static dyn Grammar;

    /// What is a text, a name, a comment and a parameter.
    fn lexicon(&self) -> &'static Lexicon;

    /// The types of expressions.
    fn expressions(&self) -> &'static ExpressionRules;

    /// The functions that a query may call, in lower case.
    fn functions(&self) -> &'static [&'static str];

    /// Refuses tokens that read a relation in a form that is not recognized as such.
    ///
    /// # Errors
    /// Such a form.
    fn check_tokens(&self, _tokens: &Tokens<'_>) -> Result<()> {
        Ok(())
    }

    /// Refuses a call of a function that is not in [`functions`](Self::functions), unless the database
    /// itself reports the calls of a prepared query.
    ///
    /// # Errors
    /// Such a call.
    fn check_calls(&self, _tokens: &Tokens<'_>) -> Result<()> {
        Ok(())
    }

    /// Whether a relation belongs to the database itself.
    fn is_system(&self, name: &str) -> bool;

    /// Whether `other.table` is a table of another database of the same server.
    fn qualifies_databases(&self) -> bool;

    /// The schema of the connection's own tables, if it has a name that is always the same.
    fn main_schema(&self) -> Option<&'static str> {
        None
    }

    // Clocks.

    /// Whether a function of this name, in lower case, can read the clock of the database, beside the
    /// clocks that all dialects have.
    fn may_read_clock(&self, _function: &str) -> bool {
        false
    }

    /// The datetime of the network's clock.
    fn clock(&self) -> Expr;

    /// An expression in the form that this database has for it; `None` where it stays as it is.
    ///
    /// # Errors
    /// An expression that the database has no form for.
    fn rewrite(&self, _expr: &Expr) -> Result<Option<Expr>> {
        Ok(None)
    }

    // Texts of statements.

    /// The quote of an identifier.
    fn identifier_quote(&self) -> char;

    /// An identifier, quoted.
    fn quote(&self, name: &str) -> String {
        let mark = self.identifier_quote();
        let mut quoted = String::with_capacity(name.len() + 2);
        quoted.push(mark);
        for c in name.chars() {
            if c == mark {
                quoted.push(mark);
            }
            quoted.push(c);
        }
        quoted.push(mark);
        quoted
    }

    /// Identifiers, quoted, with commas between them.
    fn quote_all(&self, names: &[&str]) -> String {
        let quoted: Vec<String> = names.iter().map(|name| self.quote(name)).collect();
        quoted.join(", ")
    }

    /// Whether parameters have numbers, so that one value can stand in several places.
    fn numbers_parameters(&self) -> bool;

    /// The parameter with this number, from 1.
    fn parameter(&self, number: usize) -> String {
        if self.numbers_parameters() {
            format!("?{number}")
        } else {
            "?".to_owned()
        }
    }

    /// The type of a column of a declared table.
    fn column_type(&self, column: Type) -> String;

    /// The type of a column of a table of Tributary itself.
    fn internal_type(&self, column: InternalColumn) -> &'static str;

    /// What follows the columns of a table whose rows are to be stored within its primary key.
    fn stored_by_key(&self) -> &'static str {
        ""
    }

    /// What stands before the name of an index that may be there already.
    fn if_no_index(&self) -> &'static str {
        ""
    }

    /// The greatest size of a key in bytes, at 4 for a character, if there is a limit.
    fn max_key_bytes(&self) -> Option<usize> {
        None
    }

    /// What follows an INSERT so that its row replaces the one with the same key: sets the `others`,
    /// the columns that are not in the key.
    fn upsert_clause(&self, key: &[&str], others: &[&str]) -> String;

    /// Deletes the rows of a table that fulfill a condition, and their child rows. The condition is
    /// given what qualifies a column.
    fn delete_where(&self, table: &Table, condition: &dyn Fn(&str) -> String) -> Vec<String>;

    /// Locks the requeueing of dead letters until the connection ends, if a lock is needed: returns
    /// `held`, and the connection that is the `holder`.
    fn requeue_lock(&self) -> Option<&'static str> {
        None
    }

    /// Locks that a connection holds until it ends. `None` where only one process uses a database.
    fn session_lock(&self) -> Option<&'static SessionLock> {
        None
    }

    // Texts of expressions.

    /// What a SELECT with a WHERE and without a table has in place of FROM.
    fn empty_from(&self) -> &'static str {
        ""
    }

    /// The type to which a value is cast.
    fn data_type(&self, to: Scalar) -> DataType;

    /// The type of the values of a cast; `None` where it is not known.
    fn cast_result(&self, to: &DataType) -> Option<Scalar>;

    /// A parameter that has, as a key or an aggregate of the query would have, this type and no
    /// affinity.
    fn typed_parameter(&self, parameter: Expr, kind: Scalar, may_be_infinite: bool) -> Expr {
        let _ = may_be_infinite;
        build::cast(parameter, self.data_type(kind))
    }

    /// Whether two values are equal or both NULL.
    fn not_distinct(&self, left: Expr, right: Expr) -> Expr;

    // Writing rows.

    /// Whether rows are collected and written in few statements, since each statement is a round trip.
    fn batches_rows(&self) -> bool;

    /// Whether the length of a text column is enforced.
    fn bounds_texts(&self) -> bool;

    /// How many events a sink writes in one transaction.
    fn events_per_transaction(&self) -> usize;
}

/// The statements of a lock that a connection holds until it ends. Each takes the name of the lock, which
/// is one for the whole server, and returns `held`.
#[derive(Debug)]
pub(crate) struct SessionLock {
    /// Takes the lock; waits so many seconds for another connection, the second parameter.
    pub take: &'static str,
    /// Whether this connection holds the lock.
    pub check: &'static str,
    /// Releases the lock.
    pub release: &'static str,
}

/// What a text consists of, before any grammar.
#[derive(Debug)]
pub(crate) struct Lexicon {
    /// `#` begins a comment.
    pub hash_comments: bool,
    /// `--` begins a comment only with a blank after it.
    pub dashes_need_blank: bool,
    /// `/*! … */` is executed, and `/*+ … */` is a hint for the optimizer.
    pub executable_comments: bool,
    /// `\` escapes the character after it in a text.
    pub backslash_escapes: bool,
    /// `"…"` is a text, not a name.
    pub double_quoted_texts: bool,
    /// `[…]` is a name.
    pub bracketed_names: bool,
    /// `@name` and `$name` are parameters.
    pub sigil_parameters: bool,
}

/// Which types the expressions of a query have.
#[derive(Debug)]
pub(crate) struct ExpressionRules {
    /// Each value has a type of its own: where branches are integers and reals, both occur.
    pub types_per_value: bool,
    /// `1.5`, a quotient and a sum of integers are exact decimals, which are returned as texts.
    pub exact_decimals: bool,
    /// An integer beyond 64 bits is a real.
    pub wide_integers_are_reals: bool,
    /// A minus before a constant or a parameter may give a decimal.
    pub minus_gives_decimals: bool,
    /// `||` concatenates texts.
    pub bars_concatenate: bool,
    /// Functions of dates return texts.
    pub dates_are_texts: bool,
    /// `round` returns reals only.
    pub rounds_to_reals: bool,
    /// Functions of dates take unix seconds and modifiers, as in
    /// `datetime(at, 'unixepoch', '-5 seconds')`.
    pub epoch_modifiers: bool,
}

/// A column of a table of Tributary itself, by what it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum InternalColumn {
    /// A number that the database gives, the primary key.
    Id,
    /// A name of at most 255 characters.
    Name,
    /// At most 128 hexadecimal digits.
    Key,
    /// 32 hexadecimal digits.
    Hash,
    Number,
    /// At most 64 KiB.
    Text,
    /// At most 16 MiB.
    MediumText,
    /// At most 4 GiB.
    LongText,
    Bytes,
}
