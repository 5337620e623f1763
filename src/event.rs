//! Events: payload, time, meta and ack.

mod oversized;

use crate::ack::{Ack, AckId, Outcome};
use crate::payload::Payload;
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::sync::Arc;

pub(crate) use oversized::Oversized;

/// Several events that travel together, and how many bytes they take.
///
/// The bytes are counted when an event is added, while its payload is at hand, and travel with the
/// batch: a node that lets everything pass touches no payload.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    events: Vec<Event>,
    bytes: usize,
}

impl Batch {
    /// An empty batch with room for so many events.
    pub fn with_capacity(events: usize) -> Self {
        Batch {
            events: Vec::with_capacity(events),
            bytes: 0,
        }
    }

    /// Adds an event at the end.
    #[inline]
    pub fn push(&mut self, event: Event) {
        self.bytes += event.size();
        self.events.push(event);
    }

    /// Adds an event at the end, to be changed there.
    #[inline]
    pub(crate) fn push_in_place(&mut self, event: Event) -> &mut Event {
        self.push(event);
        self.events.last_mut().expect("an event was added")
    }

    /// Adds the events of another batch at the end.
    pub fn append(&mut self, mut other: Batch) {
        self.bytes += other.bytes;
        self.events.append(&mut other.events);
    }

    /// Keeps the first `index` events; the others come out.
    pub(crate) fn split_off(&mut self, index: usize) -> Batch {
        if index == 0 {
            return std::mem::take(self);
        }
        let events = self.events.split_off(index);
        let bytes = events.iter().map(Event::size).sum();
        self.bytes -= bytes;
        Batch { events, bytes }
    }

    /// Settles every event, for this holder of it.
    pub(crate) fn settle(mut self, outcome: Outcome) {
        // In place: to move each event out costs more than to settle it.
        Ack::settle_all(self.events.iter_mut().map(Event::ack_mut), outcome);
    }

    /// Whether an event can be added without another allocation.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.events.len() < self.events.capacity()
    }

    /// The events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether it holds no event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many bytes the events take: the sum of their [sizes](Event::size).
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl FromIterator<Event> for Batch {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        let mut batch = Batch::default();
        batch.extend(events);
        batch
    }
}

impl Extend<Event> for Batch {
    fn extend<I: IntoIterator<Item = Event>>(&mut self, events: I) {
        events.into_iter().for_each(|event| self.push(event));
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a Event;
    type IntoIter = std::slice::Iter<'a, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.iter()
    }
}

impl IntoIterator for Batch {
    type Item = Event;
    type IntoIter = std::vec::IntoIter<Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.into_iter()
    }
}

/// One event. A clone is cheap: payload and meta are shared, and so is the ack, of which the clone
/// is one holder more.
///
/// A clone that is kept beyond the call in which the event was lent holds back the outcome of the
/// event, and counts as failed when it is dropped; keep [`Event::detached`] instead.
///
/// ```
/// use tributary::{Event, time::Timestamp};
///
/// let event = Event::new("{}", Timestamp::from_secs(7));
/// let louder = event.derive(serde_json::json!({"loud": true}));
/// assert_eq!(louder.time(), event.time());
/// ```
#[derive(Debug, Clone)]
pub struct Event {
    payload: Payload,
    time: Timestamp,
    meta: Meta,
    ack: Ack,
}

impl Event {
    /// An event that is not tracked.
    #[inline]
    pub fn new(payload: impl Into<Payload>, time: Timestamp) -> Self {
        Event {
            payload: payload.into(),
            time,
            meta: Meta::default(),
            ack: Ack::none(),
        }
    }

    /// An event made from this one: another payload, the same time, meta and ack.
    #[must_use]
    pub fn derive(&self, payload: impl Into<Payload>) -> Self {
        Event {
            payload: payload.into(),
            time: self.time,
            meta: self.meta.clone(),
            ack: self.ack.clone(),
        }
    }

    /// A copy that does not share the ack: for keeping.
    #[must_use]
    pub fn detached(&self) -> Self {
        Event {
            payload: self.payload.clone(),
            time: self.time,
            meta: self.meta.clone(),
            ack: Ack::none(),
        }
    }

