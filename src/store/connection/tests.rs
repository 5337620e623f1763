//! What a connection does beyond the public contract, over every database.

#[path = "../../../tests/integration/support/mariadb.rs"]
#[expect(dead_code, reason = "the integration tests use more of it")]
mod mariadb;
#[path = "../../../tests/integration/support/process.rs"]
#[expect(dead_code, reason = "the integration tests use more of it")]
mod process;

use crate::error::Result;
use crate::store::{Connection, Database, QueryLimits, Store, Table};
use std::time::Duration;

/// A database for one test, and its directory where it is a file.
struct Files {
    url: String,
    _dir: Option<tempfile::TempDir>,
}

impl Files {
    fn memory() -> Self {
        Files {
            url: "sqlite::memory:".to_owned(),
            _dir: None,
        }
    }

    fn file() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Files {
            url: format!("sqlite:{}", dir.path().join("test.db").display()),
            _dir: Some(dir),
        }
    }

    fn mariadb() -> Self {
        Files {
            url: mariadb::server().database(),
            _dir: None,
        }
    }

    fn open(&self) -> Database {
        Database::open(&self.url).unwrap()
    }
}

/// Makes tests of functions that take a [`Files`]: one for each database.
macro_rules! over_all_databases {
    ($($name:ident)*) => {
        mod sqlite_memory {
            $(#[test] fn $name() { super::$name(&super::Files::memory()); })*
        }
        mod sqlite_file {
            $(#[test] fn $name() { super::$name(&super::Files::file()); })*
        }
        mod on_mariadb {
            $(
                #[test]
                #[ignore = "needs mariadbd: run tests/run"]
                fn $name() { super::$name(&super::Files::mariadb()); }
            )*
        }
    };
}

over_all_databases! {
    what_was_emitted_is_kept_under_its_identity
    what_was_emitted_is_part_of_the_transaction
    what_was_emitted_is_sorted_by_bytes_and_has_no_limit
    a_table_that_is_not_as_we_would_have_made_it_is_told
    what_others_commit_changes_the_version_of_a_file
}

fn pairs(connection: &mut Connection, scope: &str) -> Vec<(String, String)> {
    connection.emitted(scope).unwrap()
}

fn what_was_emitted_is_kept_under_its_identity(place: &Files) {
    let db = place.open();
    let mut connection = db.connection().unwrap();
    assert_eq!(pairs(&mut connection, "a"), []);
    let long = "ä'`\"\\\u{0}🦀".repeat(500);
    // None of these is another one.
    let identities = ["", " ", "a", "A", "a ", "ä", "a\u{308}", "[1,\"x\"]", &long];
    for (n, identity) in identities.iter().enumerate() {
        connection.set_emitted("a", identity, "{}").unwrap();
        let row = format!("{{\"n\":{n}}}");
        connection.set_emitted("a", identity, &row).unwrap();
    }
    connection.set_emitted("b", "a", "other").unwrap();
    connection.unset_emitted("a", "A").unwrap();
    connection.unset_emitted("a", "none").unwrap();
    // Another connection finds them; on a database that stays, another process too.
    let db = if place.url.ends_with(":memory:") {
        db
    } else {
        place.open()
    };
    let mut connection = db.connection().unwrap();
    let mut expected: Vec<(String, String)> = identities
        .iter()
        .enumerate()
        .filter(|(_, identity)| **identity != "A")
        .map(|(n, identity)| ((*identity).to_owned(), format!("{{\"n\":{n}}}")))
        .collect();
    expected.sort();
    assert_eq!(pairs(&mut connection, "a"), expected);
    assert_eq!(pairs(&mut connection, "b"), [("a".into(), "other".into())]);
    assert_eq!(pairs(&mut connection, "A"), []);
}

fn what_was_emitted_is_part_of_the_transaction(place: &Files) {
    let db = place.open();
    let mut connection = db.connection().unwrap();
    connection.emitted("a").unwrap();
    connection.set_emitted("a", "one", "1").unwrap();
    let mut change = |end: fn(&mut Connection) -> Result<()>| {
        connection.begin().unwrap();
        connection.set_emitted("a", "two", "2").unwrap();
        connection.unset_emitted("a", "one").unwrap();
        end(&mut connection).unwrap();
        pairs(&mut connection, "a")
    };
    let undone = change(|connection| {
        connection.rollback();
        Ok(())
    });
    assert_eq!(undone, [("one".into(), "1".into())]);
    assert_eq!(change(Connection::commit), [("two".into(), "2".into())]);
}

fn what_was_emitted_is_sorted_by_bytes_and_has_no_limit(place: &Files) {
    let limits = QueryLimits {
        rows: 10,
        time: Duration::from_secs(5),
        ..QueryLimits::default()
    };
    let mut connection = place.open().with_limits(limits).connection().unwrap();
    connection.emitted("a").unwrap();
    connection.begin().unwrap();
    for n in (0..300u32).rev() {
        let identity = char::from_u32(n + 1).unwrap().to_string();
        connection.set_emitted("a", &identity, "").unwrap();
    }
    connection.commit().unwrap();
    let rows = pairs(&mut connection, "a");
    assert_eq!(rows.len(), 300);
    assert!(rows.is_sorted());
}

fn run(connection: &mut Connection, sql: &str) {
    if let Err(failure) = connection.driver.execute(sql, &[]) {
        panic!("{sql}: {}", crate::Error::from(failure));
    }
}

fn is_exact(connection: &mut Connection, table: &str) -> bool {
    connection.driver.existing(table).unwrap().unwrap().exact
}

fn a_table_that_is_not_as_we_would_have_made_it_is_told(place: &Files) {
    let db = place.open();
    let child = Table::new("ours_too").text("up").real("x").integer("n");
    let table = Table::new("ours")
        .text("id")
        .integer("at")
        .real("x")
        .text_sized("note", 5_000)
        .text_sized("longer", 60_000)
        .key("id");
    db.declare(table.child("more", child, &[("up", "id")]))
        .unwrap();
    let mut connection = db.connection().unwrap();
    assert!(is_exact(&mut connection, "ours") && is_exact(&mut connection, "ours_too"));
    assert!(connection.driver.existing("none").unwrap().is_none());
    let odd: &[&str] = if connection.dialect.is_server() {
        &[
            "create table odd (id bigint, t varchar(20) collate utf8mb4_general_ci)",
            "create table odd (id bigint, t varchar(20) collate utf8mb4_bin)",
            "create table odd (id bigint, t bigint generated always as (id + 1))",
            "create table odd (id bigint, t char(20) collate utf8mb4_nopad_bin)",
            "create table odd (id bigint, t varbinary(20))",
            "create table odd (id bigint unsigned)",
            "create table odd (id int)",
            "create table odd (x float)",
            "create table odd (x decimal(10,2))",
            "create table odd (id bigint) engine = MyISAM",
            "create table odd (id varchar(255) collate utf8mb4_nopad_bin, \
             foreign key (id) references ours(id))",
            "create view odd as select * from ours",
        ]
    } else {
        &[
            "create table odd (id integer, t text collate nocase)",
            "create table odd (id integer, t integer generated always as (id + 1))",
            "create table odd (id integer, t integer AS (id + 1) stored)",
            "create table odd (id integer, -- it's ours\n t text /* ' */ collate rtrim)",
            "create table odd (id integer, t varchar(20))",
            "create table odd (id integer, t)",
            "create table odd (id bigint, t text)",
            "create table odd (id integer primary key on conflict replace)",
            "create table odd (id text references ours(id))",
            "create view odd as select * from ours",
        ]
    };
    for sql in odd {
        run(&mut connection, sql);
        assert!(!is_exact(&mut connection, "odd"), "{sql}");
        let kind = if sql.contains("view") {
            "view"
        } else {
            "table"
        };
        run(&mut connection, &format!("drop {kind} odd"));
    }
    let even = if connection.dialect.is_server() {
        "create table odd (id bigint, x double, t varchar(9) collate utf8mb4_nopad_bin)"
    } else {
        "create table odd (id integer, x real, t text)"
    };
    run(&mut connection, even);
    run(&mut connection, "create index odd_x on odd (x)");
    assert!(is_exact(&mut connection, "odd"));
    let trigger = "create trigger watch after insert on odd for each row ";
    let sql = if connection.dialect.is_server() {
        format!("{trigger} delete from ours")
    } else {
        format!("{trigger} begin delete from ours; end")
    };
    run(&mut connection, &sql);
    assert!(!is_exact(&mut connection, "odd"));
    assert!(is_exact(&mut connection, "ours"));
}

fn what_others_commit_changes_the_version_of_a_file(place: &Files) {
    let db = place.open();
    db.declare(Table::new("t").integer("n")).unwrap();
    let mut connection = db.connection().unwrap();
    let Some(first) = connection.data_version().unwrap() else {
        assert!(!place.url.ends_with("test.db"));
        return;
    };
    // Neither this connection nor another of this process.
    run(&mut connection, "insert into t values (1)");
    let mut sibling = db.connection().unwrap();
    run(&mut sibling, "insert into t values (2)");
    assert_eq!(connection.data_version().unwrap(), Some(first));
    assert_eq!(sibling.data_version().unwrap(), Some(first));
    let mut other = place.open().connection().unwrap();
    other.begin().unwrap();
    run(&mut other, "insert into t values (3)");
    assert_eq!(connection.data_version().unwrap(), Some(first));
    other.commit().unwrap();
    assert_ne!(connection.data_version().unwrap(), Some(first));
}
