//! Tables as they are declared: columns, key, child tables.
//!
//! A JSON event becomes one row of its table, and each array that the table has a child for
//! becomes rows of the child table. A [`Table`] is built first and checked as a whole by
//! [`Database::declare`](super::Database::declare); the builder itself never fails.
//!
//! A new type of column: add it to [`Type`], to `Type::NAMES`, to the conversion in `row.rs` and
//! to the column definitions of each backend.

mod check;
mod json;

use std::fmt;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Type {
    /// An integer of 64 bits with a sign.
    Integer,
    /// A double.
    Real,
    /// Text, with a greatest length in characters (255 by default) that MySQL enforces.
    Text(u16),
}

impl Type {
    /// The length of a text column of which none was given, in characters.
    pub const TEXT_LEN: u16 = 255;

    /// The names of the types, as declarations in JSON write them.
    pub(crate) const NAMES: [&str; 3] = ["integer", "real", "text"];
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Integer => f.write_str("integer"),
            Type::Real => f.write_str("real"),
            Type::Text(Type::TEXT_LEN) => f.write_str("text"),
            Type::Text(len) => write!(f, "text({len})"),
        }
    }
}

/// A column: its name and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// The name, of the column and of the JSON field that fills it.
    pub name: String,
    /// What it holds.
    pub kind: Type,
}

/// A child table: the rows that a JSON event nests in an array.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Child {
    /// The JSON field that holds the array.
    pub field: String,
    /// The table of its elements.
    pub table: Table,
    /// Columns of the child that repeat a column of the parent: child's, parent's.
    pub parent: Vec<(String, String)>,
}

/// A table as it is declared.
///
/// ```
/// use tributary::{Database, Table};
///
/// let database = Database::open("sqlite::memory:")?;
/// database.declare(
///     Table::new("bets").text("uuid").integer("create_time").real("stake").key("uuid").child(
///         "selections",
///         Table::new("selections").text("bet_uuid").integer("game_id").real("odds"),
///         &[("bet_uuid", "uuid")],
///     ),
/// )?;
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    name: String,
    columns: Vec<Column>,
    key: Vec<String>,
    children: Vec<Child>,
}

impl Table {
    /// A table of this name that has no columns yet.
    pub fn new(name: impl Into<String>) -> Self {
        Table {
            name: name.into(),
            columns: Vec::new(),
            key: Vec::new(),
            children: Vec::new(),
        }
    }

    /// The same table with one more column.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, kind: Type) -> Self {
        let name = name.into();
        self.columns.push(Column { name, kind });
        self
    }

    /// The same table with a column of text.
    #[must_use]
    pub fn text(self, name: impl Into<String>) -> Self {
        self.column(name, Type::Text(Type::TEXT_LEN))
    }

    /// The same table with a column of text of at most so many characters.
    #[must_use]
    pub fn text_sized(self, name: impl Into<String>, len: u16) -> Self {
        self.column(name, Type::Text(len))
    }

    /// The same table with a column of whole numbers.
    #[must_use]
    pub fn integer(self, name: impl Into<String>) -> Self {
        self.column(name, Type::Integer)
    }

    /// The same table with a column of doubles.
    #[must_use]
    pub fn real(self, name: impl Into<String>) -> Self {
        self.column(name, Type::Real)
    }

    /// The same table with one more column in its key. A second row with the same key is not
    /// inserted again.
    #[must_use]
    pub fn key(mut self, column: impl Into<String>) -> Self {
        self.key.push(column.into());
        self
    }

    /// The same table with a child: the elements of the array `field` become rows of `table`, in
    /// which the columns named first in `parent` repeat the parent's columns named second.
    #[must_use]
    pub fn child(
        mut self,
        field: impl Into<String>,
        table: Table,
        parent: &[(&str, &str)],
    ) -> Self {
        self.children.push(Child {
            field: field.into(),
            table,
            parent: parent
                .iter()
                .map(|(child, parent)| ((*child).to_owned(), (*parent).to_owned()))
                .collect(),
        });
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns, in the order of their declaration.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns of the key; none where rows are never taken for repetitions.
    pub fn key_columns(&self) -> &[String] {
        &self.key
    }

    /// The places of its columns among all.
    pub(crate) fn key_places(&self) -> Vec<usize> {
        let places = self.key.iter().map(|name| self.find(name));
        places.flatten().map(|(at, _)| at).collect()
    }

    /// The child tables.
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// The column of this name and its place.
    pub fn find(&self, column: &str) -> Option<(usize, &Column)> {
        self.columns
            .iter()
            .enumerate()
            .find(|(_, c)| c.name == column)
    }

    /// Calls `visit` for this table and every table below it, parents first.
    pub(crate) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Table)) {
        visit(self);
        for child in &self.children {
            child.table.walk(visit);
        }
    }
}
