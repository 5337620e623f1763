//! Where to connect to, what is asked there, and what errors mean.
//!
//! The invariant: no call takes longer than the time limit, and after one that failed for any reason
//! but the server's answer the connection is not used again.

use super::connection::Connection;
use crate::connect::{Address, Server};
use crate::error::{Error, ErrorKind, Result};
use redis::{Cmd, RedisError, Value};
use std::time::Duration;

/// Where to connect to, and as whom.
#[derive(Clone, PartialEq)]
pub(super) struct ConnectConfig {
    pub address: Address,
    pub server: Server,
    pub database: i64,
    pub timeout: Duration,
}

impl ConnectConfig {
    pub fn ask(&self, connection: &mut Connection, command: &Cmd) -> Result<Value> {
        self.ask_ahead(connection, command)?;
        self.receive(connection)
    }

    /// Sends a command, whose answer is to be [received](Self::receive) before another one is sent.
    pub fn ask_ahead(&self, connection: &mut Connection, command: &Cmd) -> Result<()> {
        let sent = connection.send(&command.get_packed_command());
        sent.map_err(|error| self.error(&error))
    }

    pub fn receive(&self, connection: &mut Connection) -> Result<Value> {
        let answer = connection.receive();
        answer
            .and_then(Value::extract_error)
            .map_err(|error| self.error(&error))
    }

    /// User or password are wrong.
    pub fn refused(&self) -> Error {
        let error = self.address.wrong("the server refuses user and password");
        error.with_hint("write redis://user:password@host, or redis://:password@host")
    }

    /// The error of the client as an [`Error`].
    pub fn error(&self, error: &RedisError) -> Error {
        let text = error.to_string();
        let code = error.code().unwrap_or_default();
        match (error.kind(), code) {
            (redis::ErrorKind::AuthenticationFailed, _) | (_, "WRONGPASS" | "NOAUTH") => {
                self.refused()
            }
            (_, "NOPERM") => self.address.wrong(text).with_kind(ErrorKind::NoPermission),
            (
                _,
                "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "READONLY" | "OOM"
                | "MISCONF" | "NOREPLICAS" | "BUSY" | "NOGROUP" | "UNBLOCKED",
            ) => self.address.unavailable(text),
            (redis::ErrorKind::Server(_) | redis::ErrorKind::Extension, _) => {
                self.address.wrong(text)
            }
            (redis::ErrorKind::InvalidClientConfig, _) => self.address.wrong(text),
            _ => self.address.unavailable(text),
        }
    }

    pub fn closed(&self) -> Error {
        self.address.unavailable("the connection is not open")
    }
}
