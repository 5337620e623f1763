//! Running state: the groups of a window, and the rows that are in it.
//!
//! - `acc` — what an aggregate needs of the rows of a group.
//! - `digest` — what stands for a key.
//! - `exact` — sums that are the same whatever has come and left.
//! - `ended` — which sessions a row may overlap with that have ended.
//! - `queue` — which rows leave next, and what leaves with them.
//! - `sessions` — windows that a row joins or brings together.
//!
//! Invariant: a group's accumulators hold exactly the rows that were added to it and have not left
//! it; a group of no row is forgotten, and its residue with it. Its place is another group's then,
//! memory and all.
//!
//! A new aggregate: a kind of accumulator in `acc`, a function in the planner.

mod acc;
mod digest;
mod ended_sessions;
mod exact;
mod expiry;
mod sessions;

use crate::store::Datum;
use crate::window::analysis::Function;
use acc::Acc;
use digest::DigestHashBuilder;
use ended_sessions::EndedSessions;
use expiry::ExpiryQueue;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub(crate) use digest::Digest;
pub(crate) use sessions::SessionRow;

/// The groups of a window.
pub(crate) struct Groups {
    functions: Vec<Function>,
    /// Whether sums know by how much others may have them otherwise.
    track_slack: bool,
    /// How many values a key has.
    width: usize,
    index: HashMap<Digest, u32, DigestHashBuilder>,
    // What is looked at for every row lies apart from the rest, so that more of it is at hand.
    slots: Vec<GroupSlot>,
    /// The running aggregates of each place, one after the other.
    accs: Vec<Acc>,
    /// The keys likewise.
    keys: Vec<Datum>,
    slab: Vec<Group>,
    /// Places of groups that were forgotten.
    free: Vec<u32>,
    queue: ExpiryQueue,
    /// The keys of the rows that are in the window.
    live: HashSet<Digest, DigestHashBuilder>,
    /// When the groups of windows that end do so, and when those began.
    ends: BTreeSet<(i64, i64, u32)>,
    /// Of each key the sessions that are open.
    sessions: HashMap<Digest, Vec<u32>, DigestHashBuilder>,
    ended: EndedSessions,
    /// Sessions that overlap with the one before, which has ended, and when it has.
    overlapping: Vec<(u32, i64)>,
    /// Groups that have changed since they were last asked for, where that is wanted.
    changed: Option<Vec<u32>>,
}

/// What is kept beside what answers need.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StateOptions {
    /// Which groups have changed: where more is looked at than what an event touches.
    pub track_changes: bool,
    /// By how much others may have a sum otherwise: where answers are compared.
    pub track_slack: bool,
}

/// What else is known of a group.
#[derive(Default)]
pub(crate) struct Group {
    /// From when to when its window lasts, in microseconds, where windows end.
    pub window: Option<(i64, i64)>,
    /// What it is called towards others, once somebody has asked.
    pub group_id: Option<Arc<str>>,
    /// The keys of its rows, where they leave with it and not at a time of their own.
    digests: Vec<Digest>,
}

/// How many rows a group has.
struct GroupSlot {
    rows: u64,
    /// Whether it is one, and not the place for one.
    there: bool,
    changed: bool,
    /// Of its key, and of its window where windows end.
    name: Digest,
}

const STAYS: &str = "a place stays a group's until it is forgotten";

/// Accumulators of no row.
fn empty(accs: &mut [Acc], functions: &[Function], track_slack: bool) {
    for (acc, function) in accs.iter_mut().zip(functions) {
        *acc = Acc::new(*function, track_slack);
    }
}

impl Groups {
    /// No groups, of keys of so many values.
    pub fn new(functions: Vec<Function>, width: usize, state_options: StateOptions) -> Self {
        Groups {
            functions,
            track_slack: state_options.track_slack,
            width,
            index: HashMap::default(),
            slots: Vec::new(),
            accs: Vec::new(),
            keys: Vec::new(),
            slab: Vec::new(),
            free: Vec::new(),
            queue: ExpiryQueue::default(),
            live: HashSet::default(),
            ends: BTreeSet::new(),
            sessions: HashMap::default(),
            ended: EndedSessions::default(),
            overlapping: Vec::new(),
            changed: state_options.track_changes.then(Vec::new),
        }
    }

    /// The group at this place.
    pub fn group(&self, at: u32) -> &Group {
        debug_assert!(self.slots[at as usize].there, "{STAYS}");
        &self.slab[at as usize]
    }

