//! Groups whose windows are sessions: a row extends one, or joins several.

use super::{Digest, GroupIndex, GroupSlot, Groups};
use crate::store::Datum;
use crate::window::aggregates::AnyAccumulator;
use crate::window::kind::WindowBounds;

/// A member of a row that goes into a session; instants and the gap are microseconds.
pub(crate) struct SessionRow<'a> {
    /// The digest of the key of its group.
    pub key: Digest,
    pub time: i64,
    pub gap: i64,
    /// The digest of the row's own key.
    pub digest: Digest,
    pub arguments: &'a [Datum],
}

impl Groups {
    /// Adds a row to the session of its key that is open at its time, made where there is none;
    /// joins the sessions that the row brings together. No row leaves a session before it ends.
    pub fn join(&mut self, row: &SessionRow<'_>, key: impl FnOnce(&mut [Datum])) -> GroupIndex {
        let mut window = WindowBounds {
            start: row.time,
            end: row.time.saturating_add(row.gap),
        };
        let touching = self.sessions_at(row.key, row.time, row.gap);
        let index = if let Some((first, others)) = touching.split_first() {
            for session in &touching {
                if let Some(known) = self.group(*session).window {
                    self.closing.remove(&(known, *session));
                    window.start = window.start.min(known.start);
                    window.end = window.end.max(known.end);
                }
            }
            for other in others {
                self.absorb(*first, *other);
            }
            *first
        } else {
            let index = self.make(row.key, Some(window), key);
            self.sessions.entry(row.key).or_default().push(index);
            index
        };
        self.closing.insert((window, index));
        if let Some(end) = self.ended.note_overlap(row.key, window.start) {
            self.overlapping.push((index, end));
        }
        let group = self.group_mut(index);
        group.window = Some(window);
        group.group_id = None;
        group.digests.push(row.digest);
        self.live.insert(row.digest);
        self.add_member(index, row.arguments);
        index
    }

    /// The open sessions of a key that a row of this time is in, or would join.
    pub fn sessions_at(&self, key: Digest, time: i64, gap: i64) -> Vec<GroupIndex> {
        let sessions = self.sessions.get(&key).map_or(&[][..], Vec::as_slice);
        let touches = |index: &GroupIndex| {
            let window = self.group(*index).window;
            window
                .is_some_and(|window| time < window.end && time.saturating_add(gap) > window.start)
        };
        sessions.iter().copied().filter(touches).collect()
    }

    /// Whether a row of this time, which is too late for a session of its own, belongs to a session
    /// that is open: it would join one, and would not have joined the one that ended before it.
    pub fn may_join(&self, key: Digest, time: i64, gap: i64) -> bool {
        let ended = self.ended.last(key);
        !self.sessions_at(key, time, gap).is_empty()
            && ended.is_none_or(|ended| time.saturating_add(gap) > ended)
    }

    /// Moves the rows of one session to another one, and removes it.
    fn absorb(&mut self, into: GroupIndex, other: GroupIndex) {
        let GroupSlot { rows, name, .. } = *self.slot(other);
        let digests = std::mem::take(&mut self.group_mut(other).digests);
        let functions = self.functions.iter();
        let empty: Vec<AnyAccumulator> = functions
            .map(|function| function.accumulator(self.track_slack))
            .collect();
        let theirs = self.accumulators(other).iter_mut().zip(empty);
        let theirs: Vec<AnyAccumulator> = theirs
            .map(|(accumulator, empty)| std::mem::replace(accumulator, empty))
            .collect();
        self.clear(other);
        if let Some(sessions) = self.sessions.get_mut(&name) {
            sessions.retain(|index| *index != other);
        }
        self.slot(into).rows += rows;
        self.group_mut(into).digests.extend(digests);
        for (accumulator, more) in self.accumulators(into).iter_mut().zip(theirs) {
            accumulator.merge(more);
        }
    }

    /// The sessions that overlap one of the same key that had ended when they began, and when it
    /// ended; each once.
    pub fn take_overlapping(&mut self) -> Vec<(GroupIndex, i64)> {
        std::mem::take(&mut self.overlapping)
    }

    /// Forgets sessions that ended before an instant: their rows are not stored any more, and only
    /// rows that are late could overlap them.
    pub fn forget_ended(&mut self, before: i64) {
        self.ended.forget(before);
    }

    /// Notes that a session of this key ended before the state was rebuilt, and that another one
    /// overlaps it.
    pub fn note_ended(&mut self, key: Digest, end: i64) {
        self.ended.note_again(key, end);
    }
}
