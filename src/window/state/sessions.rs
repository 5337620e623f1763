//! Groups whose windows are sessions: a row joins one, or brings several together.

use super::acc::Acc;
use super::{Digest, GroupSlot, Groups};
use crate::store::Datum;

/// A row that goes into a session; times in microseconds.
pub(crate) struct SessionRow<'a> {
    pub key: Digest,
    pub time: i64,
    pub gap: i64,
    pub digest: Digest,
    pub arguments: &'a [Datum],
}

impl Groups {
    /// Adds a row to the session of its key that is open at its time, made where there is none;
    /// joins sessions that it brings together. Nothing leaves a session before it ends.
    pub fn join(&mut self, row: &SessionRow<'_>, key: impl FnOnce(&mut [Datum])) -> u32 {
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
        if let Some(end) = self.ended.note_overlap(row.key, window.0) {
            self.overlapping.push((at, end));
        }
        let group = self.group_mut(at);
        group.window = Some(window);
        group.group_id = None;
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

    /// Whether a row of this time, which is late by the clock, belongs to a session that is open: it
    /// would join one, and is not one of those that the session before it was to have.
    pub fn may_join(&self, key: Digest, time: i64, gap: i64) -> bool {
        let ended = self.ended.last(key);
        !self.sessions_at(key, time, gap).is_empty()
            && ended.is_none_or(|ended| time.saturating_add(gap) > ended)
    }

    /// Lets one session take in another.
    fn absorb(&mut self, one: u32, other: u32) {
        let GroupSlot { rows, name, .. } = *self.slot(other);
        let digests = std::mem::take(&mut self.group_mut(other).digests);
        let fresh: Vec<Acc> = self
            .functions
            .iter()
            .map(|f| Acc::new(*f, self.track_slack))
            .collect();
        let gone = self.accs(other).iter_mut().zip(fresh);
        let accs: Vec<Acc> = gone
            .map(|(acc, fresh)| std::mem::replace(acc, fresh))
            .collect();
        self.clear(other);
        if let Some(sessions) = self.sessions.get_mut(&name) {
            sessions.retain(|at| *at != other);
        }
        self.slot(one).rows += rows;
        self.group_mut(one).digests.extend(digests);
        for (acc, more) in self.accs(one).iter_mut().zip(accs) {
            acc.merge(more);
        }
    }

    /// Sessions that overlap with one of the same key that had ended when they began, and when it
    /// had; each once.
    pub fn take_overlapping(&mut self) -> Vec<(u32, i64)> {
        std::mem::take(&mut self.overlapping)
    }

    /// The rows of sessions that ended before this instant are not stored any more, and none will
    /// overlap with them but by rows that are late.
    pub fn forget_ended(&mut self, by: i64) {
        self.ended.forget(by);
    }

    /// A session of this key ended at an instant before the state was rebuilt, and another one
    /// overlaps with it.
    pub fn note_ended(&mut self, key: Digest, end: i64) {
        self.ended.note_again(key, end);
    }
}
