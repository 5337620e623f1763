//! Running state: the groups of a window, and which rows are in it.
//!
//! - `digest` — hashes that stand for keys.
//! - `expiry` — which rows leave next, and what leaves with them.
//! - `closing` — groups of windows that close.
//! - `sessions` — groups whose windows are sessions, which rows extend and join.
//! - `inheriting` — the groups of a window that is replaced.
//! - `ended_sessions` — sessions that have ended and that a row may still overlap.
//!
//! Invariant: the accumulators of a group hold exactly the rows that were added to it and have not
//! left. A group without rows is removed, and its slot, with its memory, is used for another one.

mod closing;
mod digest;
mod ended_sessions;
mod expiry;
mod inheriting;
mod sessions;

use super::aggregates::{AggregateFunction, AnyAccumulator};
use super::kind::WindowBounds;
use crate::store::Datum;
use digest::DigestHashBuilder;
use ended_sessions::EndedSessions;
use expiry::ExpiryQueue;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub(crate) use digest::Digest;
pub(crate) use sessions::SessionRow;

/// The slot of a group. It is the group's until the group is removed, and then another one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupIndex(u32);

impl GroupIndex {
    const FIRST: GroupIndex = GroupIndex(0);
    const LAST: GroupIndex = GroupIndex(u32::MAX);

    #[inline]
    fn slot(self) -> usize {
        self.0 as usize
    }
}

/// The groups of a window.
pub(crate) struct Groups {
    functions: Vec<AggregateFunction>,
    track_slack: bool,
    /// How many values a key has.
    key_width: usize,
    /// The groups by the digests of their names; sessions are not here but in `sessions`.
    index: HashMap<Digest, GroupIndex, DigestHashBuilder>,
    // What every row needs lies apart from the rest, so that more of it is in the cache.
    slots: Vec<GroupSlot>,
    /// The accumulators of each slot, one after the other: as many as there are aggregates.
    accumulators: Vec<AnyAccumulator>,
    /// The keys of each slot, one after the other: `key_width` values.
    keys: Vec<Datum>,
    groups: Vec<Group>,
    /// Slots without a group.
    free: Vec<GroupIndex>,
    queue: ExpiryQueue,
    /// The keys of the rows that are in the window.
    live: HashSet<Digest, DigestHashBuilder>,
    /// The groups of windows with bounds, in the order in which their windows close.
    closing: BTreeSet<(WindowBounds, GroupIndex)>,
    /// The open sessions of each key.
    sessions: HashMap<Digest, Vec<GroupIndex>, DigestHashBuilder>,
    ended: EndedSessions,
    /// Sessions that overlap the one before them of the same key, which has ended, and when it ended.
    overlapping: Vec<(GroupIndex, i64)>,
    /// Groups that have changed since they were last taken, where that is tracked.
    changed: Option<Vec<GroupIndex>>,
}

/// What is tracked beside the values of the aggregates.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StateOptions {
    /// Which groups have changed: where other groups than those of the event are emitted.
    pub track_changes: bool,
    /// By how much a sum may differ in the database: where answers are verified.
    pub track_slack: bool,
}

/// What is seldom needed of a group.
#[derive(Default)]
pub(crate) struct Group {
    /// Its window, where windows close.
    pub window: Option<WindowBounds>,
    /// Its id, once it was needed.
    pub group_id: Option<Arc<str>>,
    /// The keys of its rows, where they leave with the group (sessions) and not by the queue.
    digests: Vec<Digest>,
}

/// What every row needs of a group.
struct GroupSlot {
    /// How many rows it has.
    rows: u64,
    /// Whether a group is in the slot.
    occupied: bool,
    /// Whether the group is in [`Groups::changed`].
    changed: bool,
    /// The digest of its key, and of its window where windows close.
    name: Digest,
}

const OCCUPIED: &str = "a slot is its group's until the group is removed";

