//! A socket for a server that is no node, and the token of such a server.

use super::support::address::Address;
use super::support::secret::fill;
use super::support::socket::{Listener, SocketAddress};
use crate::error::{Error, ErrorKind, Result, quote};
use crate::secret;

/// A socket that listens.
pub(crate) struct Listening {
    pub listener: Listener,
    /// Whether only this machine reaches it.
    pub is_local: bool,
    /// The host as it was given.
    pub host: String,
    pub port: u16,
}

impl Listening {
    /// Listens at `host:port`.
    ///
    /// # Errors
    /// An address that is none, or is in use.
    pub fn at(address: &str) -> Result<Self> {
        let bad = |why: &str| {
            let error = format!("bad address {}: {why}", quote(address));
            Error::new(ErrorKind::Config, error).with_hint("write it like \"127.0.0.1:7171\"")
        };
        if address.contains("://") {
            return Err(bad("a scheme is not expected"));
        }
        let parsed = Address::new(fill(&format!("tcp://{address}"))?)?;
        let server = parsed.server(0)?;
        let has_port = address
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if !has_port {
            return Err(bad("no port"));
        }
        if !server.user.is_empty() || !server.path.is_empty() || !server.query.is_empty() {
            return Err(bad("only a host and a port are expected"));
        }
        let host = server.host.clone();
        let socket = SocketAddress::Tcp(server);
        let listener = Listener::bind(&parsed, &socket)?;
        let port = listener.port().unwrap_or_default();
        Ok(Listening {
            is_local: socket.is_local(),
            listener,
            host,
            port,
        })
    }
}

/// The token that this text stands for; from here on it is a secret.
///
/// # Errors
/// A variable or a file that is not there; a token that cannot stand in a header.
pub(crate) fn token(text: &str) -> Result<String> {
    let token = fill(text)?.reveal().to_owned();
    secret::add(&token);
    match unfit(&token) {
        None => Ok(token),
        Some(why) => {
            let error = format!("the token is not allowed in a header: {why}");
            Err(Error::new(ErrorKind::Config, error))
        }
    }
}

/// Why a token cannot stand in `Authorization: Bearer`, or not in one way only.
pub(super) fn unfit(token: &str) -> Option<&'static str> {
    match token {
        "" => Some("it is empty"),
        token if !token.is_ascii() => Some("it has a character that is not ASCII"),
        token if token.chars().any(|c| c.is_ascii_control()) => Some("it has a control character"),
        token if token.trim() != token => Some("it begins or ends with a space"),
        _ => None,
    }
}
