//! What is read of queries: a table of what is understood, and one of what is refused and why.

mod answers;
mod bounds;
mod refusals;

use super::*;
use crate::store::{MYSQL, SQLITE};

/// The tables of the advanced example.
fn bets() -> Table {
    let selections = Table::new("example_selections")
        .text("bet_uuid")
        .integer("game_id")
        .text("market")
        .real("odds");
    Table::new("example_bets")
        .text("uuid")
        .integer("create_time")
        .text("customer_uuid")
        .real("stake")
        .text("currency")
        .real("exchange_rate")
        .real("odds")
        .key("uuid")
        .child("selections", selections, &[("bet_uuid", "uuid")])
}

const BOTH: [Dialect; 2] = [SQLITE, MYSQL];

/// The query of the README that the project grew from.
const LIABILITY: &str = "select
	round(sum(stake*exchange_rate*(b.odds -1)), 2) as liability,
	customer_uuid,
	game_id
from
	example_bets b
join example_selections s on
	b.uuid = s.bet_uuid
where
	FROM_UNIXTIME(b.create_time) >= now() - interval 10 second
group by
	customer_uuid,
	game_id
having
	liability > 130";

fn reading(dialect: Dialect, sql: &str) -> Analysis {
    read(dialect, sql, &bets(), Some("create_time")).unwrap()
}

fn item(table: &Table, depth: usize, name: &str) -> RowValue {
    let (index, column) = table.find(name).unwrap();
    let kind = column.kind;
    RowValue::Column(Column { depth, index, kind })
}

fn seconds(length: u64) -> Bound {
    Bound {
        length: Duration::from_secs(length),
        inclusive: true,
        whole_seconds: true,
    }
}

#[test]
fn the_liability_query_is_kept_from_event_to_event() {
    for dialect in BOTH {
        let read = reading(dialect, LIABILITY);
        assert_eq!(read.whole.sliding.sql, LIABILITY);
        assert!(!read.whole.sliding.changed && read.whole.bounded.changed);
        assert_eq!(read.bound, Ok(Some(seconds(10))));
        assert!(!read.clock);
        let grouped = read.grouped.unwrap();
        let table = bets();
        assert_eq!(grouped.chain, ["example_selections"]);
        assert_eq!(
            grouped.keys,
            [
                item(&table, 0, "customer_uuid"),
                item(&table.children()[0].table, 1, "game_id")
            ]
        );
        assert!(grouped.filter.is_empty() && grouped.computed.is_empty() && !grouped.foreign);
        assert_eq!(grouped.key_columns, [Some(1), Some(2)]);
        let columns = vec!["customer_uuid".to_owned(), "create_time".to_owned()];
        assert_eq!(grouped.index, [("example_bets".to_owned(), columns)]);
        let incremental = read.incremental.unwrap();
        let [aggregate] = incremental.aggregates.as_slice() else {
            panic!("one sum: {:?}", incremental.aggregates);
        };
        assert_eq!(aggregate.function, AggregateFunction::Sum);
        assert_eq!(aggregate.kind, ArgumentType::Real);
        let [computed] = incremental.computed.as_slice() else {
            panic!("one SELECT: {:?}", incremental.computed);
        };
        assert_eq!(
            (computed.depth, computed.inputs.len(), computed.outputs),
            (0, 3, 1)
        );
        assert_eq!(
            incremental.outputs,
            [
                OutputColumn::Computed(0),
                OutputColumn::Key(0),
                OutputColumn::Key(1)
            ]
        );
        assert_eq!(incremental.group.unwrap().outputs, 1);
        assert!(incremental.order.is_empty());
        assert!(incremental.load.time);
        assert_eq!((incremental.load.ids, incremental.load.items.len()), (1, 3));
        assert!(!incremental.load.sql.to_lowercase().contains("now"));
        assert!(!incremental.live.contains("selections"));
    }
}

#[test]
fn the_texts_of_the_liability_query() {
    let read = reading(SQLITE, LIABILITY);
    let keyed = read.grouped.unwrap().keyed.bounded.sql;
    assert_eq!(
        keyed,
        "SELECT round(sum(stake * exchange_rate * (b.odds - 1)), 2) AS liability, customer_uuid, \
         game_id, b.\"customer_uuid\" AS tributary_key_0, s.\"game_id\" AS tributary_key_1 \
         FROM example_bets b JOIN example_selections s ON b.uuid = s.bet_uuid \
         WHERE (b.\"customer_uuid\" IS NOT DISTINCT FROM :tributary_key_0) \
         AND (s.\"game_id\" IS NOT DISTINCT FROM :tributary_key_1) \
         AND b.\"create_time\" >= :window_start AND b.\"create_time\" < :window_end \
         GROUP BY customer_uuid, game_id HAVING liability > 130"
    );
    let incremental = read.incremental.unwrap();
    assert_eq!(
        incremental.group.unwrap().sql,
        "SELECT round((+CAST(?1 AS REAL)), 2) AS tributary_0 \
         WHERE round((+CAST(?1 AS REAL)), 2) > 130"
    );
    let read = reading(MYSQL, LIABILITY);
    assert_eq!(
        read.incremental.unwrap().computed[0].sql,
        "SELECT CAST(? AS DOUBLE) * CAST(? AS DOUBLE) * (CAST(? AS DOUBLE) - 1) AS tributary_0"
    );
    let keyed = read.grouped.unwrap().keyed.sliding.sql;
    assert!(
        keyed.contains("AND b.`customer_uuid` <=> :tributary_key_0 AND"),
        "{keyed}"
    );
}

