//! A sink that keeps rejected events, with all that is known of why: the dead letters.

use crate::error::Result;
use crate::event::{Event, Meta};
use crate::node::{Context, Node, Sink};
use crate::store::{Connection, Database, DeadLetters, Letter, Store};
use crate::time::{Timestamp, read_instant};
use serde_json::Value;
use std::path::PathBuf;

/// Keeps each event that comes, byte for byte, with the node that rejected it, the reason, the place in
/// the script, the time and the attempts; see [`on_error`](crate::Network::on_error). A letter is
/// delivered when it is durable: written through to the disk.
///
/// A place that cannot be written keeps the network from starting. A disk that is full, or a database
/// that is gone, later holds back those that reject events until it is there again.
///
/// ```
/// use tributary::{Network, OnError, sink::DeadLetterSink};
///
/// # let folder = std::env::temp_dir();
/// let network = Network::new();
/// network.add_sink("letters", DeadLetterSink::file(folder.join("refused.db")))?;
/// network.on_error("*", OnError::retry(5).after("letters"))?;
/// # Ok::<(), tributary::Error>(())
/// ```
pub struct DeadLetterSink {
    place: DeadLetters,
    queue: String,
    connection: Option<Connection>,
    letters: Vec<Letter>,
}

opaque_debug!(DeadLetterSink, queue);

impl DeadLetterSink {
    /// Keeps them in a SQLite file of their own, which is created if it is missing.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        DeadLetterSink::new(DeadLetters::file(path), String::new())
    }

    /// Keeps them in a table of this database, under a name that tells several such sinks apart.
    pub fn table(database: &Database, name: impl Into<String>) -> Self {
        DeadLetterSink::new(DeadLetters::table(database), name.into())
    }

    fn new(place: DeadLetters, queue: String) -> Self {
        DeadLetterSink {
            place,
            queue,
            connection: None,
            letters: Vec::new(),
        }
    }
}

impl Node for DeadLetterSink {
    fn open(&mut self) -> Result<()> {
        self.connection = None;
        self.connection = Some(self.place.writer()?);
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        let Some(connection) = self
            .connection
            .as_mut()
            .filter(|_| !self.letters.is_empty())
        else {
            return Ok(());
        };
        connection.begin()?;
        for letter in &self.letters {
            connection.add_letter(&self.queue, letter)?;
        }
        connection.commit()?;
        self.letters.clear();
        Ok(())
    }

    fn rollback(&mut self) {
        self.letters.clear();
        if let Some(connection) = &mut self.connection {
            connection.rollback();
        }
    }
}

impl Sink for DeadLetterSink {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        self.letters.push(letter(event, cx.now()));
        Ok(())
    }
}

/// The meta that the engine adds to a rejected event; the rest is the event's own.
const SAID: [&str; 6] = ["error", "node", "reason", "place", "time", "attempts"];

fn letter(event: &Event, now: Timestamp) -> Letter {
    let meta = event.meta();
    let text = |key: &str| meta.get(key).and_then(Value::as_str).map(str::to_owned);
    let payload = event.payload().bytes().to_vec();
    let attempts = meta.get("attempts").and_then(Value::as_u64);
    Letter {
        id: 0,
        node: text("node").unwrap_or_default(),
        reason: text("reason").unwrap_or_default(),
        place: text("place"),
        at: meta
            .get("time")
            .and_then(|at| read_instant(at).ok())
            .unwrap_or(now),
        attempts: attempts.map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        time: event.time(),
        meta: own(meta),
        size: payload.len(),
        payload,
    }
}

fn own(meta: &Meta) -> serde_json::Map<String, Value> {
    let kept = meta.iter().filter(|(key, _)| !SAID.contains(key));
    kept.map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}
