//! Addresses of databases, and what comes out when one is wrong.

use tributary::{Database, Error, ErrorKind};

fn refused(url: &str) -> Error {
    match Database::open(url) {
        Ok(database) => panic!("{database} was opened"),
        Err(error) => error,
    }
}

#[test]
fn a_bad_url_is_an_error_with_its_reason_and_without_the_password() {
    let grammar =
        r#"write "sqlite::memory:", "sqlite:path" or "mysql://user:password@host:port/database""#;
    for (url, message) in [
        (
            "",
            format!(r#"bad database url "": unknown scheme; {grammar}"#),
        ),
        (
            "mysq://u:secret@h/d",
            r#"bad database url "mysq://u:***@h/d": unknown scheme; did you mean "mysql"?"#
                .to_owned(),
        ),
        (
            "postgres://u:secret@h/d",
            format!(r#"bad database url "postgres://u:***@h/d": unknown scheme; {grammar}"#),
        ),
        (
            "sqlite",
            format!(r#"bad database url "sqlite": it is incomplete; {grammar}"#),
        ),
        (
            "mysql:h/d",
            format!(r#"bad database url "mysql:h/d": it is incomplete; {grammar}"#),
        ),
        (
            "sqlite:",
            format!(r#"bad database url "sqlite:": it names no file; {grammar}"#),
        ),
        (
            "mysql://u:secret@/d",
            format!(r#"bad database url "mysql://u:***@/d": it names no host; {grammar}"#),
        ),
        (
            "mysql://u:secret@h",
            format!(r#"bad database url "mysql://u:***@h": it names no database; {grammar}"#),
        ),
        (
            "mysql://h:secret",
            format!(r#"bad database url "mysql://h:***": it names no user; {grammar}"#),
        ),
        (
            "mysql://u:se:cr@et@h:99999/d",
            format!(
                r#"bad database url "mysql://u:***@h:99999/d": its port is not a number from 1 to 65535; {grammar}"#
            ),
        ),
        (
            "mysql://u:secr%4@h/d",
            format!(
                r#"bad database url "mysql://u:***@h/d": a % is not followed by two hexadecimal digits; write it as %25; {grammar}"#
            ),
        ),
        (
            "mysql://u:secret@h/d?ssl=1",
            format!(
                r#"bad database url "mysql://u:***@h/d?ssl=1": nothing can follow the name of the database; {grammar}"#
            ),
        ),
    ] {
        let error = refused(url);
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}

#[test]
fn a_server_that_is_not_there_is_unavailable_and_may_come_back() {
    let error = refused("mysql://u:secret@127.0.0.1:1/d");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable());
    let message = error.to_string();
    assert!(
        message.starts_with("mysql://u:***@127.0.0.1:1/d: "),
        "{message}"
    );
    assert!(message.contains("connection refused"), "{message}");
    assert!(!message.contains("secret"));
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_wrong_password_is_a_bad_configuration() {
    let url = crate::support::mariadb::server().database();
    let error = refused(&url.replace("p%40ss%3A%2F%23%25", "wrong"));
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!error.is_retryable());
    let message = error.to_string();
    assert!(message.contains(":***@127.0.0.1"), "{message}");
    assert!(message.contains("Access denied"), "{message}");
    assert!(!message.contains("wrong"), "{message}");
    let error = refused(&url.replace("/test_", "/missing_"));
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("Unknown database"), "{error}");
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn user_and_password_are_percent_decoded_and_hidden() {
    let url = crate::support::mariadb::server().database();
    let database = Database::open(&url).unwrap();
    let shown = format!("{database} {database:?}");
    assert!(!shown.contains("ss"), "{shown}");
    assert!(
        shown.starts_with("mysql://tributary:***@127.0.0.1:"),
        "{shown}"
    );
}

#[test]
fn a_sqlite_file_that_cannot_be_opened_is_an_error_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    let error = refused(&format!("sqlite:{path}/missing/x.db"));
    assert_eq!(error.kind(), ErrorKind::CannotCreate);
    assert_eq!(
        error.to_string(),
        format!(
            r#"database "{path}/missing/x.db": cannot create it; there is no directory "{path}/missing""#
        )
    );
    // Its own directory is there; what it leads to is not.
    let dangling = dir.path().join("dangling.db");
    std::os::unix::fs::symlink(dir.path().join("missing/x.db"), dangling).unwrap();
    let error = refused(&format!("sqlite:{path}/dangling.db"));
    assert_eq!(
        error.to_string(),
        format!(r#"database "{path}/dangling.db": cannot create it"#)
    );
    let error = refused(&format!("sqlite:{path}"));
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(
        error.to_string(),
        format!(r#"database "{path}": it is a directory"#)
    );
    std::fs::write(
        dir.path().join("text"),
        "no database, but long enough ".repeat(50),
    )
    .unwrap();
    let error = refused(&format!("sqlite:{path}/text"));
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(
        error.to_string(),
        format!(r#"database "{path}/text": file is not a database"#)
    );
}

#[test]
fn a_sqlite_file_in_a_place_without_permission_is_refused() {
    // Nobody may make a file there, whoever asks.
    let error = refused("sqlite:/sys/x.db");
    assert_eq!(error.kind(), ErrorKind::NoPermission);
    assert!(
        error.to_string().starts_with(r#"database "/sys/x.db": "#),
        "{error}"
    );
}

#[test]
fn a_locked_file_is_waited_for_and_then_named() {
    let place = crate::support::databases::Place::file();
    let db = place.open();
    db.declare(crate::support::databases::bets()).unwrap();
    let mut store = db.connect().unwrap();
    let path = place.url.strip_prefix("sqlite:").unwrap();
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let began = std::time::Instant::now();
    let error = store.begin().unwrap_err();
    assert!(began.elapsed().as_secs() >= 4);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        format!(r#"database "{path}": database is locked; another process holds it"#)
    );
    other.execute_batch("rollback").unwrap();
    store.begin().unwrap();
}