#[test]
fn a_minus_before_a_bound_value_is_a_difference_on_mysql() {
    let sql = "select -create_time * 2 as k, sum(-(-create_time)) as s, max(-stake) as m, \
               -count(*) as n from example_bets group by -create_time * 2";
    let texts = |dialect| {
        let kept = reading(dialect, sql).incremental.unwrap();
        (kept.computed[0].sql.clone(), kept.group.unwrap().sql)
    };
    let (row, group) = texts(MYSQL);
    let time = "CAST(? AS SIGNED)";
    assert_eq!(
        row,
        format!(
            "SELECT (0 - {time}) * 2 AS tributary_0, (0 - (0 - {time})) AS tributary_1, \
             -CAST(? AS DOUBLE) AS tributary_2"
        )
    );
    assert!(
        group.contains(&format!("(0 - {time}) AS tributary_2")),
        "{group}"
    );
    let (row, group) = texts(SQLITE);
    assert!(
        !row.contains("0 -") && !group.contains("0 -"),
        "{row} {group}"
    );
}

#[test]
fn the_extent_is_a_condition_where_the_table_stands_in_from() {
    let texts = |sql: &str| {
        let whole = reading(SQLITE, sql).whole;
        (whole.sliding.sql, whole.bounded.sql)
    };
    let (sliding, bounded) = texts("select * from example_bets where stake > 1 or odds > 1");
    let rest = "WHERE (stake > 1 OR odds > 1) AND example_bets.\"create_time\" >= :window_start";
    assert_eq!(sliding, format!("SELECT * FROM example_bets {rest}"));
    assert!(
        bounded.ends_with("AND example_bets.\"create_time\" < :window_end"),
        "{bounded}"
    );

    let own = "select count(*) as n, :window_end as at from example_bets \
               where create_time >= :window_start and :window_end > create_time";
    assert_eq!(texts(own), (own.to_owned(), own.to_owned()));
    let read = reading(SQLITE, own);
    assert_eq!(
        read.incremental.unwrap().group.unwrap().params,
        [GroupParam::WindowEnd]
    );
    assert_eq!(read.bound, Ok(None));

    let sql = "select 1 as n from example_bets";
    let plain = super::read(SQLITE, sql, &bets(), None).unwrap().whole;
    assert!(!plain.sliding.changed && !plain.bounded.changed);
}

#[test]
fn the_extent_is_a_subquery_where_the_table_stands_elsewhere() {
    let rows = "(SELECT * FROM \"example_bets\" WHERE \"create_time\" >= :window_start)";
    for (sql, sliding) in [
        (
            "select stake from example_bets union select odds from Example_Bets as x",
            format!("SELECT stake FROM {rows} AS example_bets UNION SELECT odds FROM {rows} AS x"),
        ),
        (
            "select count(*) as n from (select * from example_bets b) t",
            format!("SELECT count(*) AS n FROM (SELECT * FROM {rows} b) t"),
        ),
        (
            "select 1 as n from example_selections s left join example_bets b on b.uuid = s.bet_uuid",
            format!(
                "SELECT 1 AS n FROM example_selections s LEFT JOIN {rows} b ON b.uuid = s.bet_uuid"
            ),
        ),
    ] {
        let whole = reading(SQLITE, sql).whole;
        assert_eq!(whole.sliding.sql, sliding);
        assert!(
            whole
                .bounded
                .sql
                .contains("\"create_time\" < :window_end) ")
        );
    }
    // A table that no partner can leave out.
    let sql =
        "select 1 as n from example_bets b left join example_selections s on b.uuid = s.bet_uuid";
    let whole = reading(SQLITE, sql).whole;
    assert!(
        whole
            .sliding
            .sql
            .ends_with("WHERE b.\"create_time\" >= :window_start")
    );
}

