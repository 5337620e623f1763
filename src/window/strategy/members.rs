//! The members of a row: which groups it belongs to, and the arguments of their aggregates.
//!
//! A member is a row of the window's table, joined with one row of each child table of the chain. A
//! plain column is taken as it is; everything else is computed by the database, once for each row of
//! the depth at which it can be computed.

use crate::error::Result;
use crate::store::{Cell, Connection, Datum, Evaluation, Row};
use crate::window::aggregates::ArgumentType;
use crate::window::analysis::{RowSql, RowValue};
use crate::window::state::Digest;

/// Reads members out of rows.
pub(in crate::window) struct MemberReader {
    query: MemberPlan,
    /// The last results of each of `computed`.
    values: Vec<Vec<Datum>>,
    /// The key of the current member, as bytes.
    encoded: Vec<u8>,
    given: Vec<Datum>,
}

/// What the query needs of a member.
struct MemberPlan {
    chain: Vec<String>,
    keys: Vec<RowValue>,
    filter: Vec<RowValue>,
    arguments: Vec<Option<(RowValue, ArgumentType)>>,
    computed: Vec<(RowSql, Evaluation)>,
}

/// A row of the chain, and the rows above it.
struct RowPath<'a> {
    row: &'a Row<'a>,
    depth: usize,
    above: Option<&'a RowPath<'a>>,
}

impl<'a> RowPath<'a> {
    fn row(&self, depth: usize) -> &'a Row<'a> {
        match self.above {
            Some(above) if depth < self.depth => above.row(depth),
            _ => self.row,
        }
    }
}

/// A member of a group.
pub(in crate::window) struct Member<'a> {
    /// The digest of its key.
    pub name: Digest,
    /// One value for each aggregate.
    pub arguments: &'a [Datum],
    keys: &'a [RowValue],
    path: &'a RowPath<'a>,
    values: &'a [Vec<Datum>],
}

impl Member<'_> {
    /// Its key.
    pub fn key(&self) -> Vec<Datum> {
        let mut key = vec![Datum::Null; self.keys.len()];
        self.write_key(&mut key);
        key
    }

    /// Writes its key in the place of another one.
    pub fn write_key(&self, key: &mut [Datum]) {
        for (item, datum) in self.keys.iter().zip(key) {
            given(item, self.path, self.values, |cell| datum.set(cell));
        }
    }
}

/// What is called with each member.
type OnMember<'a> = dyn FnMut(&Member<'_>) + 'a;

impl MemberReader {
    pub fn new(
        chain: Vec<String>,
        keys: Vec<RowValue>,
        filter: Vec<RowValue>,
        arguments: Vec<Option<(RowValue, ArgumentType)>>,
        computed: Vec<RowSql>,
    ) -> Self {
        let with_evaluation = |computed: RowSql| {
            let evaluation = Evaluation::new(computed.sql.as_str());
            (computed, evaluation)
        };
        MemberReader {
            values: computed.iter().map(|_| Vec::new()).collect(),
            query: MemberPlan {
                chain,
                keys,
                filter,
                arguments,
                computed: computed.into_iter().map(with_evaluation).collect(),
            },
            encoded: Vec::new(),
            given: Vec::new(),
        }
    }

    /// Passes each member of a row to `take`.
    ///
    /// # Errors
    /// An expression that the database cannot compute for the row.
    pub fn each(
        &mut self,
        row: &Row<'_>,
        connection: &mut Connection,
        take: &mut OnMember<'_>,
    ) -> Result<()> {
        let path = RowPath {
            row,
            depth: 0,
            above: None,
        };
        let mut traversal = Traversal {
            values: &mut self.values,
            encoded: &mut self.encoded,
            given: &mut self.given,
            connection,
            take,
        };
        self.query.descend(&path, &mut traversal)
    }
}

/// What a traversal of a row and its child rows carries.
struct Traversal<'a, 'b> {
    values: &'a mut [Vec<Datum>],
    encoded: &'a mut Vec<u8>,
    given: &'a mut Vec<Datum>,
    connection: &'a mut Connection,
    take: &'a mut OnMember<'b>,
}

impl MemberPlan {
    fn descend(&self, path: &RowPath<'_>, traversal: &mut Traversal<'_, '_>) -> Result<()> {
        for ((computed, evaluation), values) in
            self.computed.iter().zip(traversal.values.iter_mut())
        {
            if computed.depth == path.depth {
                let mut inputs = computed.inputs.iter().map(|column| {
                    let cell = &path.row(column.depth).cells[column.index];
                    cell.borrowed()
                });
                traversal
                    .connection
                    .evaluate(evaluation, &mut inputs, values)?;
            }
        }
        for item in self
            .filter
            .iter()
            .filter(|item| self.depth(item) == path.depth)
        {
            let is_true = |cell: &Cell<'_>| matches!(cell, Cell::Integer(1));
            if !given(item, path, traversal.values, is_true) {
                return Ok(());
            }
        }
        let Some(below) = self.chain.get(path.depth) else {
            return self.take(path, traversal);
        };
        for child in &path.row.children {
            if child.table.name() == below {
                let path = RowPath {
                    row: child,
                    depth: path.depth + 1,
                    above: Some(path),
                };
                self.descend(&path, traversal)?;
            }
        }
        Ok(())
    }

    fn take(&self, path: &RowPath<'_>, traversal: &mut Traversal<'_, '_>) -> Result<()> {
        traversal.encoded.clear();
        for item in &self.keys {
            let encode = |cell: &Cell<'_>| Datum::encode(cell, traversal.encoded);
            given(item, path, traversal.values, encode);
        }
        traversal.given.clear();
        for item in &self.arguments {
            // A row as such counts like any value that is there.
            traversal.given.push(match item {
                Some((item, kind)) => given(item, path, traversal.values, |cell| kind.value(cell))?,
                None => Datum::Integer(1),
            });
        }
        (traversal.take)(&Member {
            name: Digest::of(traversal.encoded),
            arguments: traversal.given,
            keys: &self.keys,
            path,
            values: traversal.values,
        });
        Ok(())
    }

    fn depth(&self, item: &RowValue) -> usize {
        match item {
            RowValue::Column(column) => column.depth,
            RowValue::Computed { computed, .. } => self.computed[*computed].0.depth,
        }
    }
}

/// Looks at the value of an item: where it lies, if it is a column.
#[inline]
fn given<T>(
    item: &RowValue,
    path: &RowPath<'_>,
    values: &[Vec<Datum>],
    look: impl FnOnce(&Cell<'_>) -> T,
) -> T {
    match item {
        RowValue::Column(column) => look(&path.row(column.depth).cells[column.index]),
        RowValue::Computed { computed, output } => look(&values[*computed][*output].cell()),
    }
}
