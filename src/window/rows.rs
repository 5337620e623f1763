//! From the row of an event to the members of groups: which groups it is in, and with which
//! arguments of their aggregates.
//!
//! A row of the window's table joined with one row of each child table of the chain is a member.
//! What is a plain column is taken as it is; everything else the database computes, once for each
//! row of the depth at which it can be computed.

use super::plan::{Computed, Item, Numeric};
use super::state::Digest;
use crate::error::{Error, Result, quote};
use crate::store::{Cell, Datum, Evaluation, Row, Session};

/// Reads members out of rows.
pub(super) struct Reader {
    query: Members,
    /// What was computed last, for each of `computed`.
    values: Vec<Vec<Datum>>,
    /// The key of the member in hand, as bytes.
    encoded: Vec<u8>,
    given: Vec<Datum>,
}

/// What a member is to a query.
struct Members {
    chain: Vec<String>,
    keys: Vec<Item>,
    filter: Vec<Item>,
    arguments: Vec<Option<(Item, Numeric)>>,
    computed: Vec<(Computed, Evaluation)>,
}

/// A row of the chain, and the rows above it.
struct Path<'a> {
    row: &'a Row<'a>,
    depth: usize,
    above: Option<&'a Path<'a>>,
}

impl<'a> Path<'a> {
    fn row(&self, depth: usize) -> &'a Row<'a> {
        match self.above {
            Some(above) if depth < self.depth => above.row(depth),
            _ => self.row,
        }
    }
}

/// A row that is in a group.
pub(super) struct Member<'a> {
    /// What stands for its key.
    pub name: Digest,
    /// One value for each aggregate.
    pub arguments: &'a [Datum],
    keys: &'a [Item],
    path: &'a Path<'a>,
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

/// Takes one member after the other.
type Take<'a> = dyn FnMut(&Member<'_>) + 'a;

impl Reader {
    pub fn new(
        chain: Vec<String>,
        keys: Vec<Item>,
        filter: Vec<Item>,
        arguments: Vec<Option<(Item, Numeric)>>,
        computed: Vec<Computed>,
    ) -> Self {
        let with_evaluation = |computed: Computed| {
            let evaluation = Evaluation::new(computed.sql.as_str());
            (computed, evaluation)
        };
        Reader {
            values: computed.iter().map(|_| Vec::new()).collect(),
            query: Members {
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

    /// Gives every member of a row.
    ///
    /// # Errors
    /// What the database cannot compute of it.
    pub fn each(
        &mut self,
        row: &Row<'_>,
        session: &mut Session,
        take: &mut Take<'_>,
    ) -> Result<()> {
        let path = Path {
            row,
            depth: 0,
            above: None,
        };
        let mut hand = Hand {
            values: &mut self.values,
            encoded: &mut self.encoded,
            given: &mut self.given,
            session,
            take,
        };
        self.query.descend(&path, &mut hand)
    }
}

/// What is in hand on the way down.
struct Hand<'a, 'b> {
    values: &'a mut [Vec<Datum>],
    encoded: &'a mut Vec<u8>,
    given: &'a mut Vec<Datum>,
    session: &'a mut Session,
    take: &'a mut Take<'b>,
}

impl Members {
    fn descend(&self, path: &Path<'_>, hand: &mut Hand<'_, '_>) -> Result<()> {
        for ((computed, evaluation), values) in self.computed.iter().zip(hand.values.iter_mut()) {
            if computed.depth == path.depth {
                let mut inputs = computed.inputs.iter().map(|column| {
                    let cell = &path.row(column.depth).cells[column.at];
                    cell.borrowed()
                });
                hand.session.evaluate(evaluation, &mut inputs, values)?;
            }
        }
        for item in self
            .filter
            .iter()
            .filter(|item| self.depth(item) == path.depth)
        {
            let is_true = |cell: &Cell<'_>| matches!(cell, Cell::Integer(1));
            if !given(item, path, hand.values, is_true) {
                return Ok(());
            }
        }
        let Some(below) = self.chain.get(path.depth) else {
            return self.take(path, hand);
        };
        for child in &path.row.children {
            if child.table.name() == below {
                let path = Path {
                    row: child,
                    depth: path.depth + 1,
                    above: Some(path),
                };
                self.descend(&path, hand)?;
            }
        }
        Ok(())
    }

    fn take(&self, path: &Path<'_>, hand: &mut Hand<'_, '_>) -> Result<()> {
        hand.encoded.clear();
        for item in &self.keys {
            let encode = |cell: &Cell<'_>| Datum::encode(cell, hand.encoded);
            given(item, path, hand.values, encode);
        }
        hand.given.clear();
        for item in &self.arguments {
            // A row as such counts like any value that is there.
            hand.given.push(match item {
                Some((item, kind)) => given(item, path, hand.values, |cell| argument(*kind, cell))?,
                None => Datum::Integer(1),
            });
        }
        (hand.take)(&Member {
            name: Digest::of(hand.encoded),
            arguments: hand.given,
            keys: &self.keys,
            path,
            values: hand.values,
        });
        Ok(())
    }

    fn depth(&self, item: &Item) -> usize {
        match item {
            Item::Column(column) => column.depth,
            Item::Computed { computed, .. } => self.computed[*computed].0.depth,
        }
    }
}

/// Looks at the value of an item: where it lies, if it is a column.
#[inline]
fn given<T>(
    item: &Item,
    path: &Path<'_>,
    values: &[Vec<Datum>],
    look: impl FnOnce(&Cell<'_>) -> T,
) -> T {
    match item {
        Item::Column(column) => look(&path.row(column.depth).cells[column.at]),
        Item::Computed { computed, output } => look(&values[*computed][*output].cell()),
    }
}

/// A value as an aggregate takes it. A database may give a whole number as text; it counts as the
/// number that it is.
///
/// # Errors
/// Another text where a number is wanted: the plan has the type wrong, and must not go on.
pub(super) fn argument(kind: Numeric, cell: &Cell<'_>) -> Result<Datum> {
    match (kind, cell) {
        (Numeric::Integer | Numeric::Real, Cell::Text(text)) => match text.parse() {
            Ok(whole) => Ok(Datum::Integer(whole)),
            Err(_) => Err(Error::data(format!(
                "the database computes {} where a number is kept",
                quote(text)
            ))
            .with_hint("force plan = \"requery\"")),
        },
        (_, cell) => Ok(Datum::from(cell)),
    }
}
