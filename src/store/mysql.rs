//! MySQL and MariaDB: one connection for each node.
//!
//! Every connection is set to `+00:00`, utf8mb4 with a binary collation, strict mode and READ COMMITTED.
//! Tables that Tributary creates have a collation under which texts are equal only if their bytes are,
//! trailing blanks included, as on SQLite.

mod dialect;
mod driver;
mod fault;
mod limit;
mod location;
mod schema;

use super::dialect::Dialect;
use super::driver::{Backend, Driver, Existing, Refusal};
use super::limits::QueryLimits;
use super::reads::{Asked, Checked};
use super::statements;
use super::table::Table;
use crate::error::{Error, Result};
use crate::time::monotonic;
pub(crate) use dialect::DIALECT;
use dialect::{Relations, ServerSchema};
use fault::DatabaseName;
use limit::Watch;
pub(super) use location::SCHEME;
use location::Server;
use mysql::prelude::Queryable;
use mysql::{Conn, Opts, OptsBuilder};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a server may take to accept a connection, and then for each answer until the connection is
/// set up.
const CONNECT: Duration = Duration::from_secs(5);
/// The least limit on the size of a statement, whatever the limit of answers is.
const WRITTEN: usize = 64 << 20;
/// The bytes of a row beside its values, at most.
const ENVELOPE: usize = 1 << 20;
/// The number of statements that stay prepared.
const PREPARED: usize = 256;

/// Collations under which different texts differ, in order of preference: MariaDB's, MySQL's, and one
/// that both have, which ignores trailing blanks.
const COLLATIONS: [&str; 3] = ["utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin"];

/// The backend.
struct Mysql {
    options: Opts,
    place: DatabaseName,
    table_options: String,
    /// The collation of the tables that Tributary creates, and of texts that are in no table.
    collation: &'static str,
    /// How long each answer to a question about the schema may take.
    patience: Duration,
    /// The connection that reads the schema, reconnected when it is lost.
    asking: Mutex<Option<Conn>>,
    /// When the server last did not answer, and the error of that.
    silent: Mutex<Option<(Instant, Error)>>,
}

impl Mysql {
    /// Connects once.
    fn open(server: &Server, shown: String, patience: Duration) -> Result<Self> {
        let options: Opts = OptsBuilder::new()
            .user(Some(&server.user))
            .pass(Some(&server.password))
            .ip_or_hostname(Some(&server.host))
            .tcp_port(server.port)
            .db_name(Some(&server.database))
            .prefer_socket(false)
            .tcp_connect_timeout(Some(CONNECT))
            .tcp_keepalive_time_ms(Some(60_000))
            .stmt_cache_size(PREPARED)
            // What the server names as its own limit is not asked for.
            .max_allowed_packet(Some(WRITTEN + ENVELOPE))
            .into();
        let place = DatabaseName::new(shown);
        let first = COLLATIONS[COLLATIONS.len() - 1];
        let mut connection = ask(&options, first, patience).map_err(|error| place.error(error))?;
        let collation = collation(&mut connection).map_err(|error| place.error(error))?;
        name_collation(&mut connection, collation).map_err(|error| place.error(error))?;
        Ok(Mysql {
            options,
            place,
            collation,
            table_options: format!(
                " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {collation}"
            ),
            patience,
            asking: Mutex::new(Some(connection)),
            silent: Mutex::new(None),
        })
    }

    /// A connection to read the schema. A server that just did not answer is not waited for again, however
    /// many tables and queries a script declares.
    fn ask(&self) -> Result<Conn> {
        let known = self.silent.lock().clone();
        if let Some((since, error)) = known
            && monotonic().duration_since(since) < CONNECT
        {
            return Err(error);
        }
        ask(&self.options, self.collation, self.patience).map_err(|cause| self.note(cause))
    }

    /// An error, which is remembered if the server did not answer.
    fn note(&self, cause: mysql::Error) -> Error {
        let is_silent = fault::is_silent(&cause);
        let error = self.place.error(cause);
        if is_silent {
            *self.silent.lock() = Some((monotonic(), error.clone()));
        }
        error
    }
}

/// Connects to read the schema. Each answer has the same limit of time, since none takes long.
fn ask(options: &Opts, collation: &str, patience: Duration) -> mysql::Result<Conn> {
    let limited = OptsBuilder::from_opts(options.clone())
        .tcp_connect_timeout(Some(patience))
        .read_timeout(Some(patience))
        .write_timeout(Some(patience));
    let mut connection = Conn::new(limited)?;
    set_up(&mut connection, collation)?;
    Ok(connection)
}

