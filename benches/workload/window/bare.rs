//! The limits: what has to be done, by hand on one thread.

use super::bets::Bets;
use super::{BATCH, Carry, SIZE, THRESHOLD};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet, VecDeque};
use std::hint::black_box;
use std::time::{Duration, Instant};

#[derive(Deserialize)]
struct Bet<'a> {
    uuid: &'a str,
    create_time: i64,
    customer_uuid: &'a str,
    stake: f64,
    currency: &'a str,
    exchange_rate: f64,
    odds: f64,
    #[serde(borrow)]
    selections: Vec<Selection<'a>>,
}

#[derive(Deserialize)]
struct Selection<'a> {
    game_id: i64,
    market: &'a str,
    odds: f64,
}

fn parse(event: &[u8]) -> Bet<'_> {
    serde_json::from_slice(event).expect("it was written as JSON")
}

/// Carries batches; returns how long that took.
fn timed(events: &[Vec<u8>], batch: impl FnMut(&[Vec<u8>])) -> Duration {
    let begun = Instant::now();
    events.chunks(BATCH).for_each(batch);
    begun.elapsed()
}

fn fill(carrier: &mut impl Carry, bets: &mut Bets, mut count: usize) {
    while count > 0 {
        let some = count.min(100 * BATCH);
        carrier.carry(bets.take(some).collect());
        count -= some;
    }
}

/// Both rows of each bet in SQLite, in memory, until they have expired; nothing is asked.
pub struct Stored {
    connection: Connection,
    now: i64,
}

impl Stored {
    pub fn new() -> Self {
        let connection = Connection::open_in_memory().expect("there is memory");
        connection
            .execute_batch(
                "CREATE TABLE bets (uuid TEXT NOT NULL, create_time INTEGER, customer_uuid TEXT,
                     stake REAL, currency TEXT, exchange_rate REAL, odds REAL, PRIMARY KEY (uuid));
                 CREATE INDEX bets_create_time ON bets (create_time);
                 CREATE TABLE selections (bet_uuid TEXT, game_id INTEGER, market TEXT, odds REAL);
                 CREATE INDEX selections_bet_uuid ON selections (bet_uuid);",
            )
            .expect("tables can be made");
        Stored { connection, now: 0 }
    }

    fn batch(&mut self, events: &[Vec<u8>]) -> rusqlite::Result<()> {
        let connection = &self.connection;
        let mut bet_row =
            connection.prepare_cached("INSERT INTO bets VALUES (?, ?, ?, ?, ?, ?, ?)")?;
        let mut selection_row =
            connection.prepare_cached("INSERT INTO selections VALUES (?, ?, ?, ?)")?;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for event in events {
            let bet = parse(event);
            if bet.create_time > self.now {
                self.now = bet.create_time;
                let cutoff = [self.now - SIZE as i64];
                connection
                    .prepare_cached(
                        "DELETE FROM selections WHERE bet_uuid IN
                             (SELECT uuid FROM bets WHERE create_time < ?)",
                    )?
                    .execute(cutoff)?;
                connection
                    .prepare_cached("DELETE FROM bets WHERE create_time < ?")?
                    .execute(cutoff)?;
            }
            bet_row.execute(params![
                bet.uuid,
                bet.create_time,
                bet.customer_uuid,
                bet.stake,
                bet.currency,
                bet.exchange_rate,
                bet.odds
            ])?;
            for selection in &bet.selections {
                selection_row.execute(params![
                    bet.uuid,
                    selection.game_id,
                    selection.market,
                    selection.odds
                ])?;
            }
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Carry for Stored {
    fn fill(&mut self, bets: &mut Bets, count: usize) {
        fill(self, bets, count);
    }

    fn carry(&mut self, events: Vec<Vec<u8>>) -> (Duration, Option<u64>) {
        let took = timed(&events, |batch| {
            self.batch(batch).expect("rows can be stored");
        });
        (took, None)
    }
}

/// A running sum for each group, a queue of what expires and the keys that are live; a JSON object
/// for each row that qualifies.
#[derive(Default)]
pub struct Memory {
    groups: HashMap<(u128, i64), Sum>,
    expiries: VecDeque<Expiry>,
    live: HashSet<u128>,
    now: i64,
    alerts: u64,
}

#[derive(Default)]
struct Sum {
    liability: f64,
    rows: u64,
}

struct Expiry {
    time: i64,
    uuid: u128,
    customer: u128,
    liability: f64,
    games: [Option<i64>; 2],
}

#[derive(Serialize)]
struct Alert<'a> {
    liability: f64,
    customer_uuid: &'a str,
    game_id: i64,
}

/// A uuid as the number that its digits write.
fn number(uuid: &str) -> u128 {
    let digits = uuid.bytes().filter(|byte| *byte != b'-');
    digits.fold(0, |number, byte| {
        let digit = (byte & 0xF) + if byte > b'9' { 9 } else { 0 };
        (number << 4) | u128::from(digit)
    })
}

impl Memory {
    fn event(&mut self, event: &[u8]) {
        let bet = parse(event);
        if bet.create_time > self.now {
            self.now = bet.create_time;
            self.expire();
        }
        let uuid = number(bet.uuid);
        if !self.live.insert(uuid) {
            return;
        }
        let customer = number(bet.customer_uuid);
        let liability = bet.stake * bet.exchange_rate * (bet.odds - 1.0);
        let mut games = [None; 2];
        for (selection, game) in bet.selections.iter().zip(&mut games) {
            *game = Some(selection.game_id);
            let sum = self
                .groups
                .entry((customer, selection.game_id))
                .or_default();
            sum.liability += liability;
            sum.rows += 1;
            let rounded = (sum.liability * 100.0).round() / 100.0;
            if rounded > THRESHOLD {
                let alert = serde_json::to_vec(&Alert {
                    liability: rounded,
                    customer_uuid: bet.customer_uuid,
                    game_id: selection.game_id,
                });
                black_box(alert.expect("a number and two keys are JSON"));
                self.alerts += 1;
            }
        }
        self.expiries.push_back(Expiry {
            time: bet.create_time,
            uuid,
            customer,
            liability,
            games,
        });
    }

    fn expire(&mut self) {
        let cutoff = self.now - SIZE as i64;
        while let Some(gone) = self.expiries.pop_front_if(|first| first.time < cutoff) {
            self.live.remove(&gone.uuid);
            for game in gone.games.into_iter().flatten() {
                let key = (gone.customer, game);
                if let Some(sum) = self.groups.get_mut(&key) {
                    sum.liability -= gone.liability;
                    sum.rows -= 1;
                    if sum.rows == 0 {
                        self.groups.remove(&key);
                    }
                }
            }
        }
    }
}

impl Carry for Memory {
    fn fill(&mut self, bets: &mut Bets, count: usize) {
        fill(self, bets, count);
    }

    fn carry(&mut self, events: Vec<Vec<u8>>) -> (Duration, Option<u64>) {
        let before = self.alerts;
        let took = timed(&events, |batch| {
            batch.iter().for_each(|event| self.event(event));
        });
        (took, Some(self.alerts - before))
    }
}
