//! Pitfall 10 where the commit itself fails: nothing of the batch has happened, and what is fed
//! again has its effect once.

use super::SUM;
use crate::support::databases::{Kind, Place, kill_connections_to};
use crate::support::window_bench::{Bench, Fate, PLANS, ask, declared, row, sliding, stored};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::time::Timestamp;
use tributary::window::{Emit, Plan, TimeDomain, Window, WindowKind, WindowOptions};
use tributary::{
    Context, Database, Error, ErrorKind, Event, Node, Outcome, Pipeline, Result, Token,
};

crate::over_all_databases! {
    pitfall_10_what_the_database_refuses_to_commit_never_was
    pitfall_10_a_batch_whose_commit_fails_has_its_effect_once
    pitfall_10_what_is_to_be_emitted_again_is_emitted_though_a_commit_fails
    pitfall_10_sessions_are_as_before_a_commit_that_fails
}

type Cause = Box<dyn FnOnce() -> Result<()> + Send>;

/// A window to which something happens between a batch and its commit, once it is told what.
struct Struck {
    window: Window,
    fed: bool,
    cause: Arc<Mutex<Option<Cause>>>,
}

impl Node for Struck {
    fn ports(&self) -> Vec<String> {
        self.window.ports()
    }

    fn open(&mut self) -> Result<()> {
        self.window.open()
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if std::mem::take(&mut self.fed) {
            let cause = self.cause.lock().unwrap().take();
            cause.map_or(Ok(()), |cause| cause())?;
        }
        self.window.commit(cx)
    }

    fn rollback(&mut self) {
        self.window.rollback();
    }

    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        self.window.settle(token, outcome, cx)
    }

    fn wake(&self) -> Option<Timestamp> {
        self.window.wake()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.window.tick(cx)
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.window.finish(cx)
    }
}

impl Pipeline for Struck {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        self.fed = true;
        self.window.process(event, cx)
    }
}

/// A window that goes by the times of its rows, so that the batch itself lets rows leave.
fn bench(database: &Database, options: &WindowOptions) -> (Bench, Arc<Mutex<Option<Cause>>>) {
    let options = options
        .clone()
        .clock(TimeDomain::Event)
        .store(true)
        .name("sums");
    let cause: Arc<Mutex<Option<Cause>>> = Arc::default();
    let mut bench = Bench::of(Struck {
        window: Window::new(database, &options).unwrap(),
        fed: false,
        cause: cause.clone(),
    });
    bench.simulation.end_source("right").unwrap();
    (bench, cause)
}

/// What has the next commit fail, in a way that is not the events' fault: the connection is lost.
/// SQLite has none to lose, so the commit is not reached there.
fn lost(place: &Place) -> Cause {
    if place.kind == Kind::Mariadb {
        let url = place.url.clone();
        return Box::new(move || {
            kill_connections_to(&url);
            Ok(())
        });
    }
    Box::new(|| Err(Error::new(ErrorKind::Unavailable, "struck").retryable()))
}

/// Every mode with a plan that serves it, and the sums that are emitted for the batch and of the row
/// after it: an old row of `b` leaves with it, two of `a` come, and one more.
fn modes() -> Vec<(WindowOptions, Plan, Emit, &'static [f64])> {
    let seconds = Duration::from_secs;
    let slides = WindowKind::Sliding(seconds(10));
    let tumbling = WindowKind::Hopping {
        size: seconds(10),
        slide: seconds(10),
    };
    let mut modes = Vec::new();
    for plan in PLANS {
        let mut add = |extent, emit, sums| {
            let options = WindowOptions::new("things", SUM, extent).time("t");
            modes.push((options.emit(emit).plan(plan), plan, emit, sums));
        };
        add(slides, Emit::Touched, &[2.0, 6.0, 14.0] as &[f64]);
        add(slides, Emit::Changes, &[2.0, 6.0, 14.0]);
        add(slides, Emit::Enter, &[2.0]);
        add(slides, Emit::Leave, &[1.0]);
        if plan != Plan::Keyed {
            add(slides, Emit::All, &[2.0, 6.0, 14.0]);
            add(tumbling, Emit::Close, &[1.0]);
            add(tumbling, Emit::Leave, &[1.0]);
        }
    }
    modes
}

fn batch() -> Vec<Value> {
    vec![row("1", 11, "a", 2.0), row("2", 11, "a", 4.0)]
}

fn sums(out: Vec<Value>) -> Vec<f64> {
    out.iter().map(|row| row["s"].as_f64().unwrap()).collect()
}

/// What is on disk, of rows and of what was emitted.
fn kept(place: &Place, database: &Database) -> (i64, Option<i64>) {
    let emitted = place.stays().then(|| {
        let exists = match place.kind {
            Kind::Mariadb => {
                "information_schema.tables \
                 where table_schema = database() and table_name = 'tributary_emitted'"
            }
            _ => "sqlite_schema where name = 'tributary_emitted'",
        };
        (place.rows_in(exists) == 1).then(|| place.rows_in("tributary_emitted"))
    });
    (stored(database), emitted.flatten())
}

