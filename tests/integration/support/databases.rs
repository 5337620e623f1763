//! The databases that the suites run over.

use crate::support::mariadb;
use serde_json::{Map, Value};
use tempfile::TempDir;
use tributary::store::{Params, Store};
use tributary::time::Timestamp;
use tributary::{Database, Result, Table};

/// A place for a database; it can be opened several times.
pub struct Place {
    pub url: String,
    pub kind: Kind,
    _dir: Option<TempDir>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Memory,
    File,
    Mariadb,
}

impl Place {
    pub fn memory() -> Self {
        Place {
            url: "sqlite::memory:".to_owned(),
            kind: Kind::Memory,
            _dir: None,
        }
    }

    pub fn file() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Place {
            url: format!("sqlite:{}", dir.path().join("test.db").display()),
            kind: Kind::File,
            _dir: Some(dir),
        }
    }

    pub fn mariadb() -> Self {
        Place {
            url: mariadb::server().database(),
            kind: Kind::Mariadb,
            _dir: None,
        }
    }

    /// An empty one of the same kind.
    pub fn another(&self) -> Self {
        match self.kind {
            Kind::Memory => Place::memory(),
            Kind::File => Place::file(),
            Kind::Mariadb => Place::mariadb(),
        }
    }

    pub fn open(&self) -> Database {
        Database::open(&self.url).unwrap()
    }

    /// Whether what is in it stays when it is closed.
    pub fn stays(&self) -> bool {
        self.kind != Kind::Memory
    }

    /// Runs statements past the library.
    pub fn execute(&self, sql: &str) {
        use mysql::prelude::Queryable;
        match self.kind {
            Kind::Memory => unreachable!("nobody else can reach it"),
            Kind::File => {
                let path = self.url.strip_prefix("sqlite:").unwrap();
                let connection = rusqlite::Connection::open(path).unwrap();
                connection.execute_batch(sql).unwrap();
            }
            Kind::Mariadb => {
                let name = self.url.rsplit('/').next();
                let mut connection = mariadb::server().connect(name).unwrap();
                connection.query_drop(sql).unwrap();
            }
        }
    }
}

impl Place {
    /// How many rows a table has, asked past the library: of the tables that no network reads too.
    pub fn rows_in(&self, table: &str) -> i64 {
        let text = match self.kind {
            Kind::Mariadb => "char",
            _ => "text",
        };
        let counted = self.texts(&format!("select cast(count(*) as {text}) from {table}"));
        counted[0].parse().unwrap()
    }

    /// The texts of the first column of a query, asked past the library; it may ask the schema.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        use mysql::prelude::Queryable;
        match self.kind {
            Kind::Memory => unreachable!("nobody else can reach it"),
            Kind::File => {
                let path = self.url.strip_prefix("sqlite:").unwrap();
                let connection = rusqlite::Connection::open(path).unwrap();
                let mut statement = connection.prepare(sql).unwrap();
                let texts = statement.query_map([], |row| row.get(0)).unwrap();
                texts.map(Result::unwrap).collect()
            }
            Kind::Mariadb => {
                let name = self.url.rsplit('/').next();
                let mut connection = mariadb::server().connect(name).unwrap();
                connection.query(sql).unwrap()
            }
        }
    }
}

/// Makes tests of functions that take a [`Place`]: one for each database.
#[macro_export]
macro_rules! over_all_databases {
    ($($name:ident)*) => {
        mod sqlite_memory {
            $(#[test] fn $name() { super::$name(&$crate::support::databases::Place::memory()); })*
        }
        mod sqlite_file {
            $(#[test] fn $name() { super::$name(&$crate::support::databases::Place::file()); })*
        }
        mod mariadb {
            $(
                #[test]
                #[ignore = "needs mariadbd: run tests/run"]
                fn $name() { super::$name(&$crate::support::databases::Place::mariadb()); }
            )*
        }
    };
}

/// The tables of the advanced example.
pub fn bets() -> Table {
    Table::new("example_bets")
        .text("uuid")
        .integer("create_time")
        .text("customer_uuid")
        .real("stake")
        .text("currency")
        .real("exchange_rate")
        .real("odds")
        .key("uuid")
        .child(
            "selections",
            Table::new("example_selections")
                .text("bet_uuid")
                .integer("game_id")
                .text("market")
                .real("odds"),
            &[("bet_uuid", "uuid")],
        )
}

/// A bet on two games.
pub fn bet(uuid: &str, create_time: i64, customer: &str, stake: f64) -> Value {
    serde_json::json!({
        "uuid": uuid,
        "create_time": create_time,
        "customer_uuid": customer,
        "stake": stake,
        "currency": "EUR",
        "exchange_rate": 1.0,
        "odds": 2.0,
        "unknown": [1, 2, 3],
        "selections": [
            {"game_id": 123456, "market": "win", "odds": 1.5},
            {"game_id": 654321, "market": "draw", "odds": 1.4},
        ],
    })
}

/// Inserts a JSON object, which must be one.
pub fn insert(
    store: &mut dyn Store,
    database: &Database,
    table: &str,
    value: &Value,
) -> Result<tributary::store::Inserted> {
    store.insert(&*database.table(table)?, value.as_object().unwrap())
}

/// Asks a query without an event.
pub fn ask(
    store: &mut dyn Store,
    database: &Database,
    sql: &str,
    now: Timestamp,
) -> Result<Vec<Map<String, Value>>> {
    let query = database.prepare(sql)?;
    store.query(&query, &Params { now, event: None })
}

/// The one value of the one row of an answer.
pub fn one(store: &mut dyn Store, database: &Database, sql: &str) -> Value {
    let rows = ask(store, database, sql, Timestamp::from_secs(1_000_000)).unwrap();
    assert_eq!(rows.len(), 1, "{sql}");
    assert_eq!(rows[0].len(), 1, "{sql}");
    rows[0].values().next().unwrap().clone()
}

/// Ends all connections to a MariaDB database.
pub fn kill_connections(place: &Place) {
    kill_connections_to(&place.url);
}

/// The same of the database at this address.
pub fn kill_connections_to(url: &str) {
    use mysql::prelude::Queryable;
    let name = url.rsplit('/').next();
    let mut connection = mariadb::server().connect(None).unwrap();
    let ids: Vec<u64> = connection
        .exec(
            "select id from information_schema.processlist where db = ?",
            (name,),
        )
        .unwrap();
    for id in ids {
        // It may have ended by itself.
        let _ = connection.query_drop(format!("kill {id}"));
    }
}
