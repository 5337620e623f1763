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
mod ended;
mod exact;
mod queue;
mod sessions;

use crate::store::Datum;
use crate::window::plan::Function;
use acc::Acc;
use digest::AsIs;
use ended::Ended;
use queue::Queue;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub(crate) use digest::Digest;
pub(crate) use sessions::Joining;

/// The groups of a window.
pub(crate) struct Groups {
    functions: Vec<Function>,
    /// Whether sums know by how much others may have them otherwise.
    weighs: bool,
    /// How many values a key has.
    width: usize,
    index: HashMap<Digest, u32, AsIs>,
    // What is looked at for every row lies apart from the rest, so that more of it is at hand.
    tallies: Vec<Tally>,
    /// The running aggregates of each place, one after the other.
    accs: Vec<Acc>,
    /// The keys likewise.
    keys: Vec<Datum>,
    slab: Vec<Group>,
    /// Places of groups that were forgotten.
    free: Vec<u32>,
    queue: Queue,
    /// The keys of the rows that are in the window.
    live: HashSet<Digest, AsIs>,
    /// When the groups of windows that end do so, and when those began.
    ends: BTreeSet<(i64, i64, u32)>,
    /// Of each key the sessions that are open.
    sessions: HashMap<Digest, Vec<u32>, AsIs>,
    ended: Ended,
    /// Sessions that overlap with the one before, which has ended, and when it has.
    overlapping: Vec<(u32, i64)>,
    /// Groups that have changed since they were last asked for, where that is wanted.
    changed: Option<Vec<u32>>,
}

/// What is kept beside what answers need.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Keeping {
    /// Which groups have changed: where more is looked at than what an event touches.
    pub notes: bool,
    /// By how much others may have a sum otherwise: where answers are compared.
    pub weighs: bool,
}

/// What else is known of a group.
#[derive(Default)]
pub(crate) struct Group {
    /// From when to when its window lasts, in microseconds, where windows end.
    pub window: Option<(i64, i64)>,
    /// What it is called towards others, once somebody has asked.
    pub identity: Option<Arc<str>>,
    /// The keys of its rows, where they leave with it and not at a time of their own.
    digests: Vec<Digest>,
}

/// How many rows a group has.
struct Tally {
    rows: u64,
    /// Whether it is one, and not the place for one.
    there: bool,
    changed: bool,
    /// Of its key, and of its window where windows end.
    name: Digest,
}

const STAYS: &str = "a place stays a group's until it is forgotten";

/// Accumulators of no row.
fn empty(accs: &mut [Acc], functions: &[Function], weighs: bool) {
    for (acc, function) in accs.iter_mut().zip(functions) {
        *acc = Acc::new(*function, weighs);
    }
}

impl Groups {
    /// No groups, of keys of so many values.
    pub fn new(functions: Vec<Function>, width: usize, keeping: Keeping) -> Self {
        Groups {
            functions,
            weighs: keeping.weighs,
            width,
            index: HashMap::default(),
            tallies: Vec::new(),
            accs: Vec::new(),
            keys: Vec::new(),
            slab: Vec::new(),
            free: Vec::new(),
            queue: Queue::default(),
            live: HashSet::default(),
            ends: BTreeSet::new(),
            sessions: HashMap::default(),
            ended: Ended::default(),
            overlapping: Vec::new(),
            changed: keeping.notes.then(Vec::new),
        }
    }

    /// The group at this place.
    pub fn group(&self, at: u32) -> &Group {
        debug_assert!(self.tallies[at as usize].there, "{STAYS}");
        &self.slab[at as usize]
    }

    pub fn group_mut(&mut self, at: u32) -> &mut Group {
        debug_assert!(self.tallies[at as usize].there, "{STAYS}");
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
        self.tallies[at as usize].rows
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

    fn tally(&mut self, at: u32) -> &mut Tally {
        let tally = &mut self.tallies[at as usize];
        debug_assert!(tally.there, "{STAYS}");
        tally
    }

    /// The running aggregates of a group.
    fn accs(&mut self, at: u32) -> &mut [Acc] {
        let width = self.functions.len();
        &mut self.accs[at as usize * width..][..width]
    }

    /// All groups.
    pub fn all(&self) -> impl Iterator<Item = u32> {
        let places = self.tallies.iter().enumerate();
        places.filter_map(|(at, tally)| tally.there.then_some(at as u32))
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
        let tally = Tally {
            rows: 0,
            there: true,
            changed: false,
            name,
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.tallies[at as usize] = tally;
                at
            }
            None => {
                self.tallies.push(tally);
                self.accs
                    .extend(self.functions.iter().map(|f| Acc::new(*f, self.weighs)));
                self.keys.extend((0..self.width).map(|_| Datum::Null));
                self.slab.push(Group::default());
                (self.slab.len() - 1) as u32
            }
        };
        let group = self.group_mut(at);
        group.window = window;
        group.identity = None;
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
        self.tally(at).rows += 1;
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
        let tally = self.tally(at);
        tally.rows -= 1;
        let over = tally.rows == 0;
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
            let tally = &mut self.tallies[at as usize];
            if !std::mem::replace(&mut tally.changed, true) {
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
            self.tally(*at).changed = false;
        }
        changed
    }

    /// Forgets a group if nothing is left of it; the one group of a query without keys stays.
    pub fn let_go(&mut self, at: u32) {
        let tally = self.tally(at);
        if tally.rows == 0 && !tally.changed {
            self.forget(at);
        }
    }

    fn forget(&mut self, at: u32) {
        if self.width == 0 {
            return;
        }
        let name = self.tally(at).name;
        if let Some((start, end)) = self.window(at) {
            self.ends.remove(&(end, start, at));
        }
        self.index.remove(&name);
        self.clear(at);
    }

    /// Leaves the place of a group to another one.
    fn clear(&mut self, at: u32) {
        self.tally(at).there = false;
        let width = self.functions.len();
        let accs = &mut self.accs[at as usize * width..][..width];
        empty(accs, &self.functions, self.weighs);
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
            let Tally { name, changed, .. } = *self.tally(at);
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
