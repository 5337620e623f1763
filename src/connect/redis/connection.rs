//! A connection: commands are packed and replies are parsed by the client, over a stream of our own,
//! so that a reply is bounded ([`Guarded`]).

use super::config::ConnectConfig;
use super::guard::Guarded;
use crate::error::{Error, Result};
use redis::{Cmd, Parser, RedisError, RedisResult, Value, cmd};
use std::io::{self, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// A connection to a server. It is not used again after an error that is no answer of the server.
pub(super) struct Connection {
    stream: Guarded<TcpStream>,
    parser: Parser,
}

impl Connection {
    /// Connects, logs in and chooses the database.
    pub fn open(config: &ConnectConfig) -> Result<Self> {
        let stream = connect(config).map_err(|error| config.error(&error.into()))?;
        let mut connection = Connection {
            stream: Guarded::new(stream),
            parser: Parser::new(),
        };
        let server = &config.server;
        if !server.password.is_empty() {
            let mut auth = cmd("AUTH");
            if !server.user.is_empty() {
                auth.arg(&server.user);
            }
            auth.arg(&server.password);
            connection.expect(&auth, config, |error| {
                if error.is_retryable() {
                    error
                } else {
                    config.refused()
                }
            })?;
        }
        if config.database != 0 {
            let mut select = cmd("SELECT");
            select.arg(config.database);
            connection.expect(&select, config, |error| error)?;
        }
        Ok(connection)
    }

    fn expect(
        &mut self,
        command: &Cmd,
        config: &ConnectConfig,
        explain: impl FnOnce(Error) -> Error,
    ) -> Result<()> {
        let answer = self.send(&command.get_packed_command());
        let answer = answer.and_then(|()| self.receive());
        match answer.and_then(Value::extract_error) {
            Ok(_) => Ok(()),
            Err(error) => Err(explain(config.error(&error))),
        }
    }

    /// Sends commands that are packed already.
    pub fn send(&mut self, commands: &[u8]) -> RedisResult<()> {
        self.stream
            .get_mut()
            .write_all(commands)
            .map_err(RedisError::from)
    }

    /// The next reply.
    pub fn receive(&mut self) -> RedisResult<Value> {
        self.parser.parse_value(&mut self.stream)
    }

    /// How long a reply may take.
    pub fn set_limit(&self, limit: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(limit))
    }

    /// Whether a reply was refused because of its size.
    pub fn is_too_large(&self) -> bool {
        self.stream.is_too_large()
    }
}

fn connect(config: &ConnectConfig) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (config.server.host.as_str(), config.server.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, config.timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(config.timeout))?;
                stream.set_write_timeout(Some(config.timeout))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
