//! Which conditions are bounds on time.

use super::*;

/// The bound of a condition of WHERE.
fn bound(dialect: Dialect, condition: &str) -> Result<Option<Bound>, Reason> {
    let sql = format!("select count(*) as n from example_bets b where {condition}");
    reading(dialect, &sql).bound
}

#[test]
fn a_bound_on_time_is_found_however_it_is_written() {
    for condition in [
        "from_unixtime(create_time) >= now() - interval 10 second",
        "now() - interval 10 second <= from_unixtime(b.create_time)",
        "from_unixtime(create_time) >= current_timestamp - interval '10' second",
        "from_unixtime(create_time) >= date_sub(now(), interval 10 second)",
        "from_unixtime(create_time) >= date_add(localtime, interval -10 second)",
        "date_add(from_unixtime(create_time), interval 10 second) >= now()",
        "from_unixtime(create_time + 10) >= utc_timestamp()",
        "create_time >= unix_timestamp() - 10",
        "(b.CREATE_TIME) >= (unix_timestamp() - 2 * 5)",
        "create_time + 10 >= unix_timestamp()",
        "unix_timestamp() - create_time <= 10",
        "create_time >= unix_timestamp(now() - interval 10 second)",
        "create_time >= unix_timestamp(now()) - 10",
        "create_time >= :now_unix - 10",
        "(stake > 5 and create_time >= :now_unix - 10) and odds < 2",
    ] {
        for dialect in BOTH {
            assert_eq!(
                bound(dialect, condition),
                Ok(Some(seconds(10))),
                "{condition}"
            );
        }
    }
    for condition in [
        "create_time >= strftime('%s', 'now') - 10",
        "create_time >= strftime('%s', 'now', '-10 seconds')",
        "create_time >= cast(strftime('%s', 'now') as integer) - 10",
        "create_time >= unixepoch() - 10",
        "create_time >= unixepoch('now', '-10 second')",
        "datetime(create_time, 'unixepoch') >= datetime('now', '-10 seconds')",
    ] {
        let bound = bound(SQLITE, condition);
        assert_eq!(bound, Ok(Some(seconds(10))), "{condition}");
    }
}

#[test]
fn a_bound_says_whether_it_is_strict_and_whether_seconds_are_whole() {
    for (condition, length, inclusive, whole_seconds) in [
        ("create_time > :now - 1.5", 1_500, false, false),
        ("create_time > :now_unix - 60", 60_000, false, true),
        (
            "from_unixtime(create_time) > now() - interval 2 minute",
            120_000,
            false,
            true,
        ),
        (
            "from_unixtime(create_time) >= now() - interval 1.5 second",
            1_500,
            true,
            true,
        ),
        (
            "from_unixtime(create_time) >= now() - interval 1 week",
            604_800_000,
            true,
            true,
        ),
    ] {
        let expected = Bound {
            length: Duration::from_millis(length),
            inclusive,
            whole_seconds,
        };
        assert_eq!(bound(SQLITE, condition), Ok(Some(expected)), "{condition}");
    }
}

#[test]
fn what_is_no_bound_is_left_where_it_is() {
    for condition in [
        "from_unixtime(create_time) >= now() - interval 1 month",
        "create_time >= :now + 10",
        "create_time between :now - 10 and :now",
        "create_time >= :now - 10 or stake > 5",
        "from_unixtime(create_time) >= :now",
        "create_time >= :now - 10 and create_time > :now - 20",
        "create_time + 0 >= strftime('%s', 'now')",
    ] {
        assert!(bound(SQLITE, condition).is_err(), "{condition}");
        let sql = format!("select count(*) as n from example_bets where {condition}");
        assert!(reading(SQLITE, &sql).incremental.is_err(), "{condition}");
    }
    assert_eq!(bound(SQLITE, "create_time <= :now - 5"), Ok(None));
    assert_eq!(bound(SQLITE, "stake > 5"), Ok(None));
    let sql = "select count(*) as n from example_bets where create_time <= :now - 5";
    assert!(reading(SQLITE, sql).clock);
}
