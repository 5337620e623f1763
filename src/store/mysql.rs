//! MySQL and MariaDB: one connection for each node.
//!
//! Every session is at `+00:00`, in utf8mb4 with a binary collation, strict about values, and
//! reads what is committed. Tables that we make have a collation under which texts are equal only
//! if their bytes are, trailing blanks included, as on SQLite.

mod driver;
mod fault;
mod limit;
mod schema;

use super::dialect::Dialect;
use super::dialect::mysql::{DIALECT, Relations, There};
use super::driver::{Backend, Driver, Existing, Refusal};
use super::limits::Limits;
use super::reads::{Asked, Checked};
use super::statements;
use super::table::Table;
use super::url::Server;
use crate::error::{Error, Result};
use crate::time::monotonic;
use fault::Place;
use limit::Watch;
use mysql::prelude::Queryable;
use mysql::{Conn, Opts, OptsBuilder};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a server may take to accept a connection, and then for each of its answers until the
/// session is there.
const CONNECT: Duration = Duration::from_secs(5);
/// The largest statement that is sent, at least, whatever the limit of answers is.
const WRITTEN: usize = 64 << 20;
/// What a row has beside its values.
const ENVELOPE: usize = 1 << 20;
/// How many statements stay prepared.
const PREPARED: usize = 256;

/// Collations that tell apart all texts, the better ones first: MariaDB's, MySQL's, and the one
/// that both have, to which trailing blanks are nothing.
const COLLATIONS: [&str; 3] = ["utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin"];

/// The backend.
pub(crate) struct Mysql {
    options: Opts,
    place: Place,
    table_options: String,
    /// Of the tables that we make, and of texts that are in none.
    collation: &'static str,
    /// How long each answer to a question about the schema may take.
    patience: Duration,
    /// For questions about the schema, made again where it is gone.
    asking: Mutex<Option<Conn>>,
    /// When the server was found to be silent, and what was said of it.
    silent: Mutex<Option<(Instant, Error)>>,
}

impl Mysql {
    /// Connects once.
    pub fn open(server: &Server, shown: String, patience: Duration) -> Result<Self> {
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
            .into();
        let place = Place::new(shown);
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

    /// A connection for questions about the schema. A server that was found to be silent is not waited
    /// for again at once, however many questions a script has.
    fn ask(&self) -> Result<Conn> {
        let known = self.silent.lock().clone();
        if let Some((since, error)) = known
            && monotonic().duration_since(since) < CONNECT
        {
            return Err(error);
        }
        ask(&self.options, self.collation, self.patience).map_err(|said| self.note(said))
    }

    /// An error, which is kept where the server was silent.
    fn note(&self, said: mysql::Error) -> Error {
        let is_silent = fault::is_silent(&said);
        let error = self.place.error(said);
        if is_silent {
            *self.silent.lock() = Some((monotonic(), error.clone()));
        }
        error
    }
}

/// Connects for questions about the schema, of which none takes long: each answer has the same limit.
fn ask(options: &Opts, collation: &str, patience: Duration) -> mysql::Result<Conn> {
    let limited = OptsBuilder::from_opts(options.clone())
        .tcp_connect_timeout(Some(patience))
        .read_timeout(Some(patience))
        .write_timeout(Some(patience));
    let mut connection = Conn::new(limited)?;
    set_up(&mut connection, collation)?;
    Ok(connection)
}

/// Connects, and tells the session how we want it. A server that accepts and then falls silent is
/// given up: the limit of reading that does so cannot be taken off again, and would end long
/// statements, so that a connection with it goes first.
fn connect(options: &Opts, collation: &str) -> mysql::Result<Conn> {
    let limited = OptsBuilder::from_opts(options.clone())
        .read_timeout(Some(CONNECT))
        .write_timeout(Some(CONNECT));
    drop(Conn::new(limited)?);
    let mut connection = Conn::new(options.clone())?;
    set_up(&mut connection, collation)?;
    Ok(connection)
}

/// Tells the session how we want it.
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
                Err(said) if fault::is_silent(&said) => return Err(self.note(said)),
                // It may have been idle for too long.
                Err(_) => {}
            }
        }
        let mut connection = self.ask()?;
        let existing = schema::existing(&mut connection, name).map_err(|said| self.note(said))?;
        *asking = Some(connection);
        Ok(existing)
    }

    fn relations(&self) -> Result<Vec<String>> {
        let there = schema::there(&mut self.ask()?);
        Ok(there.map_err(|said| self.note(said))?.relations)
    }

    fn check(&self, query: &Asked<'_>, tables: &[Arc<Table>]) -> Result<Checked, Refusal> {
        let other = |said| Refusal::Other(self.note(said));
        // Tables of this connection alone: they are gone with it.
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
        let statement =
            connection
                .prep(query.text)
                .map_err(|said| match fault::is_silent(&said) {
                    true => other(said),
                    false => fault::refusal(&self.place, said),
                })?;
        let columns = statement.columns();
        let columns = columns.iter().map(|column| column.name_str().into_owned());
        let columns = columns.collect();
        let relations = Relations::of(query.sql).map_err(Refusal::Other)?;
        let there: There = schema::there(&mut connection).map_err(other)?;
        Ok(Checked {
            columns,
            outside: relations.outside(&there, &query.reach),
            // The tokens of the query were looked at before.
            calls: Vec::new(),
        })
    }

    fn connect(&self, limits: Limits) -> Result<Box<dyn Driver>> {
        // What is larger than an answer may be is not read; what is written is often larger.
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
