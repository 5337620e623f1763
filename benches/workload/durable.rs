//! Flows that go through files: a durable queue, and a link that spills.

use super::network::{Drain, Spring, run};
use super::watch::Watch;
use super::{BATCH, PAYLOAD};
use rusqlite::Connection;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tributary::pipeline::Queue;
use tributary::sink::handler;
use tributary::{
    Context, Event, LinkOptions, Network, Node, Overflow, ReadStatus, Result, Source, Spill,
};

/// Through a queue, whose file takes in and lets go every event.
pub fn queue(events: u64) -> Duration {
    let flow = || {
        let folder = tempfile::tempdir()?;
        let watch = Watch::new(1);
        let network = Network::new();
        network.add_source("spring", Spring::new(&watch, events))?;
        network.add_pipeline("queue", Queue::new(folder.path().join("queue")))?;
        network.add_sink("drain", Drain::new(&watch, events))?;
        network.link("spring", "queue")?;
        network.link("queue", "drain")?;
        Ok::<_, Box<dyn std::error::Error>>(run(&network, &watch)?)
    };
    flow().expect("a queue runs")
}

/// The same number of rows by SQLite alone: a transaction takes a batch in and removes the last one.
pub fn bare_queue(events: u64) -> Duration {
    let flow = || {
        let folder = tempfile::tempdir().expect("there is a temporary directory");
        let mut connection = Connection::open(folder.path().join("queue"))?;
        connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE queue (id INTEGER PRIMARY KEY, time INTEGER, payload BLOB, meta TEXT)",
        )?;
        let begun = Instant::now();
        for first in (0..events).step_by(BATCH) {
            let transaction = connection.transaction()?;
            let mut insert =
                transaction.prepare_cached("INSERT INTO queue VALUES (?, ?, ?, NULL)")?;
            for id in first..events.min(first + BATCH as u64) {
                insert.execute((id as i64, 0, &PAYLOAD[..]))?;
            }
            drop(insert);
            transaction
                .prepare_cached("DELETE FROM queue WHERE id < ?")?
                .execute([first as i64])?;
            transaction.commit()?;
        }
        Ok::<_, rusqlite::Error>(begun.elapsed())
    };
    flow().expect("SQLite takes rows")
}

/// What an event carries that is spilled: at 1,000 bytes, 200 k/s are 200 MB/s.
static LARGE: [u8; 1_000] = [b'x'; 1_000];

/// Makes so many large events, and returns when all have left.
struct Gush {
    watch: Arc<Watch>,
    left: u64,
    all: Option<Sender<()>>,
}

impl Node for Gush {}

impl Source for Gush {
    fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        self.watch.begin();
        if self.left == 0 {
            self.all = None;
            return Ok(ReadStatus::End);
        }
        let events = self.left.min(BATCH as u64);
        self.left -= events;
        (0..events).for_each(|_| cx.emit(Event::new(&LARGE[..], cx.now())));
        Ok(ReadStatus::More)
    }
}

/// Through a link whose receiver takes nothing until all was sent: nearly every event is written
/// and read again.
pub fn spill(events: u64) -> Duration {
    let flow = || {
        let watch = Watch::new(1);
        let network = Network::new();
        let (all, gate): (_, Receiver<()>) = channel();
        let gush = Gush {
            watch: watch.clone(),
            left: events,
            all: Some(all),
        };
        network.add_source("gush", gush)?;
        let (end, mut left) = (watch.clone(), events);
        let drain = handler(move |_| {
            if left == events {
                // Its sender has gone: that is the sign.
                let _ = gate.recv();
            }
            left -= 1;
            if left == 0 {
                end.end();
            }
            Ok(())
        });
        network.add_sink("drain", drain)?;
        let spill = Overflow::Spill(Spill::new().size(2 * events * LARGE.len() as u64));
        network.link_with("gush", "drain", LinkOptions::new().overflow(spill))?;
        let took = run(&network, &watch)?;
        assert!(network.stats().links[0].spilled > events / 2);
        Ok::<_, tributary::Error>(took)
    };
    flow().expect("a link spills")
}

/// The same bytes written to a file and read again, as much at once.
pub fn bare_spill(events: u64) -> Duration {
    let flow = || {
        let file = tempfile::tempfile()?;
        let mut buffer = LARGE.repeat(BATCH);
        let begun = Instant::now();
        let size = buffer.len() as u64;
        let all = 0..events.div_ceil(BATCH as u64);
        for at in all.clone() {
            file.write_all_at(&buffer, at * size)?;
        }
        for at in all {
            file.read_exact_at(&mut buffer, at * size)?;
        }
        Ok::<_, std::io::Error>(begun.elapsed())
    };
    flow().expect("a file is written and read")
}
