//! Where a database is: `sqlite::memory:`, `sqlite:path`, `mysql://user:pass@host:port/db`.
//!
//! User and password are percent-decoded. No message and no `Display` shows a password.

use crate::error::{Error, ErrorKind, Result, did_you_mean, quote};
use crate::secret;
use std::fmt;
use std::path::PathBuf;

/// The address of a database.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Url {
    Memory,
    File(PathBuf),
    Mysql(Server),
}

/// A MySQL server, who asks, and which database of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub user: String,
    pub password: String,
    pub host: String,
    pub port: u16,
    pub database: String,
}

const GRAMMAR: &str =
    "write \"sqlite::memory:\", \"sqlite:path\" or \"mysql://user:password@host:port/database\"";

impl Url {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(
                ErrorKind::Config,
                format!("bad database url {}: {why}", quote(masked(text))),
            )
        };
        if text == "sqlite::memory:" {
            return Ok(Url::Memory);
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(bad("it names no file").with_hint(GRAMMAR)),
                path if path.contains('\0') => Err(bad("a path has no NUL")),
                path => Ok(Url::File(path.into())),
            };
        }
        if let Some(rest) = text.strip_prefix("mysql://") {
            return match server(rest) {
                Ok(server) => {
                    secret::add_password(&server.user, &server.password);
                    Ok(Url::Mysql(server))
                }
                Err(why) => Err(bad(why).with_hint(GRAMMAR)),
            };
        }
        let (scheme, _) = text.split_once(':').unwrap_or((text, ""));
        let schemes = ["sqlite", "mysql"];
        if schemes.contains(&scheme) {
            return Err(bad("it is cut short").with_hint(GRAMMAR));
        }
        let hint = did_you_mean(scheme, schemes).unwrap_or_else(|| GRAMMAR.to_owned());
        Err(bad("its scheme is none that is known").with_hint(hint))
    }
}

fn server(text: &str) -> Result<Server, &'static str> {
    let Some((who, place)) = text.rsplit_once('@') else {
        return Err("it names no user");
    };
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    if user.is_empty() {
        return Err("it names no user");
    }
    let (address, database) = place.split_once('/').unwrap_or((place, ""));
    let (host, port) = match address.strip_prefix('[') {
        // An IPv6 address stands in brackets.
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or("its port is bad")?)),
            None => return Err("its host is bad"),
        },
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() {
        return Err("it names no host");
    }
    let port = match port {
        None => 3306,
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => return Err("its port is not a number from 1 to 65535"),
            Ok(port) => port,
        },
    };
    if database.is_empty() {
        return Err("it names no database");
    }
    if database.contains(['?', '/', '#']) {
        return Err("nothing can follow the name of the database");
    }
    Ok(Server {
        user: decoded(user)?,
        password: decoded(password)?,
        host: host.to_owned(),
        port,
        database: decoded(database)?,
    })
}

/// `%40` and the like, decoded.
fn decoded(text: &str) -> Result<String, &'static str> {
    let bad = "a % is not followed by two hexadecimal digits; write it as %25";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2).ok_or(bad)?;
        let value = |digit: u8| (digit as char).to_digit(16).ok_or(bad);
        bytes.push((value(digits[0])? * 16 + value(digits[1])?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 when decoded")
}

/// An address whose password, if there may be one, is hidden.
fn masked(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = text.rfind('@').filter(|end| *end >= start);
    let end = match (end, start) {
        (Some(end), _) => end,
        (None, 0) => return text.to_owned(),
        // Without an @ it is unclear what follows the colon; it may well be a password.
        (None, _) => text.len(),
    };
    match text[start..end].find(':') {
        Some(colon) => format!("{}:***{}", &text[..start + colon], &text[end..]),
        None => text.to_owned(),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Url::Memory => f.write_str("sqlite::memory:"),
            Url::File(path) => write!(f, "sqlite:{}", path.display()),
            Url::Mysql(server) => {
                let (open, close) = match server.host.contains(':') {
                    true => ("[", "]"),
                    false => ("", ""),
                };
                let Server {
                    user,
                    host,
                    port,
                    database,
                    ..
                } = server;
                write!(
                    f,
                    "mysql://{user}:***@{open}{host}{close}:{port}/{database}"
                )
            }
        }
    }
}
