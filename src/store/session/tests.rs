//! What a session does beyond the public contract, over every database.

#[path = "../../../tests/integration/mariadb.rs"]
mod mariadb;

use crate::error::Result;
use crate::store::{Database, Limits, Session, Store};
use std::time::Duration;

/// A database for one test, and its directory where it is a file.
struct Place {
    url: String,
    _dir: Option<tempfile::TempDir>,
}

impl Place {
    fn memory() -> Self {
        Place {
            url: "sqlite::memory:".to_owned(),
            _dir: None,
        }
    }

    fn file() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Place {
            url: format!("sqlite:{}", dir.path().join("test.db").display()),
            _dir: Some(dir),
        }
    }

    fn mariadb() -> Self {
        Place {
            url: mariadb::server().database(),
            _dir: None,
        }
    }

    fn open(&self) -> Database {
        Database::open(&self.url).unwrap()
    }
}

/// Makes tests of functions that take a [`Place`]: one for each database.
macro_rules! over_all_databases {
    ($($name:ident)*) => {
        mod sqlite_memory {
            $(#[test] fn $name() { super::$name(&super::Place::memory()); })*
        }
        mod sqlite_file {
            $(#[test] fn $name() { super::$name(&super::Place::file()); })*
        }
        mod on_mariadb {
            $(
                #[test]
                #[ignore = "needs mariadbd: run tests/run"]
                fn $name() { super::$name(&super::Place::mariadb()); }
            )*
        }
    };
}

over_all_databases! {
    what_was_emitted_is_kept_under_its_identity
    what_was_emitted_is_part_of_the_transaction
    what_was_emitted_is_sorted_by_bytes_and_has_no_limit
}

fn pairs(session: &mut Session, scope: &str) -> Vec<(String, String)> {
    session.emitted(scope).unwrap()
}

fn what_was_emitted_is_kept_under_its_identity(place: &Place) {
    let db = place.open();
    let mut session = db.session().unwrap();
    assert_eq!(pairs(&mut session, "a"), []);
    let long = "ä'`\"\\\u{0}🦀".repeat(500);
    // None of these is another one.
    let identities = ["", " ", "a", "A", "a ", "ä", "a\u{308}", "[1,\"x\"]", &long];
    for (n, identity) in identities.iter().enumerate() {
        session.set_emitted("a", identity, "{}").unwrap();
        let row = format!("{{\"n\":{n}}}");
        session.set_emitted("a", identity, &row).unwrap();
    }
    session.set_emitted("b", "a", "other").unwrap();
    session.unset_emitted("a", "A").unwrap();
    session.unset_emitted("a", "none").unwrap();
    // Another connection finds them; on a database that stays, another process too.
    let db = match place.url.ends_with(":memory:") {
        true => db,
        false => place.open(),
    };
    let mut session = db.session().unwrap();
    let mut expected: Vec<(String, String)> = identities
        .iter()
        .enumerate()
        .filter(|(_, identity)| **identity != "A")
        .map(|(n, identity)| ((*identity).to_owned(), format!("{{\"n\":{n}}}")))
        .collect();
    expected.sort();
    assert_eq!(pairs(&mut session, "a"), expected);
    assert_eq!(pairs(&mut session, "b"), [("a".into(), "other".into())]);
    assert_eq!(pairs(&mut session, "A"), []);
}

fn what_was_emitted_is_part_of_the_transaction(place: &Place) {
    let db = place.open();
    let mut session = db.session().unwrap();
    session.emitted("a").unwrap();
    session.set_emitted("a", "one", "1").unwrap();
    let mut change = |end: fn(&mut Session) -> Result<()>| {
        session.begin().unwrap();
        session.set_emitted("a", "two", "2").unwrap();
        session.unset_emitted("a", "one").unwrap();
        end(&mut session).unwrap();
        pairs(&mut session, "a")
    };
    let undone = change(|session| {
        session.rollback();
        Ok(())
    });
    assert_eq!(undone, [("one".into(), "1".into())]);
    assert_eq!(change(Session::commit), [("two".into(), "2".into())]);
}

fn what_was_emitted_is_sorted_by_bytes_and_has_no_limit(place: &Place) {
    let limits = Limits {
        rows: 10,
        time: Duration::from_secs(5),
    };
    let mut session = place.open().with_limits(limits).session().unwrap();
    session.emitted("a").unwrap();
    session.begin().unwrap();
    for n in (0..300u32).rev() {
        let identity = char::from_u32(n + 1).unwrap().to_string();
        session.set_emitted("a", &identity, "").unwrap();
    }
    session.commit().unwrap();
    let rows = pairs(&mut session, "a");
    assert_eq!(rows.len(), 300);
    assert!(rows.is_sorted());
}
