//! The values of a group in their order, for aggregates that return one of them.

use crate::store::Datum;
use std::collections::BTreeMap;

/// Each value, and how often it occurs: at least once.
#[derive(Debug, Clone, Default)]
pub(super) struct ValueCounts(BTreeMap<Datum, u64>);

impl ValueCounts {
    pub fn update(&mut self, value: &Datum) {
        *self.0.entry(value.clone()).or_default() += 1;
    }

    pub fn retract(&mut self, value: &Datum) {
        if let Some(count) = self.0.get_mut(value) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(value);
            }
        }
    }

    pub fn merge(&mut self, other: ValueCounts) {
        for (value, count) in other.0 {
            *self.0.entry(value).or_default() += count;
        }
    }

    /// The least value, or NULL.
    pub fn least(&self) -> Datum {
        self.0.keys().next().cloned().unwrap_or(Datum::Null)
    }

    /// The greatest value, or NULL.
    pub fn greatest(&self) -> Datum {
        self.0.keys().next_back().cloned().unwrap_or(Datum::Null)
    }
}
