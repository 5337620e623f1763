//! Running state: the groups of a window, and the rows that are in it.
//!
//! - `acc` — what an aggregate needs of the rows of a group.
//! - `digest` — what stands for a key.
//! - `queue` — which rows leave next, and what leaves with them.
//!
//! Invariant: a group's accumulators hold exactly the rows that were added to it and have not left
//! it; a group of no row is forgotten, and its residue with it. Its place is another group's then,
//! memory and all.
//!
//! A new aggregate: a kind of accumulator in `acc`, a function in the planner.

mod acc;
mod digest;
mod queue;

use crate::store::Datum;
use crate::window::plan::Function;
use acc::Acc;
use digest::AsIs;
use queue::Queue;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub(crate) use digest::Digest;

/// The groups of a window.
pub(crate) struct Groups {
    functions: Vec<Function>,
    index: HashMap<Digest, u32, AsIs>,
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
    /// Groups that have changed since they were last asked for, where that is wanted.
    changed: Option<Vec<u32>>,
}

/// One group: its key, its window where windows end, and the running aggregates.
pub(crate) struct Group {
    pub key: Vec<Datum>,
    /// From when to when its window lasts, in microseconds, where windows end.
    pub window: Option<(i64, i64)>,
    pub rows: u64,
    accs: Box<[Acc]>,
    /// Whether it is one, and not the place for one.
    there: bool,
    changed: bool,
    /// What it is called towards others, once somebody has asked.
    pub identity: Option<Arc<str>>,
    /// The keys of its rows, where they leave with it and not at a time of their own.
    digests: Vec<Digest>,
    /// Of its key, and of its window where windows end.
    name: Digest,
}

/// A row that goes into a session; times in microseconds.
pub(crate) struct Joining<'a> {
    pub key: Digest,
    pub time: i64,
    pub gap: i64,
    pub digest: Digest,
    pub arguments: &'a [Datum],
}

impl Group {
    /// The value of the aggregate at this place.
    ///
    /// # Errors
    /// A sum of integers beyond 64 bits.
    pub fn aggregate(&self, at: usize, function: Function) -> crate::Result<Datum> {
        self.accs[at].value(function)
    }

    /// Leaves its place to another one.
    fn clear(&mut self, functions: &[Function]) {
        self.there = false;
        self.changed = false;
        self.rows = 0;
        self.window = None;
        self.identity = None;
        self.digests.clear();
        empty(&mut self.accs, functions);
    }
}

/// Accumulators of no row.
fn empty(accs: &mut [Acc], functions: &[Function]) {
    for (acc, function) in accs.iter_mut().zip(functions) {
        *acc = Acc::new(*function);
    }
}

impl Groups {
    pub fn new(functions: Vec<Function>, note_changes: bool) -> Self {
        Groups {
            functions,
            index: HashMap::default(),
            slab: Vec::new(),
            free: Vec::new(),
            queue: Queue::default(),
            live: HashSet::default(),
            ends: BTreeSet::new(),
            sessions: HashMap::default(),
            changed: note_changes.then(Vec::new),
        }
    }

    /// The group at this place.
    pub fn group(&self, at: u32) -> &Group {
        let group = &self.slab[at as usize];
        debug_assert!(group.there, "a place stays a group's until it is forgotten");
        group
    }

    pub fn group_mut(&mut self, at: u32) -> &mut Group {
        let group = &mut self.slab[at as usize];
        debug_assert!(group.there, "a place stays a group's until it is forgotten");
        group
    }