/// Connects and sets up the connection. A server that accepts and does not answer must fail in time, but
/// a read timeout cannot be removed later and would end long statements: so a connection with a timeout
/// is made and closed first.
fn connect(options: &Opts, collation: &str) -> mysql::Result<Conn> {
    let limited = OptsBuilder::from_opts(options.clone())
        .read_timeout(Some(CONNECT))
        .write_timeout(Some(CONNECT));
    drop(Conn::new(limited)?);
    let mut connection = Conn::new(options.clone())?;
    set_up(&mut connection, collation)?;
    Ok(connection)
}

/// Sets the variables of a connection.
fn set_up(connection: &mut Conn, collation: &str) -> mysql::Result<()> {
    name_collation(connection, collation)?;
    connection.query_drop(
        "SET SESSION time_zone = '+00:00', \
         sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
    )?;
    connection.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
}

/// What is computed of a row that is bound must be what is computed of it in its table.
fn name_collation(connection: &mut Conn, collation: &str) -> mysql::Result<()> {
    connection.query_drop(format!("SET NAMES utf8mb4 COLLATE {collation}"))
}

fn collation(connection: &mut Conn) -> mysql::Result<&'static str> {
    let known: Vec<String> = connection.query(
        "SELECT collation_name FROM information_schema.collations \
         WHERE collation_name LIKE 'utf8mb4%bin'",
    )?;
    Ok(COLLATIONS
        .into_iter()
        .find(|collation| known.iter().any(|k| k == collation))
        .unwrap_or("utf8mb4_bin"))
}

impl Backend for Mysql {
    fn dialect(&self) -> Dialect {
        DIALECT
    }

    fn table_options(&self) -> &str {
        &self.table_options
    }

    fn existing(&self, name: &str) -> Result<Option<Existing>> {
        let mut asking = self.asking.lock();
        if let Some(mut connection) = asking.take() {
            match schema::existing(&mut connection, name) {
                Ok(existing) => {
                    *asking = Some(connection);
                    return Ok(existing);
                }
                Err(cause) if fault::is_silent(&cause) => return Err(self.note(cause)),
                // The server may have closed it when it was idle.
                Err(_) => {}
            }
        }
        let mut connection = self.ask()?;
        let existing = schema::existing(&mut connection, name).map_err(|cause| self.note(cause))?;
        *asking = Some(connection);
        Ok(existing)
    }

    fn relations(&self) -> Result<Vec<String>> {
        let there = schema::there(&mut self.ask()?);
        Ok(there.map_err(|cause| self.note(cause))?.relations)
    }

    fn check(&self, query: &Asked<'_>, tables: &[Arc<Table>]) -> Result<Checked, Refusal> {
        let other = |cause| Refusal::Other(self.note(cause));
        // Temporary tables, which end with this connection.
        let mut connection = self.ask().map_err(Refusal::Other)?;
        for table in tables {
            let mut all = Vec::new();
            table.walk(&mut |table| all.push(table));
            for table in all {
                if schema::existing(&mut connection, table.name())
                    .map_err(other)?
                    .is_none()
                {
                    let sql = statements::create_table(DIALECT, table, &self.table_options);
                    let sql = sql.replacen("CREATE TABLE", "CREATE TEMPORARY TABLE", 1);
                    connection.query_drop(sql).map_err(other)?;
                }
            }
        }
        let statement = connection.prep(query.text).map_err(|cause| {
            if fault::is_silent(&cause) {
                other(cause)
            } else {
                fault::refusal(&self.place, cause)
            }
        })?;
        let columns = statement.columns();
        let columns = columns.iter().map(|column| column.name_str().into_owned());
        let columns = columns.collect();
        let relations = Relations::of(query.sql).map_err(Refusal::Other)?;
        let there: ServerSchema = schema::there(&mut connection).map_err(other)?;
        Ok(Checked {
            columns,
            outside: relations.outside(&there, &query.reach),
            // The tokens of the query were checked before.
            calls: Vec::new(),
        })
    }

    fn connect(&self, limits: QueryLimits) -> Result<Box<dyn Driver>> {
        // An answer has this limit when it is read; statements are often larger.
        let largest = limits.bytes.max(WRITTEN).saturating_add(ENVELOPE);
        let options: Opts = OptsBuilder::from_opts(self.options.clone())
            .max_allowed_packet(Some(largest))
            .into();
        let collation = self.collation;
        let connect = move || {
            let mut connection = connect(&options, collation)?;
            let watch = Watch::new(&mut connection, limits)?;
            Ok((connection, watch))
        };
        let driver = driver::Mysql::new(self.place.clone(), Box::new(connect))?;
        Ok(Box::new(driver))
    }
}
