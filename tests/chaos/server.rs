//! A private MariaDB server with a database `chaos` and few connections.

use crate::support::mariadb;
use mysql::Conn;
use mysql::prelude::Queryable;

/// The user `chaos` is that of the process under test; `admin` may take one connection more.
const USERS: &str = "\
CREATE OR REPLACE USER 'chaos'@'%' IDENTIFIED BY 'chaos';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX, LOCK TABLES ON chaos.* TO 'chaos'@'%';
CREATE OR REPLACE USER 'admin'@'%' IDENTIFIED BY 'admin';
GRANT ALL ON *.* TO 'admin'@'%';
CREATE DATABASE IF NOT EXISTS chaos;
";

/// What is committed survives a kill; a lock is waited for one second.
const OPTIONS: [&str; 4] = [
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-lock-wait-timeout=1",
    "--lock-wait-timeout=1",
    "--max-connections=12",
];

/// It ends with the value.
pub struct Server(pub mariadb::Server);

impl Server {
    pub fn start() -> Server {
        Server(mariadb::Server::with(USERS, &OPTIONS))
    }

    /// The database of the process under test.
    pub fn url(&self) -> String {
        format!("mysql://chaos:chaos@127.0.0.1:{}/chaos", self.0.port)
    }

    pub fn connect(&self) -> mysql::Result<Conn> {
        self.connect_as("admin")
    }

    /// A connection of one of the users; the password is the name.
    pub fn connect_as(&self, user: &str) -> mysql::Result<Conn> {
        self.0.connect_as(user, user, Some("chaos"))
    }

    /// How many rows a table has; 0 while the server does not answer.
    pub fn count(&self, table: &str) -> u64 {
        let count = self
            .connect()
            .and_then(|mut c| c.query_first::<u64, _>(format!("SELECT count(*) FROM {table}")));
        count.ok().flatten().unwrap_or(0)
    }
}
