//! SQL windows: the liability of customers by game over the last ten seconds of bets.
//!
//! The clock is that of the events, and what is emitted are the qualifying groups that an event
//! touches. A window is filled once, to the rows in its name, and stays filled from round to round;
//! only the events of a round are timed, and they are written before. `requery` asks the whole
//! query for every event, `keyed` asks it for the groups that the event touches, `incremental`
//! keeps running state beside the rows in SQLite, `unstored` keeps the state alone. The limits are
//! written by hand ([`bare`]): `bare_sqlite` does what has to be done to keep the rows and asks
//! nothing, `bare_memory` does what has to be done to answer and keeps no rows.
//!
//! To add one, write what carries a stream of [`bets`] and name it in [`groups`].

mod bare;
mod bets;
mod network;

use super::{BATCH, Function, Group, Run};
use bets::Bets;
use network::{Running, Stored};
use std::time::Duration;
use tributary::window::Plan;

/// How long a row is in a window, in seconds.
const SIZE: u64 = 10;
/// Above this a group qualifies.
const THRESHOLD: f64 = 130.0;

/// A way to carry events through a window.
trait Carry {
    /// Carries so many that fill the window; that is not timed.
    fn fill(&mut self, bets: &mut Bets, count: usize);

    /// Carries events; returns how long that took, and how many rows have qualified where that is known.
    fn carry(&mut self, events: Vec<Vec<u8>>) -> (Duration, Option<u64>);
}

/// Fills a window of so many rows at the first call, and goes on with the stream at each.
fn stream<C: Carry + 'static>(rows: u64, made: impl Fn() -> C + 'static) -> Run {
    let mut filled: Option<(C, Bets)> = None;
    Box::new(move |events| {
        let (carrier, bets) = filled.get_or_insert_with(|| {
            let (mut carrier, mut bets) = (made(), Bets::new(rows));
            // A row leaves when the second is over in which it is as old as the window.
            carrier.fill(&mut bets, count(rows / SIZE * (SIZE + 1)));
            (carrier, bets)
        });
        let (took, alerts) = carrier.carry(bets.take(count(events)).collect());
        if let Some(alerts) = alerts.filter(|_| events >= EVENTS) {
            let share = alerts as f64 / events as f64;
            assert!(
                (0.2..0.4).contains(&share),
                "{share} rows qualify for each event"
            );
        }
        took
    })
}

fn count(events: u64) -> usize {
    usize::try_from(events).expect("events fit in memory")
}

/// The events of a round of what is quick: at a million rows, a second of the events' time.
const EVENTS: u64 = 100_000;

fn running(name: &'static str, rows: u64) -> Function {
    let stored = name == "incremental";
    Function::new(name, EVENTS, stream(rows, move || Running::new(stored)))
}

fn asked(name: &'static str, plan: Plan, rows: u64, events: u64) -> Function {
    Function::new(name, events, stream(rows, move || Stored::new(plan)))
}

/// The groups of the windows.
pub fn groups() -> Vec<Group> {
    let window = |name, rows, rounds, keyed, requery| {
        let bare_sqlite = stream(rows, bare::Stored::new);
        let bare_memory = stream(rows, bare::Memory::default);
        let mut functions = vec![
            running("incremental", rows).against(&["bare_sqlite"]),
            running("unstored", rows).against(&["bare_memory"]),
            Function::new("bare_sqlite", EVENTS, bare_sqlite),
            Function::new("bare_memory", EVENTS, bare_memory),
            asked("keyed", Plan::Keyed, rows, keyed).against(&["requery"]),
        ];
        if requery > 0 {
            functions.push(asked("requery", Plan::Requery, rows, requery));
        }
        Group {
            name,
            latency: false,
            rounds,
            functions,
        }
    };
    vec![
        window("window-1k", 1_000, 7, 5_000, 300),
        window("window-10k", 10_000, 7, 5_000, 30),
        window("window-100k", 100_000, 5, 1_000, 5),
        window("window-1m", 1_000_000, 5, 100, 0),
        Group {
            name: "window-growth",
            latency: false,
            rounds: 11,
            functions: vec![
                Function::new("1m", EVENTS, stream(1_000_000, || Running::new(false)))
                    .against(&["1k"]),
                Function::new("1k", EVENTS, stream(1_000, || Running::new(false))),
            ],
        },
    ]
}
