//! Each refusal with its reason.

use super::*;

/// Why a query cannot be answered by group.
fn ungrouped(sql: &str) -> Reason {
    let read = reading(SQLITE, sql);
    assert!(read.incremental.is_err(), "{sql}");
    read.grouped.expect_err(sql)
}

/// Why a query that can be answered by group cannot be kept.
fn unkept(dialect: Dialect, sql: &str) -> Reason {
    let read = reading(dialect, sql);
    read.grouped.expect(sql);
    read.incremental.expect_err(sql)
}

#[test]
fn what_has_no_groups_is_told_why() {
    let join = "example_bets b join example_selections s on b.uuid = s.bet_uuid";
    for (sql, why) in [
        ("select uuid from example_bets".to_owned(), "no groups"),
        ("select count(*) as n from other".to_owned(), "FROM does not name the window's table"),
        (format!("select count(*) as n from {}", join.replace("join", "left join")), "left join: outer joins are not supported"),
        (format!("select count(*) as n from {}", join.replace("join", "natural join").replace(" on b.uuid = s.bet_uuid", "")), "natural join"),
        ("select count(*) as n from example_bets b join example_selections s on b.odds = s.odds".to_owned(), "not joined by its declared link (example_selections.bet_uuid = example_bets.uuid)"),
        ("select count(*) as n from example_bets a join example_bets b on a.uuid = b.uuid".to_owned(), "joined with itself"),
        ("select distinct currency, count(*) as n from example_bets group by currency".to_owned(), "distinct"),
        ("select currency, count(*) as n from example_bets group by currency limit 3".to_owned(), "limit"),
        ("select count(*) as n from example_bets union select 1".to_owned(), "union"),
        ("with x as (select 1 as y) select count(*) as n from example_bets".to_owned(), "with"),
        ("select count(*) as n from example_bets where stake > (select avg(stake) from example_bets)".to_owned(), "subquery"),
        ("select count(*) as n from (select * from example_bets) t".to_owned(), "subquery"),
        ("select sum(stake) over (order by create_time) as s from example_bets".to_owned(), "sum() over a window"),
        ("select currency, random() as r from example_bets group by currency".to_owned(), "random() is not known to be deterministic"),
        ("select group_concat(currency) as r from example_bets".to_owned(), "group_concat() is not known"),
        ("select currency as stake, count(*) as n from example_bets group by stake".to_owned(), "ambiguous"),
        ("select count(*) as n from example_bets b, rates r group by r.name".to_owned(), "not a declared column"),
        ("select count(*) as n from example_bets group by create_time > :now".to_owned(), "clock"),
        ("select count(*) as n from example_bets group by currency = :currency".to_owned(), "a field of the event"),
        ("select count(*) as n from example_bets where stake = :tributary_c0_1".to_owned(), "has a reserved prefix"),
    ] {
        let reason = ungrouped(&sql);
        assert!(reason.contains(why), "{sql}: {reason}");
    }
}

#[test]
fn a_group_that_cannot_be_kept_is_told_why() {
    let from = "from example_bets";
    for (sql, why) in [
        (
            format!("select currency, stake {from} group by currency"),
            "neither a key nor within an aggregate",
        ),
        (
            format!("select count(*) as n, now() as at {from}"),
            "a clock outside of the bound on time",
        ),
        (
            format!("select count(*) as n {from} where create_time <= unix_timestamp()"),
            "a clock outside of the bound on time",
        ),
        (
            format!("select count(*) as n {from} where currency = :currency"),
            "a field of the event",
        ),
        (
            format!("select sum(distinct stake) as n {from}"),
            "sum(distinct)",
        ),
        (
            format!("select count(*) filter (where stake > 1) as n {from}"),
            "FILTER is not supported",
        ),
        (
            format!("select total(stake) as n {from}"),
            "total() has no running state",
        ),
        (format!("select sum(currency) as n {from}"), "it is text"),
        (
            format!("select sum(coalesce(stake, 0)) as n {from}"),
            "write 0.0 for 0",
        ),
        (
            format!("select * , count(*) as n {from} group by currency"),
            "*: the query does not list its columns",
        ),
        (
            format!("select sum(stake) as stake {from} group by currency having stake > 5"),
            "ambiguous",
        ),
        (
            format!("select count(*) as n {from} b join rates r on r.name = b.currency"),
            "\"rates\" is not one of the window",
        ),
        (
            format!("select count(*) as n {from} group by coalesce(stake, 0)"),
            "both integers and reals",
        ),
        (
            format!(
                "select currency, count(*) as n {from} group by currency order by n nulls last"
            ),
            "order by: NULL",
        ),
        (
            format!("select count(*) as n {from} where strange > 1"),
            "\"strange\" is not a declared column",
        ),
    ] {
        let reason = unkept(SQLITE, &sql);
        assert!(reason.contains(why), "{sql}: {reason}");
    }
    for (sql, why) in [
        (
            format!("select sum(create_time * 1.5) as n {from}"),
            "it is a decimal",
        ),
        (
            format!("select count(*) as n {from} group by create_time / 60"),
            "it is a decimal",
        ),
        (
            format!("select count(*) as n {from} group by date(from_unixtime(create_time))"),
            "its type is not known",
        ),
        (
            format!("select max(round(create_time, -1)) as n {from}"),
            "it is a decimal",
        ),
        (
            format!("select max(-(1 - 5)) as n {from}"),
            "its type is not known",
        ),
        (
            format!("select -mod(create_time, 2) as n {from} group by create_time"),
            "an expression after a minus",
        ),
    ] {
        let reason = unkept(MYSQL, &sql);
        assert!(reason.contains(why), "{sql}: {reason}");
    }
}

#[test]
fn a_foreign_table_may_be_joined_to_groups() {
    let sql = "select currency, count(*) as n from example_bets b join rates r on r.name = b.currency \
               where r.rate > 1 and stake > 10 group by currency";
    let grouped = reading(SQLITE, sql).grouped.unwrap();
    assert!(grouped.foreign);
    // What looks at the other table is let through.
    assert_eq!((grouped.filter.len(), grouped.computed.len()), (1, 1));
    assert_eq!(grouped.computed[0].inputs.len(), 1);
}

#[test]
fn what_the_parser_does_not_know_runs_as_it_is() {
    let sql = "select count(*) as n from example_bets b where b.stake is 5";
    let read = reading(SQLITE, sql);
    assert_eq!(read.whole.bounded.sql, sql);
    let reason = read.grouped.unwrap_err();
    assert!(
        reason.starts_with("the SQL parser does not support this query: "),
        "{reason}"
    );
}
