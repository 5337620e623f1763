//! The expiry queue: which rows leave next, and what leaves with them.
//!
//! Rows lie in buckets of a second, in the order in which they came; a bucket is sorted when its rows
//! begin to leave. So a row costs no search, whether it is on time or late.

use super::{Digest, GroupIndex};
use crate::store::Datum;
use std::collections::BTreeMap;

/// The length of a bucket on the axis by which rows leave: a second in microseconds, or 1,000 rows of
/// a `count` window.
const BUCKET: i64 = 1_000_000;

/// The rows of a window, by when they leave it.
#[derive(Default)]
pub(crate) struct ExpiryQueue {
    buckets: BTreeMap<i64, Bucket>,
}

/// The rows that leave within one second.
#[derive(Default)]
struct Bucket {
    rows: Vec<QueuedRow>,
    /// The group of each member of each row.
    groups: Vec<GroupIndex>,
    /// The arguments of each member: as many for each as there are aggregates.
    arguments: Vec<Datum>,
    /// The rows before this one have left.
    next: usize,
    sorted: bool,
    /// When the first row leaves, where it is not sorted.
    earliest: i64,
}

#[derive(Clone, Copy)]
struct QueuedRow {
    /// When it leaves: microseconds, or a position on the axis of rows.
    leaves: i64,
    /// The digest of its key.
    digest: Digest,
    /// Its first member in the bucket, and how many members follow.
    first: u32,
    members: u32,
}

impl ExpiryQueue {
    /// Adds a row that leaves at an instant, with its members: the group of each, and the
    /// arguments of all of them one after the other.
    pub fn push(
        &mut self,
        leaves: i64,
        digest: Digest,
        groups: &[GroupIndex],
        arguments: &[Datum],
    ) {
        let bucket = self.buckets.entry(leaves.div_euclid(BUCKET)).or_default();
        let row = QueuedRow {
            leaves,
            digest,
            first: bucket.groups.len() as u32,
            members: groups.len() as u32,
        };
        bucket.groups.extend_from_slice(groups);
        bucket.arguments.extend_from_slice(arguments);
        if bucket.sorted {
            let rest = &bucket.rows[bucket.next..];
            let index = bucket.next + rest.partition_point(|other| other.leaves <= leaves);
            bucket.rows.insert(index, row);
        } else {
            bucket.earliest = if bucket.rows.is_empty() {
                leaves
            } else {
                bucket.earliest.min(leaves)
            };
            bucket.rows.push(row);
        }
    }

    /// Takes the row out that was added last, and leaves at this instant.
    pub fn take_back(&mut self, leaves: i64, digest: Digest) {
        let std::collections::btree_map::Entry::Occupied(mut entry) =
            self.buckets.entry(leaves.div_euclid(BUCKET))
        else {
            return;
        };
        let bucket = entry.get_mut();
        let is_it = |row: &QueuedRow| row.leaves == leaves && row.digest == digest;
        let Some(index) = bucket.rows.iter().rposition(is_it) else {
            return;
        };
        let row = bucket.rows.remove(index);
        let width = match row.members {
            0 => 0,
            _ => bucket.arguments.len() / bucket.groups.len(),
        };
        bucket.groups.truncate(row.first as usize);
        bucket.arguments.truncate(row.first as usize * width);
        if bucket.next >= bucket.rows.len() {
            entry.remove();
        }
    }

    /// When the next row leaves.
    pub fn next(&self) -> Option<i64> {
        let bucket = self.buckets.values().next()?;
        if bucket.sorted {
            bucket.rows.get(bucket.next).map(|row| row.leaves)
        } else {
            Some(bucket.earliest)
        }
    }

    /// Looks at all rows in their order: when each leaves, its digest, its groups and arguments (`width` for
    /// each group).
    pub fn each(&self, width: usize, mut each: impl FnMut(i64, Digest, &[GroupIndex], &[Datum])) {
        for bucket in self.buckets.values() {
            for row in &bucket.rows[bucket.next..] {
                let members = row.first as usize..(row.first + row.members) as usize;
                let arguments = &bucket.arguments[members.start * width..members.end * width];
                each(row.leaves, row.digest, &bucket.groups[members], arguments);
            }
        }
    }

    /// Takes out the rows that leave at or before `now`, in order: their digests, groups and
    /// arguments (`width` for each group).
    pub fn expire(
        &mut self,
        now: i64,
        width: usize,
        mut each: impl FnMut(Digest, &[GroupIndex], &[Datum]),
    ) {
        while let Some(mut first) = self.buckets.first_entry() {
            if *first.key() > now.div_euclid(BUCKET) {
                return;
            }
            let bucket = first.get_mut();
            if !bucket.sorted {
                bucket.rows.sort_by_key(|row| row.leaves);
                bucket.sorted = true;
            }
            while let Some(row) = bucket.rows.get(bucket.next).filter(|row| row.leaves <= now) {
                let members = row.first as usize..(row.first + row.members) as usize;
                let arguments = &bucket.arguments[members.start * width..members.end * width];
                each(row.digest, &bucket.groups[members], arguments);
                bucket.next += 1;
            }
            if bucket.next < bucket.rows.len() {
                return;
            }
            first.remove();
        }
    }
}
