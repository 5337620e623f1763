//! MySQL and MariaDB: one connection for each node.
//!
//! Every session is at `+00:00`, in utf8mb4 with a binary collation, strict about values, and
//! reads what is committed. Tables that we make have a collation under which texts are equal only
//! if their bytes are, trailing blanks included, as on SQLite.

mod driver;
mod fault;
mod limit;
mod schema;

use super::dialect::{Dialect, Relations, There};
use super::driver::{Backend, Driver, Existing, Refusal};
use super::limits::Limits;
use super::reads::{Asked, Checked};
use super::statements;
use super::table::Table;
use super::url::Server;
use crate::error::Result;
use fault::Place;
use limit::Watch;
use mysql::prelude::Queryable;
use mysql::{Conn, Opts, OptsBuilder};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

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
    /// For questions about the schema, made again where it is gone.
    asking: Mutex<Option<Conn>>,
}

impl Mysql {
    /// Connects once.
    pub fn open(server: &Server, shown: String) -> Result<Self> {
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
        let mut connection = connect(&options, first).map_err(|error| place.error(error))?;
        let collation = collation(&mut connection).map_err(|error| place.error(error))?;
        name_collation(&mut connection, collation).map_err(|error| place.error(error))?;
        Ok(Mysql {
            options,
            place,
            collation,
            table_options: format!(
                " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {collation}"
            ),
            asking: Mutex::new(Some(connection)),
        })
    }
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
    name_collation(&mut connection, collation)?;
    connection.query_drop(
        "SET SESSION time_zone = '+00:00', \
         sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
    )?;
    connection.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")?;
    Ok(connection)
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
        Dialect::Mysql
    }

    fn table_options(&self) -> &str {
        &self.table_options
    }

    fn existing(&self, name: &str) -> Result<Option<Existing>> {
        let mut asking = self.asking.lock();
        if let Some(connection) = asking.as_mut() {
            // What fails here may be a connection that has been idle for too long.
            if let Ok(existing) = schema::existing(connection, name) {
                return Ok(existing);
            }
        }
        let connection =
            connect(&self.options, self.collation).map_err(|error| self.place.error(error))?;
        let connection = asking.insert(connection);
        schema::existing(connection, name).map_err(|error| self.place.error(error))
    }

    fn relations(&self) -> Result<Vec<String>> {
        let there = connect(&self.options, self.collation)
            .and_then(|mut connection| schema::there(&mut connection));
        Ok(there.map_err(|error| self.place.error(error))?.relations)
    }

    fn check(&self, query: &Asked<'_>, tables: &[Arc<Table>]) -> Result<Checked, Refusal> {
        let other = |error| Refusal::Other(self.place.error(error));
        // Tables of this connection alone: they are gone with it.
        let mut connection = connect(&self.options, self.collation).map_err(other)?;
        for table in tables {
            let mut all = Vec::new();
            table.walk(&mut |table| all.push(table));
            for table in all {
                if schema::existing(&mut connection, table.name())
                    .map_err(other)?
                    .is_none()
                {
                    let sql = statements::create_table(Dialect::Mysql, table, &self.table_options);
                    let sql = sql.replacen("CREATE TABLE", "CREATE TEMPORARY TABLE", 1);
                    connection.query_drop(sql).map_err(other)?;
                }
            }
        }
        let statement = connection
            .prep(query.text)
            .map_err(|error| fault::refusal(&self.place, error))?;
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