    pub fn group_mut(&mut self, at: u32) -> &mut Group {
        debug_assert!(self.slots[at as usize].there, "{STAYS}");
        &mut self.slab[at as usize]
    }

    /// The key of a group.
    pub fn key(&self, at: u32) -> &[Datum] {
        &self.keys[at as usize * self.width..][..self.width]
    }

    /// The window of a group, which is not looked at where none ends.
    pub fn window(&self, at: u32) -> Option<(i64, i64)> {
        match self.ends.is_empty() {
            true => None,
            false => self.group(at).window,
        }
    }

    /// How many rows a group has.
    pub fn rows(&self, at: u32) -> u64 {
        self.slots[at as usize].rows
    }

    /// The value of one of a group's aggregates.
    ///
    /// # Errors
    /// A sum of integers beyond 64 bits.
    pub fn aggregate(&self, at: u32, number: usize) -> crate::Result<Datum> {
        let acc = &self.accs[at as usize * self.functions.len() + number];
        acc.value(self.functions[number])
    }

    /// By how much the value may be off, as others add it up.
    pub fn slack(&self, at: u32, number: usize) -> f64 {
        let acc = &self.accs[at as usize * self.functions.len() + number];
        acc.slack(self.functions[number])
    }

    fn slot(&mut self, at: u32) -> &mut GroupSlot {
        let slot = &mut self.slots[at as usize];
        debug_assert!(slot.there, "{STAYS}");
        slot
    }

    /// The running aggregates of a group.
    fn accs(&mut self, at: u32) -> &mut [Acc] {
        let width = self.functions.len();
        &mut self.accs[at as usize * width..][..width]
    }

    /// All groups.
    pub fn all(&self) -> impl Iterator<Item = u32> {
        let places = self.slots.iter().enumerate();
        places.filter_map(|(at, slot)| slot.there.then_some(at as u32))
    }

    /// Whether a row with this key is in the window.
    pub fn is_live(&self, digest: Digest) -> bool {
        self.live.contains(&digest)
    }

    /// The group of this name.
    pub fn find(&self, name: Digest) -> Option<u32> {
        self.index.get(&name).copied()
    }

    /// The group of this name, made where it is missing; then its key is written where another
    /// one may be.
    pub fn find_or_make(
        &mut self,
        name: Digest,
        window: Option<(i64, i64)>,
        key: impl FnOnce(&mut [Datum]),
    ) -> u32 {
        if let Some(at) = self.find(name) {
            return at;
        }
        let at = self.make(name, window, key);
        self.index.insert(name, at);
        if let Some((start, end)) = window {
            self.ends.insert((end, start, at));
        }
        at
    }

