//! The statements that are made give the same answer as the query itself: state kept by hand, and
//! SQLite asked for each row and each group.

use super::*;
use crate::store::{Database, Params, Store};
use crate::time::Timestamp;
use serde_json::{Map, Value, json};

const START: i64 = 1_700_000_000;

/// A database with events in it, and the events.
struct Bench {
    db: Database,
    store: Box<dyn Store>,
    events: Vec<Map<String, Value>>,
}

impl Bench {
    fn new() -> Self {
        let db = Database::open("sqlite::memory:").unwrap();
        db.declare(bets()).unwrap();
        let mut store = db.connect().unwrap();
        let events: Vec<_> = (0..60).map(event).collect();
        for event in &events {
            store.insert(&bets(), event).unwrap();
        }
        Bench { db, store, events }
    }

    /// Asks a query in which these texts are replaced.
    fn ask(&mut self, sql: &str, params: &[(String, Value)]) -> Vec<Vec<Value>> {
        let mut sql = sql.to_owned();
        // The longest names first, since ?1 begins as ?10 does.
        for (name, value) in params.iter().rev() {
            sql = sql.replace(name, &literal(value));
        }
        let query = self.db.prepare(&sql).unwrap();
        let params = Params {
            now: Timestamp::from_secs(START + 30),
            event: None,
        };
        let rows = self.store.query(&query, &params).unwrap();
        let values = |row: Map<String, Value>| row.into_iter().map(|(_, value)| value).collect();
        rows.into_iter().map(values).collect()
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        number => number.to_string(),
    }
}

/// An event made of its number, with values missing here and there.
fn event(number: i64) -> Map<String, Value> {
    let mixed = number * 7_919 % 101;
    let stake = (mixed % 9 != 0).then_some(mixed as f64 * 1.25);
    let currency = ["EUR", "eur", "USD", "GBP"].get(mixed as usize % 5);
    let selections: Vec<Value> = (0..mixed % 4)
        .map(
            |at| json!({"game_id": (mixed + at) % 3, "market": "m", "odds": 1.0 + at as f64 * 0.5}),
        )
        .collect();
    let event = json!({
        "uuid": format!("u{number}"), "create_time": START + number / 2,
        "customer_uuid": format!("c{}", mixed % 7), "stake": stake, "currency": currency,
        "exchange_rate": 0.5 + (mixed % 3) as f64, "odds": 1.0 + (mixed % 4) as f64 * 0.25,
        "selections": selections,
    });
    event.as_object().unwrap().clone()
}

/// The joined rows of an event: for each, the values of its tables.
fn rows(table: &Table, chain: usize, event: &Map<String, Value>) -> Vec<Vec<Vec<Value>>> {
    let values = |table: &Table, object: &Map<String, Value>| {
        let columns = table.columns().iter();
        let value = |name: &str| object.get(name).cloned().unwrap_or_default();
        columns.map(|c| value(&c.name)).collect::<Vec<_>>()
    };
    let own = values(table, event);
    if chain == 0 {
        return vec![vec![own]];
    }
    let child = &table.children()[0];
    let items = event[&child.field].as_array().unwrap();
    let mut joined = Vec::new();
    for item in items {
        let mut object = item.as_object().unwrap().clone();
        for (theirs, ours) in &child.parent {
            object.insert(theirs.clone(), event[ours].clone());
        }
        joined.push(vec![own.clone(), values(&child.table, &object)]);
    }
    joined
}

#[derive(Default)]
struct Group {
    keys: Vec<Value>,
    /// The values that each aggregate has seen.
    seen: Vec<Vec<Value>>,
}

fn aggregate(kept: &Aggregate, seen: &[Value]) -> Value {
    let values: Vec<&Value> = seen.iter().filter(|value| !value.is_null()).collect();
    let reals = || values.iter().filter_map(|value| value.as_f64());
    let sum = || match kept.kind {
        ArgumentType::Integer => json!(values.iter().filter_map(|v| v.as_i64()).sum::<i64>()),
        _ => json!(reals().sum::<f64>()),
    };
    let least = |greatest: bool| {
        let mut values = values.clone();
        values.sort_by(|a, b| match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => a.as_str().cmp(&b.as_str()),
        });
        let found = if greatest {
            values.last()
        } else {
            values.first()
        };
        found.map_or(Value::Null, |value| (*value).clone())
    };
    match kept.function {
        AggregateFunction::Count => json!(values.len()),
        AggregateFunction::CountDistinct => {
            let mut texts: Vec<String> = values.iter().map(|value| value.to_string()).collect();
            texts.sort();
            texts.dedup();
            json!(texts.len())
        }
        _ if values.is_empty() => Value::Null,
        AggregateFunction::Sum => sum(),
        AggregateFunction::Avg => json!(reals().sum::<f64>() / values.len() as f64),
        AggregateFunction::Min => least(false),
        AggregateFunction::Max => least(true),
    }
}

