//! A connection to a server, and what its errors mean.
//!
//! The invariant: no call takes longer than the time limit, and after one that failed for any reason
//! but the server's answer the connection is not used again.

use crate::connect::{Address, Server};
use crate::error::{Error, ErrorKind, Result};
use redis::{Client, ConnectionLike as _, IntoConnectionInfo as _, RedisConnectionInfo};
use redis::{Connection, RedisError, Value};
use std::time::Duration;

/// Where to connect to, and as whom.
pub(super) struct Place {
    pub address: Address,
    pub server: Server,
    pub database: i64,
    pub timeout: Duration,
}

impl Place {
    pub fn connect(&self) -> Result<Connection> {
        let mut who = RedisConnectionInfo::default().set_db(self.database);
        if !self.server.user.is_empty() {
            who = who.set_username(&self.server.user);
        }
        if !self.server.password.is_empty() {
            who = who.set_password(&self.server.password);
        }
        let place = (self.server.host.as_str(), self.server.port);
        let info = place.into_connection_info().map_err(|e| self.error(&e))?;
        let client = Client::open(info.set_redis_settings(who)).map_err(|e| self.error(&e))?;
        let connection = client.get_connection_with_timeout(self.timeout);
        let connection = connection.map_err(|e| self.error(&e))?;
        let limit = Some(self.timeout);
        let limited = connection.set_read_timeout(limit);
        limited
            .and_then(|()| connection.set_write_timeout(limit))
            .map_err(|e| self.error(&e))?;
        Ok(connection)
    }

    pub fn ask(&self, connection: &mut Connection, command: &redis::Cmd) -> Result<Value> {
        let answer = connection.req_command(command);
        answer
            .and_then(Value::extract_error)
            .map_err(|error| self.error(&error))
    }

    /// Asks without waiting for the answer, which is to be [heard](Self::hear) before another question.
    pub fn ask_ahead(&self, connection: &mut Connection, command: &redis::Cmd) -> Result<()> {
        let sent = connection.send_packed_command(&command.get_packed_command());
        sent.map_err(|error| self.error(&error))
    }

    pub fn hear(&self, connection: &mut Connection) -> Result<Value> {
        let answer = connection.recv_response();
        answer
            .and_then(Value::extract_error)
            .map_err(|error| self.error(&error))
    }

    /// What the client says, as an error of ours.
    pub fn error(&self, error: &RedisError) -> Error {
        let text = error.to_string();
        let code = error.code().unwrap_or_default();
        match (error.kind(), code) {
            (redis::ErrorKind::AuthenticationFailed, _) | (_, "WRONGPASS" | "NOAUTH") => {
                let error = self.address.wrong("the server refuses user and password");
                error.with_hint("write redis://user:password@host, or redis://:password@host")
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