impl Groups {
    /// No groups; their keys have `key_width` values.
    pub fn new(functions: Vec<AggregateFunction>, key_width: usize, options: StateOptions) -> Self {
        Groups {
            functions,
            track_slack: options.track_slack,
            key_width,
            index: HashMap::default(),
            slots: Vec::new(),
            accumulators: Vec::new(),
            keys: Vec::new(),
            groups: Vec::new(),
            free: Vec::new(),
            queue: ExpiryQueue::default(),
            live: HashSet::default(),
            closing: BTreeSet::new(),
            sessions: HashMap::default(),
            ended: EndedSessions::default(),
            overlapping: Vec::new(),
            changed: options.track_changes.then(Vec::new),
        }
    }

    pub fn group(&self, index: GroupIndex) -> &Group {
        debug_assert!(self.slots[index.slot()].occupied, "{OCCUPIED}");
        &self.groups[index.slot()]
    }

    pub fn group_mut(&mut self, index: GroupIndex) -> &mut Group {
        debug_assert!(self.slots[index.slot()].occupied, "{OCCUPIED}");
        &mut self.groups[index.slot()]
    }

    /// The key of a group.
    pub fn key(&self, index: GroupIndex) -> &[Datum] {
        &self.keys[index.slot() * self.key_width..][..self.key_width]
    }

    /// How many rows a group has.
    pub fn rows(&self, index: GroupIndex) -> u64 {
        self.slots[index.slot()].rows
    }

    /// The value of one of the aggregates of a group.
    ///
    /// # Errors
    /// A sum of integers beyond 64 bits.
    pub fn aggregate(&self, index: GroupIndex, number: usize) -> crate::Result<Datum> {
        self.accumulators[index.slot() * self.functions.len() + number].evaluate()
    }

    /// By how much that value may differ in the database.
    pub fn slack(&self, index: GroupIndex, number: usize) -> f64 {
        self.accumulators[index.slot() * self.functions.len() + number].slack()
    }

    fn slot(&mut self, index: GroupIndex) -> &mut GroupSlot {
        let slot = &mut self.slots[index.slot()];
        debug_assert!(slot.occupied, "{OCCUPIED}");
        slot
    }

    /// The accumulators of a group.
    fn accumulators(&mut self, index: GroupIndex) -> &mut [AnyAccumulator] {
        let width = self.functions.len();
        &mut self.accumulators[index.slot() * width..][..width]
    }