fn pitfall_10_what_the_database_refuses_to_commit_never_was(place: &Place) {
    // A deferred constraint is what SQLite looks at in COMMIT itself; MariaDB has none.
    if place.kind != Kind::File {
        return;
    }
    for (options, plan, emit, right) in modes() {
        // Its rows stay until what was emitted for them is delivered: the batch deletes none.
        if emit == Emit::Close {
            continue;
        }
        let place = place.another();
        let database = declared(&place);
        let (mut bench, _) = bench(&database, &options);
        // The old row is wanted, so that whoever deletes it cannot commit.
        place.execute(
            "pragma foreign_keys = off; \
             create table wants (k text references things (k) deferrable initially deferred); \
             insert into wants values ('old')",
        );
        bench.send(row("old", 0, "b", 1.0));
        bench.out();
        let before = kept(&place, &database);
        assert_eq!(before.0, 1, "{emit} {plan}");
        bench.send_all(batch());
        assert_eq!(
            bench.errors(),
            ["FOREIGN KEY constraint failed"; 2],
            "{emit} {plan}"
        );
        assert_eq!(bench.out(), [] as [Value; 0], "{emit} {plan}");
        assert_eq!(kept(&place, &database), before, "{emit} {plan}");
        // The same events once more, now that nobody wants it.
        place.execute("delete from wants");
        bench.send_all(batch());
        bench.send(row("3", 12, "a", 8.0));
        assert_eq!(sums(bench.out()), right, "{emit} {plan}");
        assert_eq!(bench.errors(), [] as [String; 0], "{emit} {plan}");
        bench.advance(60.0);
        assert_eq!(bench.out(), [] as [Value; 0], "{emit} {plan}");
    }
}

fn pitfall_10_a_batch_whose_commit_fails_has_its_effect_once(place: &Place) {
    for (options, plan, emit, right) in modes() {
        let place = place.another();
        let database = declared(&place);
        let (mut bench, cause) = bench(&database, &options);
        bench.send(row("old", 0, "b", 1.0));
        bench.out();
        let before = kept(&place, &database);
        cause.lock().unwrap().replace(lost(&place));
        bench.send_all(batch());
        assert!(cause.lock().unwrap().is_none());
        assert_eq!(bench.out(), [] as [Value; 0], "{emit} {plan}");
        assert_eq!(kept(&place, &database), before, "{emit} {plan}");
        // The engine feeds the batch again by itself.
        bench.advance(10.0);
        bench.send(row("3", 12, "a", 8.0));
        assert_eq!(sums(bench.out()), right, "{emit} {plan}");
        bench.advance(60.0);
        assert_eq!(bench.out(), [] as [Value; 0], "{emit} {plan}");
        assert_eq!(bench.errors(), [] as [String; 0], "{emit} {plan}");
        let count = ask(&database, "select count(*) as n from things where g = 'a'");
        assert_eq!(count["n"], 3, "{emit} {plan}");
    }
}

fn pitfall_10_what_is_to_be_emitted_again_is_emitted_though_a_commit_fails(place: &Place) {
    for plan in PLANS {
        for (emit, failed, right) in [
            (Emit::Changes, 2.0, &[1.0, 2.0] as &[f64]),
            (Emit::Leave, 1.0, &[1.0]),
        ] {
            let place = place.another();
            let database = declared(&place);
            let (mut bench, cause) = bench(&database, &sliding(SUM).emit(emit).plan(plan));
            if emit == Emit::Leave {
                bench.send(row("old", 0, "b", 1.0));
            }
            bench.fate(Fate::Failed);
            bench.send(row("1", 11, "a", 2.0));
            assert_eq!(sums(bench.out()), [failed], "{emit} {plan}");
            bench.fate(Fate::Delivered);
            cause.lock().unwrap().replace(lost(&place));
            bench.send(row("2", 11, "b", 1.0));
            assert_eq!(bench.out(), [] as [Value; 0], "{emit} {plan}");
            bench.advance(60.0);
            let mut emitted = sums(bench.out());
            emitted.sort_by(f64::total_cmp);
            assert_eq!(emitted, right, "{emit} {plan}");
        }
    }
}

fn pitfall_10_sessions_are_as_before_a_commit_that_fails(place: &Place) {
    let sql = "select g, count(*) as n, sum(v) as s from things group by g";
    let gap = WindowKind::Session(Duration::from_secs(10));
    for (emit, right) in [
        (Emit::Close, &[3.0, 28.0] as &[f64]),
        (Emit::Touched, &[100.0, 4.0, 12.0, 28.0, 200.0]),
    ] {
        let place = place.another();
        let database = declared(&place);
        let options = WindowOptions::new("things", sql, gap).time("t").emit(emit);
        let (mut bench, cause) = bench(&database, &options);
        for event in [row("1", 2, "a", 1.0), row("2", 5, "a", 2.0)] {
            bench.send(event);
        }
        bench.out();
        // A session of `a` ends by the first, and the second begins another beside it.
        let batch = || vec![row("3", 16, "b", 100.0), row("4", 7, "a", 4.0)];
        cause.lock().unwrap().replace(lost(&place));
        bench.send_all(batch());
        assert_eq!(bench.out(), [] as [Value; 0], "{emit}");
        assert_eq!(stored(&database), 2, "{emit}");
        bench.advance(10.0);
        bench.send(row("5", 8, "a", 8.0));
        // Somebody else writes, so that all is read again.
        let things = database.table("things").unwrap();
        let mut store = database.connect().unwrap();
        let by_hand = row("by hand", 50, "c", 0.0);
        store.insert(&things, by_hand.as_object().unwrap()).unwrap();
        drop(store);
        bench.send(row("6", 9, "a", 16.0));
        bench.send(row("7", 20, "b", 100.0));
        assert_eq!(sums(bench.out()), right, "{emit}");
        assert_eq!(bench.errors(), [] as [String; 0], "{emit}");
    }
}
