//! Where a connector connects to: a scheme, and what follows its colon.
//!
//! An address is shown without its password and without what a `${..}` stood for; [`Display`] is
//! the only way to print one. A connector to a server reads the rest as [`Server`]; one whose
//! address is a path or a command takes [`Address::rest`].
//!
//! [`Display`]: fmt::Display

use super::secret::Masked;
use crate::error::{Error, ErrorKind, Result, quote};
use crate::format::Template;
use crate::host::{decoded, split_host};
use crate::secret::{self, MASK};
use std::fmt;

/// The longest address.
const LONGEST: usize = 4096;

/// An address: `scheme:rest`, `scheme://user:password@host:port/path?name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    text: Masked,
    scheme: String,
}

/// What stands in an address after `//`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Server {
    /// The user, decoded; empty if there is none.
    pub user: String,
    /// The password, decoded; empty if there is none.
    pub password: String,
    /// A name or an IP address, that of version 6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What follows the first `/` behind the host up to a `?`, as it stands.
    pub path: String,
    /// What follows the `?`, decoded.
    pub query: Vec<(String, String)>,
}

impl Address {
    pub(in crate::connect) fn new(text: Masked) -> Result<Self> {
        let value = text.reveal();
        let bad = |why: &str| {
            let error = format!("bad address {}: {why}", quote(masked(&text.to_string())));
            Error::new(ErrorKind::Config, error)
        };
        if value.len() > LONGEST {
            return Err(bad("it has more than 4096 bytes"));
        }
        if value.chars().any(char::is_control) {
            return Err(bad("it has a control character"));
        }
        let (scheme, _) = value.split_once(':').unwrap_or((value, ""));
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '-' || c == '.';
        if scheme == value || scheme.is_empty() || !scheme.chars().all(is_scheme) {
            let error = bad("no scheme");
            return Err(error.with_hint("write it like \"nats://host:4222/subject\""));
        }
        if let Some(range) = password_range(value) {
            let user = value[..range.start - 1].rsplit('/').next();
            let (user, password) = (user.unwrap_or_default(), &value[range]);
            secret::add_password(user, password);
            if let (Ok(user), Ok(password)) = (decoded(user), decoded(password)) {
                secret::add_password(&user, &password);
            }
        }
        let scheme = scheme.to_ascii_lowercase();
        let shown = masked(&text.to_string());
        let text = text.shown_as(shown);
        Ok(Address { text, scheme })
    }

    /// What stands before the first colon, in small letters.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Shows the scheme, also where all of the address was filled in. It is to be one that is known.
    pub(in crate::connect) fn show_scheme(&mut self) {
        let shown = self.text.to_string().to_ascii_lowercase();
        if !shown.starts_with(&format!("{}:", self.scheme)) {
            let shown = format!("{}:{MASK}", self.scheme);
            self.text = self.text.clone().shown_as(shown);
        }
    }

    /// Makes all that follows the scheme a secret.
    pub(in crate::connect) fn hide(&mut self) {
        secret::add(self.rest());
        let shown = format!("{}:{MASK}", self.scheme);
        self.text = self.text.clone().shown_as(shown);
    }

    /// The whole address with its secrets, which is not to be printed.
    pub fn reveal(&self) -> &str {
        self.text.reveal()
    }

    /// What follows the first colon, with its secrets.
    pub fn rest(&self) -> &str {
        &self.reveal()[self.scheme.len() + 1..]
    }

    /// The address as that of a server; `port` is the default port.
    ///
    /// # Errors
    /// One that does not name a host, a bad port, a `%` that encodes nothing.
    pub fn server(&self, port: u16) -> Result<Server> {
        self.parse(self.reveal(), port)
    }

    /// The address as that of a server whose path is decoded: what a `${..}` has filled into the
    /// path comes out of [`Server::decoded_path`] as it is.
    ///
    /// # Errors
    /// Those of [`server`](Self::server).
    pub fn server_with_path(&self, port: u16) -> Result<Server> {
        self.parse(&self.text.path_encoded(), port)
    }

    /// The decoded path as a [`Template`]; what a `${..}` has filled in has no places.
    ///
    /// # Errors
    /// Those of [`server`](Self::server), and a bad template.
    pub fn path_template(&self) -> Result<Template> {
        let path = self.parse(&self.text.path_template(), 0)?.decoded_path()?;
        Template::parse(&path).map_err(|error| self.wrong(error.message()))
    }

    fn parse(&self, text: &str, port: u16) -> Result<Server> {
        let rest = text[self.scheme.len() + 1..].strip_prefix("//");
        let rest = rest.ok_or_else(|| self.wrong("// is missing after its scheme"))?;
        server(rest, port).map_err(|why| self.wrong(why))
    }

    /// An error in the address or in what it leads to, which trying again does not mend.
    pub fn wrong(&self, why: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Config, format!("{self}: {why}"))
    }

    /// An error of a server that does not answer as it should: it is tried again.
    pub fn unavailable(&self, why: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Unavailable, format!("{self}: {why}")).retryable()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.text, f)
    }
}

impl Server {
    /// `host:port`. An IPv6 address is in brackets.
    pub fn host_and_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The path, decoded.
    ///
    /// # Errors
    /// A `%` that encodes nothing.
    pub fn decoded_path(&self) -> Result<String> {
        decoded(&self.path).map_err(|why| Error::new(ErrorKind::Config, why))
    }
}

fn server(text: &str, port: u16) -> Result<Server, &'static str> {
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let (authority, path) = text.split_once('/').unwrap_or((text, ""));
    let (who, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    let (host, given) = split_host(place)?;
    if host.is_empty() {
        return Err("no host in the address");
    }
    let port = match given {
        None => port,
        Some(port) => port
            .parse()
            .map_err(|_| "its port is not a number from 0 to 65535")?,
    };
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decoded(name)?, decoded(value)?));
    }
    Ok(Server {
        user: decoded(user)?,
        password: decoded(password)?,
        host: host.to_owned(),
        port,
        path: path.to_owned(),
        query: pairs,
    })
}

/// Where the password of an address lies. What is in doubt counts as one.
fn password_range(text: &str) -> Option<std::ops::Range<usize>> {
    let start = text.find("://")? + 3;
    let authority = &text[start..];
    // A password may contain a / that is not encoded.
    let at = authority.rfind('@')?;
    let colon = authority[..at].find(':')?;
    Some(start + colon + 1..start + at)
}

fn masked(text: &str) -> String {
    let mut shown = text.to_owned();
    if let Some(range) = password_range(text) {
        shown.replace_range(range, MASK);
    }
    shown
}