    fn make(
        &mut self,
        name: Digest,
        window: Option<(i64, i64)>,
        key: impl FnOnce(&mut [Datum]),
    ) -> u32 {
        let slot = GroupSlot {
            rows: 0,
            there: true,
            changed: false,
            name,
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                self.accs.extend(
                    self.functions
                        .iter()
                        .map(|f| Acc::new(*f, self.track_slack)),
                );
                self.keys.extend((0..self.width).map(|_| Datum::Null));
                self.slab.push(Group::default());
                (self.slab.len() - 1) as u32
            }
        };
        let group = self.group_mut(at);
        group.window = window;
        group.group_id = None;
        key(&mut self.keys[at as usize * self.width..][..self.width]);
        at
    }

    /// Adds a row that leaves at an instant, to the groups of its members; `arguments` are those
    /// of all members, one after the other. Where windows end, what was added stays until then.
    pub fn add(&mut self, digest: Digest, leaves: i64, members: &[u32], arguments: &[Datum]) {
        let width = self.functions.len();
        for (number, at) in members.iter().enumerate() {
            self.add_member(*at, &arguments[number * width..(number + 1) * width]);
        }
        self.live.insert(digest);
        match members.first().and_then(|at| self.window(*at)) {
            Some(_) => self.queue.push(leaves, digest, &[], &[]),
            None => self.queue.push(leaves, digest, members, arguments),
        }
    }

    fn add_member(&mut self, at: u32, arguments: &[Datum]) {
        self.slot(at).rows += 1;
        for (acc, value) in self.accs(at).iter_mut().zip(arguments) {
            acc.add(value);
        }
        self.note(at);
    }

    /// Takes out what leaves at or before `now`; says whether anything did.
    pub fn expire(&mut self, now: i64) -> bool {
        if self.queue.next().is_none_or(|next| next > now) {
            return false;
        }
        let width = self.functions.len();
        let mut queue = std::mem::take(&mut self.queue);
        queue.expire(now, width, |digest, groups, arguments| {
            self.live.remove(&digest);
            for (number, at) in groups.iter().enumerate() {
                let arguments = &arguments[number * width..(number + 1) * width];
                self.subtract_member(*at, arguments);
            }
        });
        self.queue = queue;
        true
    }

    /// Takes the row out that was added last, with the same arguments.
    pub fn take_back(&mut self, digest: Digest, leaves: i64, members: &[u32], arguments: &[Datum]) {
        self.live.remove(&digest);
        self.queue.take_back(leaves, digest);
        let width = self.functions.len();
        for (number, at) in members.iter().enumerate() {
            self.subtract_member(*at, &arguments[number * width..(number + 1) * width]);
        }
    }

    fn subtract_member(&mut self, at: u32, arguments: &[Datum]) {
        let slot = self.slot(at);
        slot.rows -= 1;
        let over = slot.rows == 0;
        for (acc, value) in self.accs(at).iter_mut().zip(arguments) {
            acc.subtract(value);
        }
        self.note(at);
        if over && self.changed.is_none() {
            self.forget(at);
        }
    }

    fn note(&mut self, at: u32) {
        if let Some(changed) = &mut self.changed {
            let slot = &mut self.slots[at as usize];
            if !std::mem::replace(&mut slot.changed, true) {
                changed.push(at);
            }
        }
    }

    /// Has groups be looked at, though they may not have changed.
    pub fn note_all(&mut self, groups: &[u32]) {
        groups.iter().for_each(|at| self.note(*at));
    }

    /// The groups that have changed since the last call. Each is to be
    /// [let go](Self::let_go) once it was looked at.
    pub fn take_changed(&mut self) -> Vec<u32> {
        let changed = self
            .changed
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default();
        for at in &changed {
            self.slot(*at).changed = false;
        }
        changed
    }

    /// Forgets a group if nothing is left of it; the one group of a query without keys stays.
    pub fn let_go(&mut self, at: u32) {
        let slot = self.slot(at);
        if slot.rows == 0 && !slot.changed {
            self.forget(at);
        }
    }

    fn forget(&mut self, at: u32) {
        if self.width == 0 {
            return;
        }
        let name = self.slot(at).name;
        if let Some((start, end)) = self.window(at) {
            self.ends.remove(&(end, start, at));
        }
        self.index.remove(&name);
        self.clear(at);
    }

    /// Leaves the place of a group to another one.
    fn clear(&mut self, at: u32) {
        self.slot(at).there = false;
        let width = self.functions.len();
        let accs = &mut self.accs[at as usize * width..][..width];
        empty(accs, &self.functions, self.track_slack);
        self.free.push(at);
    }

    /// The window that ends first.
    pub fn first_end(&self) -> Option<(i64, i64)> {
        let (end, start, _) = self.ends.first()?;
        Some((*start, *end))
    }

    /// The groups of a window that ends.
    pub fn of_window(&self, window: (i64, i64)) -> Vec<u32> {
        let (start, end) = window;
        let groups = self.ends.range((end, start, 0)..=(end, start, u32::MAX));
        groups.map(|(_, _, at)| *at).collect()
    }

    /// Forgets a window that has ended, with its groups.
    pub fn end(&mut self, window: (i64, i64)) {
        for at in self.of_window(window) {
            self.ends.remove(&(window.1, window.0, at));
            let GroupSlot { name, changed, .. } = *self.slot(at);
            for digest in std::mem::take(&mut self.group_mut(at).digests) {
                self.live.remove(&digest);
            }
            self.clear(at);
            self.index.remove(&name);
            if let Some(sessions) = self.sessions.get_mut(&name) {
                self.ended.note(name, window.1);
                sessions.retain(|known| *known != at);
                if sessions.is_empty() {
                    self.sessions.remove(&name);
                }
            }
            if let Some(all) = self.changed.as_mut().filter(|_| changed) {
                all.retain(|noted| *noted != at);
            }
        }
    }

    /// When the windows began that have not ended.
    pub fn starts(&self) -> impl Iterator<Item = i64> {
        self.ends.iter().map(|(_, start, _)| *start)
    }

    /// When the next row leaves, or the next window ends.
    pub fn next(&self) -> Option<i64> {
        let end = self.ends.first().map(|(end, _, _)| *end);
        let leaves = self.queue.next();
        end.into_iter().chain(leaves).min()
    }
}
