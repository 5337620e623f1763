//! What the binary says of databases: URLs that are wrong, servers and files that do not answer.

use crate::support::binary::Site;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;

type Tested = Result<(), Box<dyn Error>>;

const TABLE: &str = "\
local tb = require('tributary')
tb.create_table('t', {columns = {at = 'integer'}})
tb.create_stdin('in')
tb.create_window('stored', 't')
tb.create_stdout('out')
tb.chain('in', 'stored', 'out')
";

#[test]
fn a_malformed_url_is_refused_and_its_password_is_not_shown() -> Tested {
    // Row 49 and 50.
    let site = Site::with(&[("net.lua", TABLE)])?;
    let hint = "  hint: write \"sqlite::memory:\", \"sqlite:path\" or …";
    for (url, shown, wanted) in [
        (
            "mysql://u:secret@h",
            "mysql://u:***@h",
            "it names no database",
        ),
        (
            "mysql://u:secret@:3306/db",
            "mysql://u:***@:3306/db",
            "it names no host",
        ),
        (
            "mysql://u:secret@h:99999/db",
            "mysql://u:***@h:99999/db",
            "its port is not a number from 1 to 65535",
        ),
        (
            "mysql://u:secret@h:x/db",
            "mysql://u:***@h:x/db",
            "its port is not a number from 1 to 65535",
        ),
        (
            "mysql://u:secret%4@h/db",
            "mysql://u:***@h/db",
            "a % is not followed by two hexadecimal digits; write it as %25",
        ),
        (
            "postgres://u:secret@h/db",
            "postgres://u:***@h/db",
            "unknown scheme",
        ),
        ("", "", "unknown scheme"),
        ("sqlite:", "sqlite:", "it names no file"),
    ] {
        for verb in ["run", "check", "graph"] {
            let done = site.call(&[verb, "net.lua", "--db", url])?;
            let wanted = format!("tributary: bad database url \"{shown}\": {wanted}\n{hint}");
            done.expect(78, "", &wanted);
        }
    }
    Ok(())
}

#[test]
fn a_server_that_does_not_answer_is_unavailable() -> Tested {
    let site = Site::with(&[("net.lua", TABLE)])?;
    // Nobody listens at port 1; row 50: a password with everything that must be encoded.
    for password in ["secret", "s%40%3A%2F%23%25", "s@/e:c#ret"] {
        let url = format!("mysql://u:{password}@127.0.0.1:1/db");
        let args = ["run", "net.lua", "--fail-fast", "--db", &url];
        site.call(&args)?.expect(
            69,
            "",
            "tributary: mysql://u:***@127.0.0.1:1/db: connection refused…\n  hint: tables and queries are …",
        );
    }
    Ok(())
}

#[test]
fn a_database_file_that_cannot_be_used_is_named_with_the_reason() -> Tested {
    // Row 54.
    let site = Site::with(&[
        ("net.lua", TABLE),
        ("text.db", "this is no database, but a text"),
    ])?;
    fs::create_dir(site.path("dir"))?;
    fs::create_dir(site.path("kept"))?;
    let run = |path: &str| site.call(&["run", "net.lua", "--db", &format!("sqlite:{path}")]);
    run("no/such.db")?.expect(
        73,
        "",
        "tributary: database \"no/such.db\": cannot create it\n  hint: there is no directory \"no\"",
    );
    run("dir")?.expect(74, "", "tributary: database \"dir\": it is a directory");
    run("text.db")?.expect(
        74,
        "",
        "tributary: database \"text.db\": file is not a database",
    );
    fs::set_permissions(site.path("text.db"), fs::Permissions::from_mode(0o000))?;
    fs::set_permissions(site.path("kept"), fs::Permissions::from_mode(0o555))?;
    // The superuser may do everything.
    if fs::read(site.path("text.db")).is_err() {
        for path in ["text.db", "kept/new.db"] {
            assert_eq!(run(path)?.code, Some(77), "{}", run(path)?.stderr);
        }
    }
    Ok(())
}

