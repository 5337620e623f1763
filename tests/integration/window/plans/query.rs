//! Random queries of the shapes that the planner reads.
//!
//! Each is valid on SQLite and on MariaDB. One more key, condition, aggregate or bound is a line in
//! its table.

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

/// How a query joins the child table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    None,
    On,
    Where,
}

/// How GROUP BY names a key.
#[derive(Debug, Clone, Copy)]
pub enum By {
    Expression,
    Alias,
    Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    None,
    /// By all keys: no two rows are equal.
    Keys,
    KeysDescending,
    /// By an aggregate, then by all keys.
    Aggregate,
}

const KEYS: [&str; 11] = [
    "r.a",
    "r.b",
    "upper(r.a)",
    "r.b + 1",
    "coalesce(r.n, 7)",
    "case when r.v > 0 then 'more' else 'less' end",
    "r.v",
    "r.n % 3",
    "r.v * -1",
    "-r.n",
    "abs(-r.b) + -(-r.n)",
];
const KEYS_OF_PARTS: [&str; 3] = ["p.g", "p.g + coalesce(r.b, 0)", "p.w"];

const FILTERS: [&str; 9] = [
    "r.v > 0.5",
    "r.a <> 'x'",
    "r.n is not null",
    "(r.a = 'x' or r.b = 1)",
    "r.k <> 'k1'",
    "r.b in (0, 1)",
    "r.v between -1 and 2",
    "not (r.n = 2)",
    "-r.n < 1",
];
const FILTERS_OF_PARTS: [&str; 3] = ["p.w >= 0.25", "p.g <> r.n", "(p.g = 1 or r.v > 0)"];

const AGGREGATES: [&str; 35] = [
    "count(*)",
    "count(r.v)",
    "count(r.a)",
    "sum(r.v)",
    "sum(r.n)",
    "avg(r.v)",
    "avg(r.n)",
    "min(r.n)",
    "max(r.n)",
    "min(r.v)",
    "max(r.v)",
    "min(r.a)",
    "max(r.a)",
    "count(distinct r.a)",
    "count(distinct r.n)",
    "count(distinct r.v)",
    "sum(r.v * r.n)",
    "round(sum(r.v * 2), 1)",
    "sum(r.v) / count(*)",
    "coalesce(sum(r.n), 0) + 1",
    "sum(case when r.n > 1 then r.v else 0 end)",
    "max(r.v) - min(r.v)",
    "count(*) * 2",
    "max(r.t) - min(r.t)",
    "sum(r.n) > 3",
    "sum(r.b is null)",
    "sum(-r.n)",
    "min(-r.n)",
    "max(-(-r.n))",
    "sum(abs(-r.n))",
    "avg(ifnull(-r.n, 0))",
    "max(case when r.n > 0 then r.n else -r.n end)",
    "count(distinct -r.n % 2)",
    "-min(r.n)",
    "-count(*)",
];
const AGGREGATES_OF_PARTS: [&str; 6] = [
    "sum(p.w)",
    "max(p.w)",
    "min(p.g)",
    "sum(p.w * r.v)",
    "count(distinct p.g)",
    "avg(p.g)",
];

const HAVING: [&str; 5] = [
    "count(*) > 1",
    "x0 > 0",
    "x0 is not null",
    "sum(r.v) >= 1",
    "max(r.n) = 2",
];

/// Bounds on time of the query's own: six seconds, in several spellings, and other lengths.
const BOUNDS: [&str; 9] = [
    "from_unixtime(r.t) >= now() - interval 6 second",
    "now() - interval 6 second <= from_unixtime(r.t)",
    "r.t >= unix_timestamp() - 6",
    "r.t > unix_timestamp() - 6",
    "r.t >= :now - 6",
    "r.t > :now - 6",
    "r.t + 6 >= :now",
    "r.t >= unix_timestamp(now() - interval 3 second)",
    "from_unixtime(r.t) > now() - interval 1 minute",
];

/// A query of a window over the table `r`, whose children are `p`.
#[derive(Debug, Clone)]
pub struct Shape {
    pub join: Join,
    keys: Vec<(&'static str, By)>,
    filters: Vec<&'static str>,
    aggregates: Vec<&'static str>,
    having: Option<&'static str>,
    pub order: Order,
    bound: Option<&'static str>,
    /// Whether the keys are shown.
    shows_keys: bool,
}

impl Shape {
    /// The same without a bound on time of its own.
    pub fn unbounded(mut self) -> Self {
        self.bound = None;
        self
    }

