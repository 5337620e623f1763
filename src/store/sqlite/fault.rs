//! Errors of SQLite, converted.

use crate::error::{Error, ErrorKind, is_exhausted, quote};
use crate::store::driver::{Failure, Refusal};
use rusqlite::{Error as ClientError, ErrorCode, ffi};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Whether no file at all can be opened now. SQLite does not report why it could not open a file.
fn lacks_handles() -> bool {
    std::fs::File::open("/dev/null").is_err_and(|error| is_exhausted(&error))
}

/// The name of a database in messages; a database in memory has none.
#[derive(Clone)]
pub(super) struct DatabaseName(Option<Arc<str>>);

impl DatabaseName {
    pub fn memory() -> Self {
        DatabaseName(None)
    }

    pub fn file(path: &Path) -> Self {
        DatabaseName(Some(quote(path.display().to_string()).into()))
    }

    pub fn is_memory(&self) -> bool {
        self.0.is_none()
    }

    /// Converts an error.
    pub fn error(&self, cause: ClientError) -> Error {
        let text = text(&cause);
        let about_file = |kind| Error::new(kind, format!("{self}: {text}"));
        let error = match cause.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                about_file(ErrorKind::Unavailable)
                    .retryable()
                    .with_hint("another process holds it")
            }
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
                about_file(ErrorKind::Io).retryable()
            }
            Some(ErrorCode::CannotOpen) if lacks_handles() => about_file(ErrorKind::Io).retryable(),
            Some(ErrorCode::CannotOpen | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                about_file(ErrorKind::Io)
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                about_file(ErrorKind::NoPermission)
            }
            _ => Error::data(text),
        };
        // The code alone: the whole error has the text of the query.
        match cause.sqlite_error() {
            Some(code) => error.with_source(*code),
            None => error,
        }
    }

    /// Converts an error that only the file can cause.
    pub fn broken(&self, cause: ClientError) -> Error {
        let error = self.error(cause);
        if self.is_memory() || error.message().starts_with(&self.to_string()) {
            error
        } else {
            error.within(self)
        }
    }

    /// Converts the error of a statement: a conflict if the key existed already.
    pub fn failure(&self, cause: ClientError) -> Failure {
        let conflict = matches!(
            &cause,
            ClientError::SqliteFailure(code, _) if matches!(
                code.extended_code,
                ffi::SQLITE_CONSTRAINT_UNIQUE
                    | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                    | ffi::SQLITE_CONSTRAINT_ROWID
            )
        );
        if conflict {
            Failure::Conflict(self.error(cause))
        } else {
            Failure::Other(self.error(cause))
        }
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(path) => write!(f, "database {path}"),
            None => f.write_str("the database in memory"),
        }
    }
}

/// Converts the error of a query, with the word that it names.
pub(super) fn refusal(cause: &ClientError) -> Refusal {
    let near = match cause {
        ClientError::SqlInputError { sql, offset, .. } => usize::try_from(*offset)
            .ok()
            .and_then(|offset| sql.get(offset..))
            .map(first_word),
        _ => None,
    };
    let message = text(cause);
    // "no such column: x" names the word even without an offset.
    let named = || message.split_once(": ").map(|(_, name)| first_word(name));
    Refusal::Query {
        near: near
            .filter(|near| !near.is_empty())
            .or_else(|| message.starts_with("no such").then(named).flatten()),
        message,
    }
}

fn first_word(text: &str) -> String {
    let end = |c: char| !(c.is_alphanumeric() || "_.\"`[]'".contains(c));
    let word: String = text.chars().take_while(|c| !end(*c)).collect();
    if word.is_empty() {
        text.chars().take(1).collect()
    } else {
        word
    }
}

fn text(cause: &ClientError) -> String {
    match cause {
        ClientError::SqliteFailure(_, Some(text)) => text.clone(),
        ClientError::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}