#[test]
fn a_database_that_another_process_has_locked_is_waited_for_and_then_named() -> Tested {
    let site = Site::with(&[("net.lua", TABLE)])?;
    let args = ["run", "net.lua", "--db", "sqlite:t.db"];
    site.feed(&args, "{\"at\":1}\n")?
        .expect(0, "{\"at\":1}", "");
    let other = rusqlite::Connection::open(site.path("t.db"))?;
    let rows = "select count(*), max(at) from t";
    let rows = || {
        other.query_row(rows, [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })
    };
    assert_eq!(rows()?, (1, 1), "rows outlive the process");
    other.execute_batch("begin exclusive")?;
    // A lock that goes away in time is only waited for.
    let mut running = site.start(&args)?;
    running.send("{\"at\":2}\n")?;
    drop(running.stdin.take());
    // It waits for the lock meanwhile.
    std::thread::sleep(std::time::Duration::from_secs(1));
    other.execute_batch("rollback")?;
    running.wait()?.expect(0, "{\"at\":2}", "");
    assert_eq!(rows()?, (2, 2));
    // One that stays is named.
    let fresh = rusqlite::Connection::open(site.path("fresh.db"))?;
    fresh.execute_batch("create table x(y); begin exclusive")?;
    let done = site.call(&["run", "net.lua", "--db", "sqlite:fresh.db"])?;
    done.expect(
        69,
        "",
        "tributary: …database \"fresh.db\": database is locked\n  hint: another process holds it",
    );
    Ok(())
}

#[test]
fn a_row_that_does_not_fit_is_that_events_error() -> Tested {
    let site = Site::with(&[("net.lua", TABLE)])?;
    let lines = "{\"at\":1}\n{\"at\":\"noon\"}\n[]\n{\"at\":2}\n";
    let done = site.feed(&["run", "net.lua"], lines)?;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), "{\"at\":1}\n{\"at\":2}\n")
    );
    assert!(
        done.stderr.contains("node stored: event rejected: "),
        "{}",
        done.stderr
    );
    Ok(())
}

const ENDLESS: &str = "\
local tb = require('tributary')
tb.create_table('t', {columns = {n = 'integer'}})
tb.create_stdin('in')
tb.query_window('asked', [[
    with recursive r(i) as (select 1 union all select i + 1 from r where i < :n) select i from r]])
tb.create_stdout('out')
tb.chain('in', 'asked', 'out')
";

#[test]
fn queries_are_limited_on_the_command_line() -> Tested {
    let site = Site::with(&[("net.lua", ENDLESS)])?;
    let run = |option: &str, value: &str, n: &str| {
        let args = ["run", "net.lua", option, value];
        site.feed(&args, &format!("{{\"n\":{n}}}\n{{\"n\":1}}\n"))
    };
    let done = run("--query-rows", "5", "6")?;
    done.expect(0, "{\"i\":1}", "…the answer has more than 5 rows…\n…node asked: 1 rejected (the answer has more than 5 rows)");
    let done = run("--query-time", "1ms", "90000")?;
    done.expect(0, "{\"i\":1}", "…the query was given up after 1ms…\n…node asked: 1 rejected (the query was given up after 1ms)");
    for (option, value, wanted) in [
        ("--query-rows", "0", "a whole number from 1 is expected"),
        ("--query-time", "0s", "it must be more than zero"),
        ("--query-time", "5", "did you mean \"5s\"?"),
    ] {
        let done = run(option, value, "1")?;
        assert_eq!(done.code, Some(2));
        assert!(done.stderr.contains(wanted), "{}", done.stderr);
    }
    Ok(())
}

#[test]
fn times_in_another_unit_are_refused_or_logged_once_with_the_unit() -> Tested {
    let window = "\
local tb = require('tributary')
tb.create_table('t', {columns = {at = 'KIND'}})
tb.create_stdin('in')
tb.window('w', 'w_out', {table = 't', query = 'select :window_start as s, count(*) as n from t',
                         time = 'at', size = '10s', slide = '10s', clock = 'event'})
tb.create_stdout('out')
tb.link('in', 'w')
tb.link('w_out', 'out')
";
    let kinds = ["integer", "real"].map(|kind| window.replace("KIND", kind));
    let site = Site::with(&[("integer.lua", &kinds[0]), ("real.lua", &kinds[1])])?;
    for script in ["integer.lua", "real.lua"] {
        for (zeros, unit, counted) in [
            ("000", "milliseconds", true),
            ("000000", "microseconds", false),
            ("000000000", "nanoseconds", false),
        ] {
            let lines = format!("{{\"at\":1790000512{zeros}}}\n").repeat(3);
            let done = site.feed(&["run", script], &lines)?;
            let message = format!("times are in unix seconds; this one would fit in {unit}");
            assert!(
                done.stderr.contains(&message),
                "{script} {unit}: {}",
                done.stderr
            );
            assert_eq!(
                done.stdout.contains("\"n\":3"),
                counted,
                "{script} {unit}: {}",
                done.stdout
            );
            if counted {
                assert_eq!(done.stderr.matches(&message).count(), 1, "{}", done.stderr);
                assert!(
                    done.stderr.contains("window w: t.at is 1790000512000 s"),
                    "{}",
                    done.stderr
                );
            }
        }
    }
    Ok(())
}