#[test]
fn keys_are_found_by_column_alias_expression_and_place() {
    let keys = |sql: &str| {
        let grouped = reading(SQLITE, sql).grouped.unwrap();
        (grouped.keys, grouped.key_columns)
    };
    let currency = item(&bets(), 0, "currency");
    for sql in [
        "select currency, count(*) as n from example_bets group by currency",
        "select currency as c, count(*) as n from example_bets group by C",
        "select \"currency\" as c, count(*) as n from example_bets x group by x.Currency",
        "select currency, count(*) as n from example_bets group by 1",
    ] {
        assert_eq!(keys(sql), (vec![currency], vec![Some(0)]), "{sql}");
    }
    let computed = RowValue::Computed {
        computed: 0,
        output: 0,
    };
    for sql in [
        "select count(*) as n, LOWER(currency) as c from example_bets group by c",
        "select count(*) as n, (lower(b.currency)) as c from example_bets b group by lower(currency)",
    ] {
        assert_eq!(keys(sql), (vec![computed], vec![Some(1)]), "{sql}");
    }
    let none = "select count(*) as n from example_bets group by currency";
    assert_eq!(keys(none), (vec![currency], vec![None]));
    let whole = "select count(*) as n from example_bets";
    assert_eq!(keys(whole), (vec![], vec![]));
}

#[test]
fn a_chain_is_joined_by_on_by_using_or_by_where() {
    let table = Table::new("a").integer("id").integer("t").key("id").child(
        "bs",
        Table::new("b")
            .integer("id")
            .integer("no")
            .integer("x")
            .key("id")
            .key("no")
            .child(
                "cs",
                Table::new("c").integer("id").integer("no").real("y"),
                &[("id", "id"), ("no", "no")],
            ),
        &[("id", "id")],
    );
    for from in [
        "a join b on a.id = b.id join c on c.id = b.id and c.no = b.no",
        "a join b using (id) join c using (id, no)",
        "c, b, a where c.no = b.no and b.id = a.id and b.id = c.id",
        "a cross join b inner join c on b.no = c.no and b.id = c.id where (a.id = b.id)",
    ] {
        let sql = format!("select x, sum(y) as s from {from} group by x");
        let read = read(SQLITE, &sql, &table, Some("t")).unwrap();
        if from.contains("using (id, no)") {
            // Which of two tables the name is of is not clear.
            assert!(read.grouped.is_err())
        } else {
            let grouped = read.grouped.unwrap();
            assert_eq!(grouped.chain, ["b", "c"]);
            assert!(grouped.filter.is_empty());
            assert!(read.incremental.is_ok());
        }
    }
}

#[test]
fn aggregates_are_kept_once_with_the_type_of_what_they_take() {
    let aggregates = |dialect, select: &str| {
        let sql = format!("select {select} from example_bets where create_time >= :window_start");
        let incremental = reading(dialect, &sql).incremental.unwrap();
        let aggregates = incremental.aggregates.iter().map(|a| (a.function, a.kind));
        (aggregates.collect::<Vec<_>>(), incremental.outputs)
    };
    let (kept, outputs) = aggregates(
        SQLITE,
        "count(*) as n, COUNT(currency) as c, sum(stake) as s, sum(stake) / count(*) as m, \
         avg(create_time) as a, min(currency) as l, count(distinct odds) as d",
    );
    assert_eq!(
        kept,
        [
            (AggregateFunction::Count, ArgumentType::Other),
            (AggregateFunction::Count, ArgumentType::Other),
            (AggregateFunction::Sum, ArgumentType::Real),
            (AggregateFunction::Avg, ArgumentType::Integer),
            (AggregateFunction::Min, ArgumentType::Other),
            (AggregateFunction::CountDistinct, ArgumentType::Real),
        ]
    );
    assert_eq!(
        outputs[..2],
        [OutputColumn::Count(0), OutputColumn::Count(1)]
    );
    assert_eq!(outputs[6], OutputColumn::Count(5));
    // An average of whole numbers is a quotient on MySQL.
    let (kept, _) = aggregates(MYSQL, "avg(create_time) as a");
    assert_eq!(
        kept,
        [
            (AggregateFunction::Sum, ArgumentType::Integer),
            (AggregateFunction::Count, ArgumentType::Other)
        ]
    );
    let counted =
        "select currency, count(*) as n from example_bets group by currency order by n desc";
    let incremental = reading(MYSQL, counted).incremental.unwrap();
    assert_eq!(incremental.group, None);
    let by = OutputColumn::Count(0);
    assert_eq!(
        incremental.order,
        [SortTerm {
            by,
            descending: true
        }]
    );
}

#[test]
fn what_is_no_single_select_is_an_error() {
    for sql in [
        "delete from example_bets",
        "select 1; select 2",
        "select 1 from example_bets for update",
    ] {
        let error = read(SQLITE, sql, &bets(), None).unwrap_err();
        assert!(error.to_string().contains("one SELECT"), "{sql}: {error}");
    }
    let shadow = "with example_bets as (select 1 as n) select n from example_bets";
    let error = read(SQLITE, shadow, &bets(), None).unwrap_err();
    assert!(error.to_string().contains("a subquery of WITH"), "{error}");
}