impl Bench {
    /// The values that the statements compute from a row.
    fn computed(&mut self, list: &[RowSql], row: &[Vec<Value>]) -> Vec<Vec<Value>> {
        list.iter()
            .map(|computed| {
                assert!(computed.depth < row.len());
                let value = |c: &Column| row[c.depth][c.index].clone();
                let inputs: Vec<Value> = computed.inputs.iter().map(value).collect();
                let row = self.ask(&computed.sql, &numbered(&inputs)).remove(0);
                assert_eq!(row.len(), computed.outputs);
                row
            })
            .collect()
    }

    /// The answer as it is kept from event to event, and as the query gives it.
    fn answers(&mut self, sql: &str) -> (Vec<Vec<Value>>, Vec<Vec<Value>>) {
        let table = bets();
        let read = reading(SQLITE, sql);
        let (grouped, kept) = (read.grouped.unwrap(), read.incremental.unwrap());
        assert_eq!(
            grouped.computed.len().min(kept.computed.len()),
            grouped.computed.len()
        );
        let mut groups: Vec<Group> = Vec::new();
        if grouped.keys.is_empty() {
            let seen = vec![Vec::new(); kept.aggregates.len()];
            let keys = Vec::new();
            groups.push(Group { keys, seen });
        }
        let mut loaded = Vec::new();
        for event in self.events.clone() {
            let time = event["create_time"].as_i64().unwrap();
            for row in rows(&table, grouped.chain.len(), &event) {
                let computed = self.computed(&kept.computed, &row);
                let value = |item: &RowValue| match item {
                    RowValue::Column(column) => row[column.depth][column.index].clone(),
                    RowValue::Computed {
                        computed: at,
                        output,
                    } => computed[*at][*output].clone(),
                };
                if !grouped.filter.iter().all(|item| value(item) == json!(1)) {
                    continue;
                }
                let ids = [json!(time), event["uuid"].clone()];
                loaded.push(
                    ids.into_iter()
                        .chain(kept.load.items.iter().map(value))
                        .collect(),
                );
                if let Ok(Some(bound)) = read.bound
                    && time < START + 30 - bound.length.as_secs() as i64
                {
                    continue;
                }
                let keys: Vec<Value> = grouped.keys.iter().map(value).collect();
                let at = match groups.iter().position(|group| group.keys == keys) {
                    Some(at) => at,
                    None => {
                        let seen = vec![Vec::new(); kept.aggregates.len()];
                        groups.push(Group { keys, seen });
                        groups.len() - 1
                    }
                };
                for (seen, aggregate) in groups[at].seen.iter_mut().zip(&kept.aggregates) {
                    seen.push(aggregate.arg.as_ref().map_or(json!(1), value));
                }
            }
        }
        let mut from_table: Vec<Vec<Value>> = self.ask(&kept.load.sql, &[]);
        sorted(&mut from_table);
        sorted(&mut loaded);
        assert_eq!(from_table, loaded, "{}", kept.load.sql);
        assert_eq!(self.ask(&kept.live, &[]).len(), self.events.len());

        let mut answer = Vec::new();
        for group in groups {
            answer.extend(self.shown(&kept, &group));
        }
        for order in kept.order.iter().rev() {
            answer.sort_by(|(_, a), (_, b)| {
                let ordering = compare(&a[order_place(order)], &b[order_place(order)]);
                if order.descending {
                    ordering.reverse()
                } else {
                    ordering
                }
            });
        }
        let mut answer: Vec<Vec<Value>> = answer.into_iter().map(|(row, _)| row).collect();
        let mut expected = self.ask(sql, &[]);
        if kept.order.is_empty() {
            sorted(&mut answer);
            sorted(&mut expected);
        }
        self.check_keyed(&grouped, &expected);
        (answer, expected)
    }

    /// A group's row of the answer, if HAVING lets it through, and all that it is sorted by.
    fn shown(
        &mut self,
        kept: &IncrementalQuery,
        group: &Group,
    ) -> Option<(Vec<Value>, Vec<Value>)> {
        let seen = kept.aggregates.iter().zip(&group.seen);
        let state: Vec<Value> = seen.map(|(kept, seen)| aggregate(kept, seen)).collect();
        let mut computed = Vec::new();
        if let Some(sql) = &kept.group {
            let value = |param: &GroupParam| match param {
                GroupParam::Key(at) => group.keys[*at].clone(),
                GroupParam::Aggregate(at) => state[*at].clone(),
                GroupParam::WindowStart | GroupParam::WindowEnd => json!(0),
            };
            let params: Vec<Value> = sql.params.iter().map(value).collect();
            computed = self.ask(&sql.sql, &numbered(&params)).into_iter().next()?;
        }
        let value = |output: &OutputColumn| match output {
            OutputColumn::Key(at) => group.keys[*at].clone(),
            OutputColumn::Count(at) => state[*at].clone(),
            OutputColumn::Computed(at) => computed[*at].clone(),
        };
        let row = kept.outputs.iter().map(value).collect();
        // All that a term of ORDER BY can be, in the order that `order_place` knows.
        let places = [&group.keys, &state, &computed];
        let mut all = vec![Value::Null; 96];
        for (part, values) in places.into_iter().enumerate() {
            for (at, value) in values.iter().enumerate() {
                all[part * 32 + at] = value.clone();
            }
        }
        Some((row, all))
    }