    pub fn sql(&self) -> String {
        let by_place = |(_, by): &(&str, By)| !matches!(by, By::Expression);
        let shows_keys = self.shows_keys || self.keys.iter().any(by_place);
        let keys = self.keys.iter().enumerate();
        let mut select: Vec<String> = if shows_keys {
            keys.clone()
                .map(|(at, (key, _))| format!("{key} as k{at}"))
                .collect()
        } else {
            Vec::new()
        };
        let aggregates = self.aggregates.iter().enumerate();
        select.extend(aggregates.map(|(at, aggregate)| format!("{aggregate} as x{at}")));
        let from = match self.join {
            Join::None => "events r",
            Join::On => "events r join parts p on p.event = r.k",
            Join::Where => "events r, parts p",
        };
        let mut wheres: Vec<&str> = self.filters.clone();
        wheres.extend(self.bound);
        if self.join == Join::Where {
            wheres.push("p.event = r.k");
        }
        let mut sql = format!("select {} from {from}", select.join(", "));
        if !wheres.is_empty() {
            sql.push_str(&format!(" where {}", wheres.join(" and ")));
        }
        let groups: Vec<String> = keys
            .clone()
            .map(|(at, (key, by))| match by {
                By::Expression => (*key).to_owned(),
                By::Alias => format!("k{at}"),
                By::Place => format!("{}", at + 1),
            })
            .collect();
        if !groups.is_empty() {
            sql.push_str(&format!(" group by {}", groups.join(", ")));
        }
        if let Some(having) = self.having {
            sql.push_str(&format!(" having {having}"));
        }
        let terms: Vec<String> = self.keys.iter().map(|(key, _)| (*key).to_owned()).collect();
        let terms = match self.order {
            Order::None => Vec::new(),
            Order::Keys => terms,
            Order::KeysDescending => terms.iter().map(|term| format!("{term} desc")).collect(),
            Order::Aggregate => std::iter::once("x0 desc".to_owned()).chain(terms).collect(),
        };
        if !terms.is_empty() {
            sql.push_str(&format!(" order by {}", terms.join(", ")));
        }
        sql
    }
}

/// Some of two tables, the second of which is for joins.
fn some(
    own: &'static [&'static str],
    of_parts: &'static [&'static str],
    join: Join,
    how_many: impl Into<proptest::sample::SizeRange>,
) -> impl Strategy<Value = Vec<&'static str>> {
    let mut all = own.to_vec();
    if join != Join::None {
        // Twice, so that they are not rare.
        all.extend(of_parts.iter().chain(of_parts));
    }
    subsequence(all, how_many)
        .prop_shuffle()
        .prop_map(|mut some| {
            let mut known = Vec::new();
            some.retain(|one| {
                !known.contains(one) && {
                    known.push(*one);
                    true
                }
            });
            some
        })
}

pub fn shape() -> impl Strategy<Value = Shape> {
    let join = prop_oneof![3 => Just(Join::None), 2 => Just(Join::On), 1 => Just(Join::Where)];
    join.prop_flat_map(|join| {
        let by = prop_oneof![
            3 => Just(By::Expression),
            1 => Just(By::Alias),
            1 => Just(By::Place)
        ];
        let order = prop_oneof![
            3 => Just(Order::None),
            2 => Just(Order::Keys),
            1 => Just(Order::KeysDescending),
            1 => Just(Order::Aggregate)
        ];
        let having = proptest::option::weighted(0.4, any::<Index>());
        let bound = proptest::option::weighted(0.4, any::<Index>());
        (
            (some(&KEYS, &KEYS_OF_PARTS, join, 0..=2), [by.clone(), by]),
            some(&FILTERS, &FILTERS_OF_PARTS, join, 0..=2),
            some(&AGGREGATES, &AGGREGATES_OF_PARTS, join, 1..=3),
            having,
            order,
            bound,
            proptest::bool::weighted(0.8),
        )
            .prop_map(
                move |(keys, filters, aggregates, having, order, bound, shows_keys)| Shape {
                    join,
                    keys: keys.0.into_iter().zip(keys.1).collect(),
                    filters,
                    aggregates,
                    having: having.map(|at| *at.get(&HAVING)),
                    order,
                    bound: bound.map(|at| *at.get(&BOUNDS)),
                    shows_keys,
                },
            )
    })
}
