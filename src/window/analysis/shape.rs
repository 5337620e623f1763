//! What two queries have in common: whether their groups are the same, and what the running state of the one
//! has that the other needs.

use super::{Aggregate, GroupedQuery, IncrementalQuery, RowSql, RowValue};

/// What the groups of a query are, in a form that can be compared with that of another query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupShape {
    chain: Vec<String>,
    pub keys: Vec<String>,
    filter: Vec<String>,
}

/// What the running state of a query is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StateShape {
    groups: GroupShape,
    aggregates: Vec<(Aggregate, String)>,
}

impl GroupShape {
    pub fn of(grouped: &GroupedQuery) -> Self {
        let texts = |items: &[RowValue]| {
            let items = items.iter();
            items.map(|item| text(*item, &grouped.computed)).collect()
        };
        GroupShape {
            chain: grouped.chain.clone(),
            keys: texts(&grouped.keys),
            filter: texts(&grouped.filter),
        }
    }
}

impl StateShape {
    pub fn of(grouped: &GroupedQuery, query: &IncrementalQuery) -> Self {
        let aggregate = |aggregate: &Aggregate| {
            let arg = aggregate.arg.map(|arg| text(arg, &query.computed));
            let bare = Aggregate {
                arg: None,
                ..*aggregate
            };
            (bare, arg.unwrap_or_default())
        };
        StateShape {
            groups: GroupShape::of(grouped),
            aggregates: query.aggregates.iter().map(aggregate).collect(),
        }
    }

    /// Where each aggregate is among those of another state; `None` where that lacks one, or has other
    /// groups or other rows in them.
    pub fn find_in(&self, other: &StateShape) -> Option<Vec<usize>> {
        if self.groups != other.groups {
            return None;
        }
        let mut wanted = self.aggregates.iter();
        let place = |aggregate| other.aggregates.iter().position(|known| known == aggregate);
        let places: Vec<usize> = wanted.by_ref().map_while(place).collect();
        (places.len() == self.aggregates.len()).then_some(places)
    }
}

fn text(item: RowValue, computed: &[RowSql]) -> String {
    match item {
        RowValue::Column(column) => format!("{}.{}", column.depth, column.index),
        RowValue::Computed {
            computed: at,
            output,
        } => {
            let sql = &computed[at];
            format!("{}: {}", sql.depth, sql.texts[output])
        }
    }
}
