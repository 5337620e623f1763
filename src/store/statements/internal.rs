//! The statements of the tables of Tributary itself.

use crate::store::dialect::{Dialect, InternalColumn};

/// The table of remembered keys.
pub(crate) const KEYS: &str = "tributary_keys";

/// The table of rows that were emitted.
pub(crate) const EMITTED: &str = "tributary_emitted";

/// The table of what windows have emitted and not delivered yet.
pub(crate) const OUTBOX: &str = "tributary_outbox";

/// The table of dead letters.
pub(crate) const LETTERS: &str = "tributary_letters";

/// The statements of the remembered keys.
pub(crate) mod keys {
    use super::{Dialect, InternalColumn, KEYS};

    pub fn create(dialect: Dialect, options: &str) -> String {
        let kinds = [
            InternalColumn::Name,
            InternalColumn::Key,
            InternalColumn::Number,
        ];
        let [name, key, number] = kinds.map(|kind| dialect.internal_type(kind));
        format!(
            "CREATE TABLE IF NOT EXISTS {KEYS} (scope {name} NOT NULL, hash {key} NOT NULL, \
             until {number} NOT NULL, PRIMARY KEY (scope, hash)){options}"
        )
    }

    pub const REMEMBER: &str = "REPLACE INTO tributary_keys (scope, hash, until) VALUES (?, ?, ?)";
    pub const RECALL: &str =
        "SELECT hash, until FROM tributary_keys WHERE scope = ? AND until > ? ORDER BY until, hash";
    pub const FORGET: &str = "DELETE FROM tributary_keys WHERE scope = ? AND until <= ?";
}

/// The statements of the rows that were emitted.
pub(crate) mod emitted {
    use super::{Dialect, EMITTED, InternalColumn};

    pub fn create(dialect: Dialect, options: &str) -> String {
        let kinds = [
            InternalColumn::Name,
            InternalColumn::Hash,
            InternalColumn::MediumText,
        ];
        let [name, key, text] = kinds.map(|kind| dialect.internal_type(kind));
        format!(
            "CREATE TABLE IF NOT EXISTS {EMITTED} (scope {name} NOT NULL, hash {key} NOT NULL, \
             identity {text} NOT NULL, `row` {text} NOT NULL, PRIMARY KEY (scope, hash)){options}"
        )
    }

    // `row` is a reserved word of MySQL; SQLite accepts its quotes too.
    pub const SET: &str =
        "REPLACE INTO tributary_emitted (scope, hash, identity, `row`) VALUES (?, ?, ?, ?)";
    pub const COPY: &str = "REPLACE INTO tributary_emitted (scope, hash, identity, `row`) \
         SELECT ?, hash, identity, `row` FROM tributary_emitted WHERE scope = ?";
    pub const CLEAR: &str = "DELETE FROM tributary_emitted WHERE scope = ?";
    pub const UNSET: &str = "DELETE FROM tributary_emitted WHERE scope = ? AND hash = ?";
    pub const ALL: &str = "SELECT identity, `row` FROM tributary_emitted WHERE scope = ?";
}

/// The statements of what was emitted and not delivered yet.
pub(crate) mod outbox {
    use super::{Dialect, InternalColumn, OUTBOX};

    pub fn create(dialect: Dialect, options: &str) -> String {
        let kinds = [
            InternalColumn::Name,
            InternalColumn::Number,
            InternalColumn::LongText,
        ];
        let [name, number, text] = kinds.map(|kind| dialect.internal_type(kind));
        let after = dialect.stored_by_key();
        format!(
            "CREATE TABLE IF NOT EXISTS {OUTBOX} (scope {name} NOT NULL, run {number} NOT NULL, \
             number {number} NOT NULL, entries {text} NOT NULL, \
             PRIMARY KEY (scope, run, number)){after}{options}"
        )
    }

    pub const ADD: &str =
        "INSERT INTO tributary_outbox (scope, run, number, entries) VALUES (?, ?, ?, ?)";
    pub const MOVE: &str = "UPDATE tributary_outbox SET scope = ? WHERE scope = ? AND run = ?";
    pub const REMOVE: &str =
        "DELETE FROM tributary_outbox WHERE scope = ? AND run = ? AND number BETWEEN ? AND ?";
    pub const RUNS: &str = "SELECT DISTINCT run FROM tributary_outbox WHERE scope = ?";
    pub const ALL: &str = "SELECT number, entries FROM tributary_outbox \
         WHERE scope = ? AND run = ? ORDER BY number";
}

/// The statements of the dead letters. Payloads are bound as hexadecimal digits and stored as bytes, so
/// that any tool can read them.
pub(crate) mod letters {
    use super::{Dialect, InternalColumn, LETTERS};

    pub fn create(dialect: Dialect, options: &str) -> String {
        let kinds = [
            InternalColumn::Id,
            InternalColumn::Name,
            InternalColumn::Text,
            InternalColumn::MediumText,
            InternalColumn::Bytes,
        ];
        let [id, name, text, long, bytes] = kinds.map(|kind| dialect.internal_type(kind));
        format!(
            "CREATE TABLE IF NOT EXISTS {LETTERS} (id {id}, queue {name} NOT NULL, \
             node {name} NOT NULL, reason {text} NOT NULL, place {text}, at BIGINT NOT NULL, \
             attempts BIGINT NOT NULL, time BIGINT NOT NULL, meta {long} NOT NULL, \
             payload {bytes} NOT NULL){options}"
        )
    }

    pub const ADD: &str = "INSERT INTO tributary_letters \
         (queue, node, reason, place, at, attempts, time, meta, payload) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, UNHEX(?))";
    pub const REMOVE: &str = "DELETE FROM tributary_letters WHERE id = ?";
    pub const NODES: &str =
        "SELECT node, COUNT(*) AS number, MAX(id) AS last FROM tributary_letters";
    const READ: &str = "SELECT id, node, reason, place, at, attempts, time, meta, \
         LENGTH(payload) AS size";

    /// Letters with their payloads, or with the first bytes of them.
    pub fn read(head: Option<u32>) -> String {
        let payload = match head {
            None => "payload".to_owned(),
            Some(bytes) => format!("SUBSTR(payload, 1, {bytes})"),
        };
        format!("{READ}, HEX({payload}) AS payload FROM tributary_letters")
    }

    pub const PURGE: &str = "DELETE FROM tributary_letters";
}