    /// All groups.
    pub fn all(&self) -> impl Iterator<Item = u32> {
        let places = self.slab.iter().enumerate();
        places.filter_map(|(at, group)| group.there.then_some(at as u32))
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
        key: impl FnOnce(&mut Vec<Datum>),
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
        key: impl FnOnce(&mut Vec<Datum>),
    ) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.slab.push(Group {
                key: Vec::new(),
                window: None,
                rows: 0,
                accs: self.functions.iter().map(|f| Acc::new(*f)).collect(),
                there: false,
                changed: false,
                identity: None,
                digests: Vec::new(),
                name,
            });
            (self.slab.len() - 1) as u32
        });
        let group = &mut self.slab[at as usize];
        group.there = true;
        group.name = name;
        group.window = window;
        key(&mut group.key);
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
        match members.first().and_then(|at| self.group(*at).window) {
            Some(_) => self.queue.push(leaves, digest, &[], &[]),
            None => self.queue.push(leaves, digest, members, arguments),
        }
    }

    fn add_member(&mut self, at: u32, arguments: &[Datum]) {
        let group = self.group_mut(at);
        group.rows += 1;
        for (acc, value) in group.accs.iter_mut().zip(arguments) {
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
        let mut broken = false;
        queue.expire(now, width, |digest, groups, arguments| {
            self.live.remove(&digest);
            for (number, at) in groups.iter().enumerate() {
                let arguments = &arguments[number * width..(number + 1) * width];
                broken |= self.subtract_member(*at, arguments);
            }
        });
        self.queue = queue;
        if broken {
            self.recount();
        }
        true
    }

    fn subtract_member(&mut self, at: u32, arguments: &[Datum]) -> bool {
        let group = self.group_mut(at);
        group.rows -= 1;
        let mut broken = false;
        for (acc, value) in group.accs.iter_mut().zip(arguments) {
            broken |= acc.is_broken();
            acc.subtract(value);
        }
        let over = group.rows == 0;
        self.note(at);
        if over && self.changed.is_none() {
            self.forget(at);
        }
        broken
    }

    /// Makes all accumulators anew from the rows that are there.
    fn recount(&mut self) {
        let width = self.functions.len();
        let functions = &self.functions;
        for group in &mut self.slab {
            empty(&mut group.accs, functions);
        }
        let slab = &mut self.slab;
        self.queue.each(width, |groups, arguments| {
            for (number, at) in groups.iter().enumerate() {
                let arguments = &arguments[number * width..(number + 1) * width];
                for (acc, value) in slab[*at as usize].accs.iter_mut().zip(arguments) {
                    acc.add(value);
                }
            }
        });
    }

    fn note(&mut self, at: u32) {
        if let Some(changed) = &mut self.changed {
            let group = &mut self.slab[at as usize];
            if !std::mem::replace(&mut group.changed, true) {
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
            self.group_mut(*at).changed = false;
        }
        changed
    }

    /// Forgets a group if nothing is left of it; the one group of a query without keys stays.
    pub fn let_go(&mut self, at: u32) {
        let group = self.group(at);
        if group.rows == 0 && !group.changed {
            self.forget(at);
        }
    }

    fn forget(&mut self, at: u32) {
        if self.group(at).key.is_empty() {
            return;
        }
        let group = &mut self.slab[at as usize];
        if let Some((start, end)) = group.window {
            self.ends.remove(&(end, start, at));
        }
        self.index.remove(&group.name);
        group.clear(&self.functions);
        self.free.push(at);
    }

    /// Adds a row to the session of its key that is open at its time, made where there is none;
    /// joins sessions that it brings together. Nothing leaves a session before it ends.
    pub fn join(&mut self, row: &Joining<'_>, key: impl FnOnce(&mut Vec<Datum>)) -> u32 {
        let mut window = (row.time, row.time.saturating_add(row.gap));
        let touching = self.sessions_at(row.key, row.time, row.gap);
        let at = match touching.split_first() {
            None => {
                let at = self.make(row.key, Some(window), key);
                self.sessions.entry(row.key).or_default().push(at);
                at
            }
            Some((first, others)) => {
                for at in std::iter::once(first).chain(others) {
                    if let Some((start, end)) = self.group(*at).window {
                        self.ends.remove(&(end, start, *at));
                        window = (window.0.min(start), window.1.max(end));
                    }
                }
                for other in others {
                    self.absorb(*first, *other);
                }
                *first
            }
        };
        self.ends.insert((window.1, window.0, at));
        let group = self.group_mut(at);
        group.window = Some(window);
        group.identity = None;
        group.digests.push(row.digest);
        self.live.insert(row.digest);
        self.add_member(at, row.arguments);
        at
    }

    /// The open sessions of a key that a row of this time is in, or would join.
    pub fn sessions_at(&self, key: Digest, time: i64, gap: i64) -> Vec<u32> {
        let sessions = self.sessions.get(&key).map_or(&[][..], Vec::as_slice);
        let near = |at: &u32| {
            let window = self.group(*at).window;
            window.is_some_and(|(start, end)| time < end && time.saturating_add(gap) > start)
        };
        sessions.iter().copied().filter(near).collect()
    }

    /// Lets one session take in another.
    fn absorb(&mut self, one: u32, other: u32) {
        let gone = &mut self.slab[other as usize];
        let (rows, name) = (gone.rows, gone.name);
        let digests = std::mem::take(&mut gone.digests);
        let kept = gone.accs.iter_mut().zip(&self.functions);
        let accs: Vec<Acc> = kept
            .map(|(acc, function)| std::mem::replace(acc, Acc::new(*function)))
            .collect();
        gone.clear(&self.functions);
        self.free.push(other);
        if let Some(sessions) = self.sessions.get_mut(&name) {
            sessions.retain(|at| *at != other);
        }
        let group = self.group_mut(one);
        group.rows += rows;
        group.digests.extend(digests);
        for (acc, more) in group.accs.iter_mut().zip(accs) {
            acc.merge(more);
        }
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
            let group = &mut self.slab[at as usize];
            let (name, changed) = (group.name, group.changed);
            for digest in &group.digests {
                self.live.remove(digest);
            }
            group.clear(&self.functions);
            self.index.remove(&name);
            self.free.push(at);
            if let Some(sessions) = self.sessions.get_mut(&name) {
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
