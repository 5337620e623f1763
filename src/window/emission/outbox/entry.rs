//! An entry of the outbox, and how it is written.

use super::PieceName;
use crate::event::{Event, Meta};
use crate::payload::Payload;
use crate::time::Timestamp;
use crate::window::emission::GroupId;
use std::fmt::Write;

/// What an entry takes beside its row, in bytes.
const OVERHEAD: usize = 160;

/// The number of no piece.
const NONE: i64 = -1;
/// The number of a piece that another window has taken over.
const LOST: i64 = -2;

/// A row that is emitted. An entry is moved a few times for each event, so what few entries have lies
/// apart.
pub(in crate::window) struct OutboxEntry {
    /// Its position in the order of all entries.
    order: u64,
    /// The number of the piece in which it is written.
    piece: i64,
    row: Payload,
    time: Timestamp,
    meta: Meta,
    /// The halves of the hash of the key of the event that it answers, where that may come again: an
    /// allocation for it costs more than to move it. Zeros for none.
    key: [u64; 2],
    details: Option<Box<EntryDetails>>,
}

/// A row that is to be emitted.
pub(in crate::window) struct NewEntry {
    /// Its group, where the mode remembers what was emitted.
    pub group_id: Option<GroupId>,
    pub row: Payload,
    /// The hash of the key of the event that it answers, where that may come again.
    pub key: Option<u128>,
    pub time: Timestamp,
    pub meta: Meta,
}

#[derive(Default)]
struct EntryDetails {
    group_id: Option<GroupId>,
    /// The run whose piece it was found in when the window was opened.
    found: Option<i64>,
    /// Events that came again while it was in flight: they are settled with it.
    takers: Vec<Taker>,
}

/// An event that is settled with an entry.
pub(super) struct Taker {
    /// The batch in which it came.
    pub batch: u64,
    pub event: Event,
}

impl OutboxEntry {
    pub(super) fn new(entry: NewEntry, order: u64) -> Self {
        let details = entry.group_id.map(|group_id| {
            Box::new(EntryDetails {
                group_id: Some(group_id),
                ..EntryDetails::default()
            })
        });
        OutboxEntry {
            order,
            piece: NONE,
            row: entry.row,
            time: entry.time,
            meta: entry.meta,
            key: halves(entry.key),
            details,
        }
    }

    /// Its position in the order of all entries.
    pub fn order(&self) -> u64 {
        self.order
    }

    pub(super) fn size(&self) -> usize {
        self.row.size() + OVERHEAD
    }

    /// Its group.
    pub fn group_id(&self) -> Option<&GroupId> {
        self.details.as_ref()?.group_id.as_ref()
    }

    pub(super) fn key(&self) -> Option<u128> {
        let [low, high] = self.key;
        let key = u128::from(high) << 64 | u128::from(low);
        (key != 0).then_some(key)
    }

    fn found(&self) -> Option<i64> {
        self.details.as_ref()?.found
    }

    pub(super) fn takers(&mut self) -> Option<&mut Vec<Taker>> {
        self.details.as_mut().map(|details| &mut details.takers)
    }

    /// An event is settled with it.
    pub(super) fn add_taker(&mut self, taker: Taker) {
        let details = self.details.get_or_insert_default();
        details.takers.push(taker);
    }

    /// The piece in which it is written; `run_of` returns the run of this window that has written a piece.
    pub(super) fn piece(&self, run_of: impl FnOnce(i64) -> i64) -> Option<PieceName> {
        (self.piece >= 0).then(|| PieceName {
            run: self.found().unwrap_or_else(|| run_of(self.piece)),
            number: self.piece,
        })
    }

    /// Another window has taken over its piece.
    pub(super) fn set_lost(&mut self) {
        self.piece = LOST;
    }

    /// Whether another window emits it, if it has failed here.
    pub(super) fn is_lost(&self) -> bool {
        self.piece == LOST
    }

    pub(super) fn row(&self) -> &Payload {
        &self.row
    }

    pub(super) fn set_piece(&mut self, number: i64) {
        self.piece = number;
    }

    /// Whether it answers an event that may come again, and takes over when it does.
    pub fn may_come_again(&self) -> bool {
        self.key().is_some()
    }

    /// The entry as an event of its own.
    pub fn event(&self) -> Event {
        Event::new(self.row.clone(), self.time).with_all_meta(self.meta.clone())
    }

    /// The entry as an event that settles another one too.
    pub fn event_for(&self, other: &Event) -> Event {
        other.derive(self.row.clone())
    }

    /// The entry as it was, with its own time, for an event that has come again.
    pub(super) fn event_again(&self, other: &Event) -> Event {
        let (_, _, _, ack) = other.clone().into_parts();
        Event::from_parts(self.row.clone(), self.time, self.meta.clone(), ack)
    }

    /// Writes it as one line.
    pub(super) fn write(&self, text: &mut String) {
        let _ = write!(text, "{}\t", self.time.as_micros());
        if let Some(key) = self.key() {
            let _ = write!(text, "{key:032x}");
        }
        let meta = self.meta.to_json().unwrap_or_default();
        let group_id = self.group_id().map_or("", |group_id| group_id);
        for field in [group_id, &meta, self.row.text().unwrap_or_default()] {
            text.push('\t');
            text.push_str(field);
        }
        text.push('\n');
    }

    /// Reads a line that [`write`](Self::write) has written; `None` for any other line.
    pub(super) fn read(line: &str, order: u64, piece: PieceName) -> Option<Self> {
        let mut fields = line.splitn(5, '\t');
        let mut next = || fields.next();
        let (time, key, group_id, meta, row) = (next()?, next()?, next()?, next()?, next()?);
        let key = match key {
            "" => None,
            key => Some(u128::from_str_radix(key, 16).ok()?),
        };
        let meta = match meta {
            "" => Meta::default(),
            meta => Meta::from_json(meta)?,
        };
        let details = EntryDetails {
            group_id: Some(group_id)
                .filter(|text| !text.is_empty())
                .map(Into::into),
            found: Some(piece.run),
            takers: Vec::new(),
        };
        Some(OutboxEntry {
            order,
            piece: piece.number,
            row: row.into(),
            time: Timestamp::from_micros(time.parse().ok()?),
            meta,
            key: halves(key),
            details: Some(Box::new(details)),
        })
    }
}

/// The halves of the hash of a key; zeros for none.
fn halves(key: Option<u128>) -> [u64; 2] {
    let key = key.unwrap_or_default();
    [key as u64, (key >> 64) as u64]
}

/// A line of an outbox, written again; `None` where it is something else. For fuzz targets.
pub fn outbox_line(line: &str) -> Option<String> {
    let (mut text, piece) = (String::new(), PieceName { run: 0, number: 0 });
    OutboxEntry::read(line, 0, piece)?.write(&mut text);
    Some(text)
}
