//! From the row of an event to the members of groups: which groups it is in, and with which
//! arguments of their aggregates.
//!
//! A row of the window's table joined with one row of each child table of the chain is a member.
//! What is a plain column is taken as it is; everything else the database computes, once for each
//! row of the depth at which it can be computed.

use super::plan::{Computed, Item};
use crate::error::Result;
use crate::store::{Cell, Datum, Row, Session};

/// Reads members out of rows.
pub(super) struct Reader {
    chain: Vec<String>,
    keys: Vec<Item>,
    filter: Vec<Item>,
    arguments: Vec<Option<Item>>,
    computed: Vec<Computed>,
    /// What was computed last, for each of `computed`.
    values: Vec<Vec<Datum>>,
    /// The key of the member in hand, as bytes.
    encoded: Vec<u8>,
    given: Vec<Datum>,
}

/// A row that is in a group.
pub(super) struct Member<'a> {
    /// Its key as bytes: see [`Datum::encode`].
    pub encoded: &'a [u8],
    /// One value for each aggregate.
    pub arguments: &'a [Datum],
    keys: &'a [Item],
    path: &'a [&'a Row<'a>],
    values: &'a [Vec<Datum>],
}

impl Member<'_> {
    /// Its key.
    pub fn key(&self) -> Box<[Datum]> {
        let datum = |item: &Item| Datum::from(&cell(item, self.path, self.values));
        self.keys.iter().map(datum).collect()
    }
}

impl Reader {
    pub fn new(
        chain: Vec<String>,
        keys: Vec<Item>,
        filter: Vec<Item>,
        arguments: Vec<Option<Item>>,
        computed: Vec<Computed>,
    ) -> Self {
        Reader {
            values: computed.iter().map(|_| Vec::new()).collect(),
            chain,
            keys,
            filter,
            arguments,
            computed,
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
        take: &mut dyn FnMut(&Member<'_>),
    ) -> Result<()> {
        self.descend(&[row], session, take)
    }

    fn descend(
        &mut self,
        path: &[&Row<'_>],
        session: &mut Session,
        take: &mut dyn FnMut(&Member<'_>),
    ) -> Result<()> {
        let depth = path.len() - 1;
        for (computed, values) in self.computed.iter().zip(&mut self.values) {
            if computed.depth == depth {
                let inputs: Vec<Cell<'_>> = computed
                    .inputs
                    .iter()
                    .map(|column| path[column.depth].cells[column.at].clone())
                    .collect();
                session.evaluate(&computed.sql, &inputs, values)?;
            }
        }
        for item in self.filter.iter().filter(|item| self.depth(item) == depth) {
            if !matches!(cell(item, path, &self.values), Cell::Integer(1)) {
                return Ok(());
            }
        }
        let Some(below) = self.chain.get(depth) else {
            self.encoded.clear();
            for item in &self.keys {
                Datum::encode(&cell(item, path, &self.values), &mut self.encoded);
            }
            self.given.clear();
            for item in &self.arguments {
                // A row as such counts like any value that is there.
                self.given.push(match item {
                    Some(item) => Datum::from(&cell(item, path, &self.values)),
                    None => Datum::Integer(1),
                });
            }
            take(&Member {
                encoded: &self.encoded,
                arguments: &self.given,
                keys: &self.keys,
                path,
                values: &self.values,
            });
            return Ok(());
        };
        let below = below.clone();
        let row = path[depth];
        for child in row.children.iter().filter(|child| child.table.name() == below) {
            let mut path = path.to_vec();
            path.push(child);
            self.descend(&path, session, take)?;
        }
        Ok(())
    }

    fn depth(&self, item: &Item) -> usize {
        match item {
            Item::Column(column) => column.depth,
            Item::Computed { computed, .. } => self.computed[*computed].depth,
        }
    }
}

fn cell<'a>(item: &Item, path: &[&'a Row<'a>], values: &'a [Vec<Datum>]) -> Cell<'a> {
    match item {
        Item::Column(column) => path[column.depth].cells[column.at].clone(),
        Item::Computed { computed, output } => values[*computed][*output].cell(),
    }
}