    /// Asking for one group after the other gives the whole answer.
    fn check_keyed(&mut self, grouped: &GroupedQuery, expected: &[Vec<Value>]) {
        let whole = self.ask(&grouped.whole.sliding.sql, &extent());
        let mut rows = Vec::new();
        for row in &whole {
            let keys = &row[row.len() - grouped.keys.len()..];
            for (key, place) in keys.iter().zip(&grouped.key_columns) {
                assert!(place.is_none_or(|at| row[at] == *key));
            }
            let names = (0..).map(|at| format!(":{KEY}{at}"));
            let mut params = extent();
            params.extend(names.zip(keys.iter().cloned()));
            let found = self.ask(&grouped.keyed.sliding.sql, &params);
            assert_eq!(found, std::slice::from_ref(row));
            let bounded = self.ask(&grouped.keyed.bounded.sql, &params);
            assert_eq!(bounded.len(), 1);
            rows.push(row[..row.len() - grouped.keys.len()].to_vec());
        }
        let mut expected = expected.to_vec();
        sorted(&mut expected);
        sorted(&mut rows);
        assert_eq!(rows, expected);
    }
}

fn extent() -> Vec<(String, Value)> {
    let named = |name: &str, value: i64| (format!(":{name}"), json!(value));
    vec![
        named(WINDOW_START, START - 1_000),
        named(WINDOW_END, START + 1_000),
    ]
}

fn numbered(values: &[Value]) -> Vec<(String, Value)> {
    let names = (1..).map(|number| format!("?{number}"));
    names.zip(values.iter().cloned()).collect()
}

fn order_place(order: &SortTerm) -> usize {
    match order.by {
        OutputColumn::Key(at) => at,
        OutputColumn::Count(at) => 32 + at,
        OutputColumn::Computed(at) => 64 + at,
    }
}

fn compare(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().unwrap().total_cmp(&b.as_f64().unwrap()),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (a, b) => b.is_null().cmp(&a.is_null()),
    }
}

fn sorted(rows: &mut [Vec<Value>]) {
    rows.sort_by_key(|row| Value::from(row.clone()).to_string());
}

#[test]
fn state_kept_by_hand_gives_the_answer_of_the_query() {
    let mut bench = Bench::new();
    for sql in [
        LIABILITY,
        "select currency, count(*) as n, sum(stake) as total, avg(stake), min(odds), max(odds) \
         from example_bets where stake > 10 group by currency order by total desc, currency",
        "select count(*) as n, sum(game_id) as s, avg(game_id) as a \
         from example_bets b, example_selections s where s.bet_uuid = b.uuid \
         and (s.odds > 1 or b.odds < 1.5) having count(*) > 0",
        "select lower(currency) as c, count(distinct customer_uuid) as people, \
         sum(case when stake > 50 then stake else 0.0 end) as big from example_bets \
         group by 1 having people > 1 and big > 3 order by c desc",
        "select create_time / 10 as slot, count(*) as n, count(currency) as known, \
         sum(stake) is null as missing from example_bets group by slot order by -slot",
        "select customer_uuid, sum(stake) as s from example_bets group by customer_uuid \
         having s > '50'",
        "select customer_uuid as who, sum(stake) as s from example_bets group by who \
         having who > 'c2' and (s > 50 or who = 'c6') order by count(*), who",
        "select customer_uuid, min(currency) as a, max(currency) as z, round(avg(stake * 2), 1) \
         from example_bets where currency <> 'GBP' group by customer_uuid",
        "select odds, count(*) as n from example_bets group by odds having odds = '1.25' \
         or n > 5",
        "select count(*) as n, sum(stake) as s, max(game_id) as m from example_bets \
         join example_selections on uuid = bet_uuid where market = 'none'",
        "select round(b.odds * s.odds, 1) as joint, sum(s.odds * stake) as s, count(*) as n \
         from example_selections s join example_bets b on s.bet_uuid = b.uuid and stake > 5 \
         where s.odds > b.exchange_rate group by round(b.odds * s.odds, 1) order by 2 desc, 1",
        "select date(from_unixtime(create_time)) as day, sum(stake > 20) as n, \
         total_of.currency from example_bets as total_of group by 1, 3",
    ] {
        let (kept, asked) = bench.answers(sql);
        assert_eq!(kept, asked, "{sql}");
        // A sum is a number, and less than any text.
        assert_eq!(asked.is_empty(), sql.contains("s > '50'"), "{sql}");
    }
}
