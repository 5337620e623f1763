//! Errors of MySQL and of the connection to it, converted.

use crate::error::{Error, ErrorKind};
use crate::secret::scrub;
use crate::store::driver::{Failure, Refusal};
use mysql::{DriverError, Error as ClientError, MySqlError};
use std::error::Error as _;
use std::io;
use std::sync::Arc;

/// Codes of a row whose key exists already.
const DUPLICATE: [u16; 2] = [1062, 1586];
/// Codes of a user without access to the server or the database.
const CONFIG: [u16; 6] = [1044, 1045, 1049, 1130, 1251, 1698];
/// Codes of a server that shuts down, is full, or has ended the connection or the transaction.
const GONE: [u16; 14] = [
    1040, 1053, 1077, 1152, 1158, 1159, 1160, 1161, 1184, 1205, 1213, 1226, 1836, 1927,
];
/// Codes of a query that exceeded its time.
const TOO_LONG: [u16; 2] = [1969, 3024];
/// Codes of a missing permission for a table, a column or a statement.
const NO_PERMISSION: [u16; 4] = [1142, 1143, 1227, 1370];

/// A server that does not answer within the limit of reading, which a connection has at its start.
const SILENT: &str = "the server accepts connections and does not answer in time";

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Whether the server did not answer in time, or not accept a connection.
pub(super) fn is_silent(cause: &ClientError) -> bool {
    match cause {
        ClientError::DriverError(DriverError::ConnectTimeout) => true,
        ClientError::IoError(error) => is_timeout(error),
        ClientError::CodecError(error) => error
            .source()
            .and_then(|error| error.downcast_ref())
            .is_some_and(is_timeout),
        _ => false,
    }
}

/// Where the database is, for messages: its URL, without the password.
#[derive(Clone)]
pub(super) struct DatabaseName(Arc<str>);

impl DatabaseName {
    pub fn new(shown: String) -> Self {
        DatabaseName(shown.into())
    }

    /// Converts an error.
    pub fn error(&self, cause: ClientError) -> Error {
        let place = &self.0;
        match cause {
            ClientError::MySqlError(cause) => {
                let text = &cause.message;
                let of = |kind| Error::new(kind, format!("{place}: {text}"));
                let error = match cause.code {
                    code if CONFIG.contains(&code) => of(ErrorKind::Config),
                    code if GONE.contains(&code) => of(ErrorKind::Unavailable).retryable(),
                    code if NO_PERMISSION.contains(&code) => of(ErrorKind::NoPermission),
                    _ => Error::data(text.clone()),
                };
                // It may quote a value.
                let message = scrub(&cause.message).into_owned();
                error.with_source(MySqlError { message, ..cause })
            }
            ClientError::DriverError(DriverError::ConnectTimeout) => {
                self.gone("no connection came about in time")
            }
            ClientError::DriverError(DriverError::CouldNotConnect(Some((_, text, _)))) => {
                self.gone(&text.to_lowercase())
            }
            cause if is_silent(&cause) => self.gone(SILENT),
            ClientError::IoError(error) => Error::io(place, &error)
                .with_kind(ErrorKind::Unavailable)
                .retryable(),
            ClientError::DriverError(error) => self.gone(&error.to_string()),
            ClientError::CodecError(error) => match error.source().and_then(|e| e.downcast_ref()) {
                Some(error) => Error::io(place, error)
                    .with_kind(ErrorKind::Unavailable)
                    .retryable(),
                None => self.gone(&error.to_string()),
            },
            other => Error::data(other.to_string()),
        }
    }

    pub fn gone(&self, why: &str) -> Error {
        let message = format!("{}: {why}", self.0);
        Error::new(ErrorKind::Unavailable, message).retryable()
    }

    /// Converts the error of a statement: a conflict if the key existed already.
    pub fn failure(&self, cause: ClientError) -> Failure {
        let conflict =
            matches!(&cause, ClientError::MySqlError(cause) if DUPLICATE.contains(&cause.code));
        if conflict {
            Failure::Conflict(self.error(cause))
        } else {
            Failure::Other(self.error(cause))
        }
    }
}

/// Whether a query has taken longer than it may.
pub(super) fn is_too_long(cause: &ClientError) -> bool {
    matches!(cause, ClientError::MySqlError(cause) if TOO_LONG.contains(&cause.code))
}

/// Whether a row is larger than what this connection reads.
pub(super) fn is_too_large(cause: &ClientError) -> bool {
    // The client does not show the type of what this is.
    matches!(cause, ClientError::CodecError(error) if format!("{error:?}") == "PacketTooLarge")
}

/// Converts the error of a query, with the word that it names: the first in quotes.
pub(super) fn refusal(place: &DatabaseName, cause: ClientError) -> Refusal {
    match cause {
        ClientError::MySqlError(cause) if !GONE.contains(&cause.code) => {
            let mut parts = cause.message.split('\'');
            let named = parts.nth(1).and_then(|name| {
                name.split(|c: char| c.is_whitespace() || "(),;".contains(c))
                    .find(|word| !word.is_empty())
            });
            Refusal::Query {
                near: named.map(|name| name.rsplit('.').next().unwrap_or(name).to_owned()),
                message: cause.message,
            }
        }
        other => Refusal::Other(place.error(other)),
    }
}
