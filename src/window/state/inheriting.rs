//! The groups of a window that is replaced, as those of its successor.

use super::expiry::ExpiryQueue;
use super::{GroupIndex, Groups, StateOptions};
use crate::window::aggregates::AggregateFunction;

impl Groups {
    /// Keeps the aggregates at these places, in this order, which are those of a query with the same groups.
    /// All groups count as changed.
    pub fn select(
        &mut self,
        functions: Vec<AggregateFunction>,
        places: &[usize],
        options: StateOptions,
    ) {
        let width = self.functions.len();
        let same =
            width == places.len() && places.iter().enumerate().all(|(at, place)| at == *place);
        if !same {
            let mut accumulators = Vec::with_capacity(self.slots.len() * places.len());
            for slot in 0..self.slots.len() {
                let known = &self.accumulators[slot * width..][..width];
                accumulators.extend(places.iter().map(|place| known[*place].clone()));
            }
            self.accumulators = accumulators;
            self.queue = std::mem::take(&mut self.queue).rebuilt(width, places, 0);
        }
        self.functions = functions;
        self.slots.iter_mut().for_each(|slot| slot.changed = false);
        self.changed = options.track_changes.then(Vec::new);
        let all: Vec<GroupIndex> = self.all().collect();
        self.note_changes(&all);
    }

    /// Has all rows leave so much later, or, where it is negative, earlier.
    pub fn shift(&mut self, by: i64) {
        if by != 0 {
            let width = self.functions.len();
            let places: Vec<usize> = (0..width).collect();
            self.queue = std::mem::take(&mut self.queue).rebuilt(width, &places, by);
        }
    }
}

impl ExpiryQueue {
    /// The same rows, which leave so much later; of the `width` arguments of each member those at these
    /// places.
    fn rebuilt(self, width: usize, places: &[usize], later: i64) -> Self {
        let mut rebuilt = ExpiryQueue::default();
        let mut picked = Vec::new();
        self.each(width, |leaves, digest, groups, arguments| {
            picked.clear();
            for member in 0..groups.len() {
                let known = &arguments[member * width..][..width];
                picked.extend(places.iter().map(|place| known[*place].clone()));
            }
            rebuilt.push(leaves.saturating_add(later), digest, groups, &picked);
        });
        rebuilt
    }
}