    /// The same event with another payload.
    #[must_use]
    pub(crate) fn with_payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// What it carries.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// About how many bytes it takes, payload and meta. Both sizes are known: nothing is written or
    /// gone through.
    #[inline]
    pub fn size(&self) -> usize {
        self.payload.size() + self.meta.size()
    }

    /// The same event for keeping: its payload is bytes alone, without the JSON value, which takes
    /// up to 70 times as much memory.
    #[must_use]
    pub(crate) fn compact(&self) -> Self {
        Event {
            payload: self.payload.compact(),
            time: self.time,
            meta: self.meta.clone(),
            ack: self.ack.clone(),
        }
    }

    /// Its time.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Its meta: names and values beside the payload.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The same event with one more name and value in its meta.
    #[must_use]
    pub fn with_meta(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.meta.set(key, value.into());
        self
    }

    /// The same event with another meta.
    #[must_use]
    pub(crate) fn with_all_meta(mut self, meta: Meta) -> Self {
        self.meta = meta;
        self
    }

    /// Whether a source or another node tracks it.
    pub fn is_tracked(&self) -> bool {
        self.ack.is_some()
    }

    /// What its ack is a holder of.
    pub(crate) fn ack_id(&self) -> Option<AckId> {
        self.ack.ack_id()
    }

    /// Reports what became of the event, for this holder of it.
    pub fn settle(self, outcome: Outcome) {
        self.ack.settle(outcome);
    }

    #[inline]
    pub(crate) fn into_parts(self) -> (Payload, Timestamp, Meta, Ack) {
        (self.payload, self.time, self.meta, self.ack)
    }

    #[inline]
    pub(crate) fn from_parts(payload: Payload, time: Timestamp, meta: Meta, ack: Ack) -> Self {
        Event {
            payload,
            time,
            meta,
            ack,
        }
    }

    #[inline]
    pub(crate) fn ack_mut(&mut self) -> &mut Ack {
        &mut self.ack
    }
}

/// The meta of an event: names and JSON values beside its payload, shared until changed.
///
/// The engine sets `error`, `node`, `reason`, `place`, `time` and `attempts` on what leaves by a port
/// `errors`, and `node` and
/// `reason` on what leaves by a port `dropped`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta(Option<Arc<Known>>);

/// The names and values, and how many bytes of memory they take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    map: Map<String, Value>,
    size: usize,
}

impl Meta {
    /// The value of this name.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.as_ref()?.map.get(key)
    }

    /// All names and values, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0
            .iter()
            .flat_map(|known| known.map.iter())
            .map(|(key, value)| (key.as_str(), value))
    }

    /// About how many bytes of memory it takes; kept up to date as it is set.
    #[inline]
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(0, |known| known.size)
    }

    /// As a JSON object, where there is anything.
    pub(crate) fn to_json(&self) -> Option<String> {
        let map = self.0.as_ref().map(|known| &known.map);
        let map = map.filter(|map| !map.is_empty())?;
        Some(serde_json::to_string(map).expect("a map of JSON values is JSON"))
    }

    /// What was written so; `None` where it is something else.
    pub(crate) fn from_json(text: &str) -> Option<Self> {
        let map: Map<String, Value> = serde_json::from_str(text).ok()?;
        let size = map.iter().map(|(key, value)| taken(key, value)).sum();
        Some(Meta(Some(Arc::new(Known { map, size }))))
    }

    fn set(&mut self, key: &str, value: Value) {
        let known = Arc::make_mut(self.0.get_or_insert_with(Arc::default));
        known.size += taken(key, &value);
        if let Some(before) = known.map.insert(key.to_owned(), value) {
            known.size = known.size.saturating_sub(taken(key, &before));
        }
    }
}

/// About how many bytes a name and its value take in memory.
fn taken(key: &str, value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| taken("", item)).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| taken(key, value)).sum(),
    };
    size_of::<String>() + key.len() + size_of::<Value>() + inside
}
