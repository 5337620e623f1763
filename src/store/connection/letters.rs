//! Dead letters in a database: events that were rejected for good, with the reason.

use super::Connection;
use crate::error::{Error, ErrorKind, Result, quote};
use crate::store::letters::{Letter, LetterFilter};
use crate::store::row::Cell;
use crate::store::statements::{LETTERS, letters};
use crate::store::value;
use crate::time::Timestamp;
use serde_json::{Map, Value};

impl Connection {
    /// Creates the table if it is missing. Call it first, outside a transaction.
    ///
    /// # Errors
    /// A database that is gone, or refuses.
    pub(crate) fn make_letters(&mut self) -> Result<()> {
        let create = letters::create(self.dialect, &self.options);
        self.run(&create, &[]).map(|_| ())
    }

    /// Whether there is such a table.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn has_letters(&mut self) -> Result<bool> {
        Ok(self.driver.existing(LETTERS)?.is_some())
    }

    /// Keeps other connections from requeueing letters until this connection ends. Only on a server: a file
    /// is claimed instead.
    ///
    /// # Errors
    /// Another connection that does it ([`ErrorKind::Locked`]); a database that is gone.
    pub(crate) fn lock_letters(&mut self) -> Result<()> {
        let Some(lock) = self.dialect.requeue_lock() else {
            return Ok(());
        };
        let rows = self.driver.all(lock, &[])?;
        let number = |key: &str| rows.first().and_then(|row| row.get(key)?.as_u64());
        if number("held") == Some(1) {
            return Ok(());
        }
        let by = match number("holder") {
            Some(id) => format!("connection {id} of the database"),
            None => "another connection of the database".to_owned(),
        };
        let text = format!("requeue of table {} is in use by {by}", quote(LETTERS));
        Err(Error::new(ErrorKind::Locked, text))
    }

    /// Adds a letter; its number is ignored.
    ///
    /// # Errors
    /// A database that is gone, or refuses.
    pub(crate) fn add_letter(&mut self, queue: &str, letter: &Letter) -> Result<()> {
        let (payload, meta) = (value::to_hex(&letter.payload), json(&letter.meta));
        let cells = [
            queue.into(),
            letter.node.as_str().into(),
            letter.reason.as_str().into(),
            letter.place.as_deref().map_or(Cell::Null, Cell::from),
            Cell::Integer(letter.at.as_micros()),
            Cell::Integer(letter.attempts.into()),
            Cell::Integer(letter.time.as_micros()),
            meta.as_str().into(),
            payload.as_str().into(),
        ];
        self.run(letters::ADD, &cells).map(|_| ())
    }

    /// Letters in the order of their numbers, beyond this one; `head` is how many bytes of the
    /// payloads are wanted, where not all are.
    ///
    /// # Errors
    /// A database that is gone, or whose table is something else.
    pub(crate) fn letters(
        &mut self,
        filter: &LetterFilter,
        beyond: u64,
        head: Option<u32>,
    ) -> Result<Vec<Letter>> {
        let (mut sql, mut cells) = condition(letters::read(head), filter, beyond);
        sql.push_str(" ORDER BY id LIMIT ?");
        let limit = filter.limit.unwrap_or(usize::MAX);
        cells.push(Cell::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        self.driver.all(&sql, &cells)?.iter().map(letter).collect()
    }

    /// How many letters of each node there are, and the last number.
    ///
    /// # Errors
    /// A database that is gone, or whose table is something else.
    pub(crate) fn letter_nodes(
        &mut self,
        filter: &LetterFilter,
    ) -> Result<Vec<(String, u64, u64)>> {
        let (mut sql, cells) = condition(letters::NODES.to_owned(), filter, 0);
        sql.push_str(" GROUP BY node ORDER BY node");
        let rows = self.driver.all(&sql, &cells)?;
        let read = |row: &Map<String, Value>| {
            let number = |key: &str| row.get(key).and_then(Value::as_u64);
            Some((text(row, "node")?, number("number")?, number("last")?))
        };
        rows.iter().map(|row| read(row).ok_or_else(other)).collect()
    }

    /// Removes the letter with this number; returns whether there was one.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn remove_letter(&mut self, id: u64) -> Result<bool> {
        let id = Cell::Integer(i64::try_from(id).unwrap_or(i64::MAX));
        self.run(letters::REMOVE, &[id]).map(|removed| removed > 0)
    }

    /// Removes the letters that the filter lets through, its limit aside; returns how many.
    ///
    /// # Errors
    /// A database that is gone.
    pub(crate) fn purge_letters(&mut self, filter: &LetterFilter) -> Result<u64> {
        let (sql, cells) = condition(letters::PURGE.to_owned(), filter, 0);
        self.run(&sql, &cells)
    }
}

/// A statement with the conditions that the filter makes.
fn condition(sql: String, filter: &LetterFilter, beyond: u64) -> (String, Vec<Cell<'_>>) {
    let beyond = Cell::Integer(i64::try_from(beyond).unwrap_or(i64::MAX));
    let (mut sql, mut cells) = (sql + " WHERE id > ?", vec![beyond]);
    if let Some(last) = filter.last {
        sql.push_str(" AND id <= ?");
        cells.push(Cell::Integer(i64::try_from(last).unwrap_or(i64::MAX)));
    }
    if let Some(node) = &filter.node {
        sql.push_str(" AND node = ?");
        cells.push(node.as_str().into());
    }
    if let Some(since) = filter.since {
        sql.push_str(" AND at >= ?");
        cells.push(Cell::Integer(since.as_micros()));
    }
    (sql, cells)
}

fn letter(row: &Map<String, Value>) -> Result<Letter> {
    let number = |key: &str| row.get(key).and_then(Value::as_i64);
    let instant = |key: &str| number(key).map(Timestamp::from_micros);
    let read = || {
        let meta = serde_json::from_str(&text(row, "meta")?).ok()?;
        Some(Letter {
            id: u64::try_from(number("id")?).ok()?,
            node: text(row, "node")?,
            reason: text(row, "reason")?,
            place: text(row, "place"),
            at: instant("at")?,
            attempts: u32::try_from(number("attempts")?).unwrap_or(u32::MAX),
            time: instant("time")?,
            meta,
            size: usize::try_from(number("size")?).ok()?,
            payload: value::from_hex(&text(row, "payload")?)?,
        })
    };
    read().ok_or_else(other)
}

fn text(row: &Map<String, Value>, key: &str) -> Option<String> {
    row.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn json(meta: &Map<String, Value>) -> String {
    serde_json::to_string(meta).expect("a JSON object has a text")
}

fn other() -> Error {
    let error = format!(
        "table {} holds something else than dead letters",
        quote(LETTERS)
    );
    Error::data(error)
}
