//! `mysql://user:password@host:port/database`. User and password are percent-decoded.

use super::{DIALECT, Mysql};
use crate::error::Result;
use crate::host::{decoded, split_host};
use crate::secret;
use crate::store::driver::Backend;
use crate::store::location::{INCOMPLETE, Location, Scheme};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The scheme of MySQL and MariaDB.
pub(crate) const SCHEME: Scheme = Scheme {
    name: "mysql",
    dialect: DIALECT,
    forms: &["mysql://user:password@host:port/database"],
    parse,
};

/// A server, its user, and one of its databases.
pub(super) struct Server {
    pub user: String,
    pub password: String,
    pub host: String,
    pub port: u16,
    pub database: String,
}

fn parse(text: &str) -> Result<Arc<dyn Location>, &'static str> {
    let server = server(text.strip_prefix("//").ok_or(INCOMPLETE)?)?;
    secret::add_password(&server.user, &server.password);
    Ok(Arc::new(server))
}

impl Location for Server {
    fn open(&self, patience: Duration) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Mysql::open(self, self.to_string(), patience)?))
    }
}

/// The URL, without the password.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        let Server {
            user,
            host,
            port,
            database,
            ..
        } = self;
        write!(
            f,
            "mysql://{user}:***@{open}{host}{close}:{port}/{database}"
        )
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
    let (host, port) = split_host(address)?;
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