    /// All groups.
    pub fn all(&self) -> impl Iterator<Item = GroupIndex> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(number, slot)| slot.occupied.then_some(GroupIndex(number as u32)))
    }

    /// Whether a row with this key is in the window.
    pub fn is_live(&self, digest: Digest) -> bool {
        self.live.contains(&digest)
    }

    /// The group of this name.
    pub fn find(&self, name: Digest) -> Option<GroupIndex> {
        self.index.get(&name).copied()
    }

    /// The group of this name, made where it is missing; `key` writes its key over another one.
    pub fn find_or_make(
        &mut self,
        name: Digest,
        window: Option<WindowBounds>,
        key: impl FnOnce(&mut [Datum]),
    ) -> GroupIndex {
        if let Some(index) = self.find(name) {
            return index;
        }
        let index = self.make(name, window, key);
        self.index.insert(name, index);
        if let Some(window) = window {
            self.closing.insert((window, index));
        }
        index
    }

    fn make(
        &mut self,
        name: Digest,
        window: Option<WindowBounds>,
        key: impl FnOnce(&mut [Datum]),
    ) -> GroupIndex {
        let slot = GroupSlot {
            rows: 0,
            occupied: true,
            changed: false,
            name,
        };
        let index = if let Some(index) = self.free.pop() {
            self.slots[index.slot()] = slot;
            index
        } else {
            self.slots.push(slot);
            let functions = self.functions.iter();
            self.accumulators
                .extend(functions.map(|function| function.accumulator(self.track_slack)));
            self.keys.extend((0..self.key_width).map(|_| Datum::Null));
            self.groups.push(Group::default());
            GroupIndex((self.groups.len() - 1) as u32)
        };
        let group = self.group_mut(index);
        group.window = window;
        group.group_id = None;
        key(&mut self.keys[index.slot() * self.key_width..][..self.key_width]);
        index
    }

    /// Adds a row that leaves at an instant, to the groups of its members; `arguments` are those
    /// of all members, one after the other. The members leave with the row, or, where their windows
    /// close, with their windows.
    pub fn add(
        &mut self,
        digest: Digest,
        leaves: i64,
        members: &[GroupIndex],
        arguments: &[Datum],
    ) {
        let width = self.functions.len();
        for (number, index) in members.iter().enumerate() {
            self.add_member(*index, &arguments[number * width..(number + 1) * width]);
        }
        self.live.insert(digest);
        match members.first().and_then(|index| self.window(*index)) {
            Some(_) => self.queue.push(leaves, digest, &[], &[]),
            None => self.queue.push(leaves, digest, members, arguments),
        }
    }

    fn add_member(&mut self, index: GroupIndex, arguments: &[Datum]) {
        self.slot(index).rows += 1;
        for (accumulator, value) in self.accumulators(index).iter_mut().zip(arguments) {
            accumulator.update(value);
        }
        self.note_change(index);
    }

    /// Takes out the rows that leave at or before `now`. Returns whether there were any.
    pub fn expire(&mut self, now: i64) -> bool {
        if self.queue.next().is_none_or(|next| next > now) {
            return false;
        }
        let width = self.functions.len();
        let mut queue = std::mem::take(&mut self.queue);
        queue.expire(now, width, |digest, groups, arguments| {
            self.live.remove(&digest);
            for (number, index) in groups.iter().enumerate() {
                let arguments = &arguments[number * width..(number + 1) * width];
                self.retract_member(*index, arguments);
            }
        });
        self.queue = queue;
        true
    }

    /// Takes the row out that was added last, with the same arguments.
    pub fn take_back(
        &mut self,
        digest: Digest,
        leaves: i64,
        members: &[GroupIndex],
        arguments: &[Datum],
    ) {
        self.live.remove(&digest);
        self.queue.take_back(leaves, digest);
        let width = self.functions.len();
        for (number, index) in members.iter().enumerate() {
            self.retract_member(*index, &arguments[number * width..(number + 1) * width]);
        }
    }

    fn retract_member(&mut self, index: GroupIndex, arguments: &[Datum]) {
        let slot = self.slot(index);
        slot.rows -= 1;
        let is_empty = slot.rows == 0;
        for (accumulator, value) in self.accumulators(index).iter_mut().zip(arguments) {
            accumulator.retract(value);
        }
        self.note_change(index);
        if is_empty && self.changed.is_none() {
            self.remove(index);
        }
    }

    fn note_change(&mut self, index: GroupIndex) {
        if let Some(changed) = &mut self.changed {
            let slot = &mut self.slots[index.slot()];
            if !std::mem::replace(&mut slot.changed, true) {
                changed.push(index);
            }
        }
    }

    /// Treats groups as changed.
    pub fn note_changes(&mut self, groups: &[GroupIndex]) {
        groups.iter().for_each(|index| self.note_change(*index));
    }

    /// The groups that have changed since the last call. After each was evaluated it is to be
    /// [released](Self::release).
    pub fn take_changed(&mut self) -> Vec<GroupIndex> {
        let changed = self.changed.as_mut().map(std::mem::take);
        let changed = changed.unwrap_or_default();
        for index in &changed {
            self.slot(*index).changed = false;
        }
        changed
    }

    /// Removes a group that has no rows.
    pub fn release(&mut self, index: GroupIndex) {
        let slot = self.slot(index);
        if slot.rows == 0 && !slot.changed {
            self.remove(index);
        }
    }

    /// Removes a group; the one group of a query without keys stays.
    fn remove(&mut self, index: GroupIndex) {
        if self.key_width == 0 {
            return;
        }
        let name = self.slot(index).name;
        if let Some(window) = self.window(index) {
            self.closing.remove(&(window, index));
        }
        self.index.remove(&name);
        self.clear(index);
    }

    /// Leaves the slot of a group to another one.
    fn clear(&mut self, index: GroupIndex) {
        self.slot(index).occupied = false;
        let width = self.functions.len();
        let accumulators = &mut self.accumulators[index.slot() * width..][..width];
        for (accumulator, function) in accumulators.iter_mut().zip(&self.functions) {
            *accumulator = function.accumulator(self.track_slack);
        }
        self.free.push(index);
    }
}
