//! The windows in a network: source, window, sink.

use super::bets::Bets;
use super::{BATCH, Carry, SIZE};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tributary::window::{Emit, Plan, TimeDomain, Window, WindowKind, WindowOptions};
use tributary::{
    Context, Database, Event, Network, Node, Outcome, ReadStatus, Result, Sink, Source, Table,
    Token,
};

const QUERY: &str = "
    select round(sum(stake*exchange_rate*(b.odds -1)), 2) as liability, customer_uuid, game_id
    from example_bets b join example_selections s on b.uuid = s.bet_uuid
    where FROM_UNIXTIME(b.create_time) >= now() - interval 10 second
    group by customer_uuid, game_id having liability > 130 order by game_id";

/// A round: its events, and whom to tell how long they took.
type Round = (std::vec::IntoIter<Vec<u8>>, Sender<Duration>);

/// Emits the events of one round after the other. The time runs from the first event until the
/// last one has been settled, and so all that went before it in the only link.
struct Rounds {
    rounds: Receiver<Round>,
    current: Option<Round>,
    begun: Instant,
    waits: bool,
}

impl Node for Rounds {
    fn settle(&mut self, _: Token, outcome: Outcome, _: &mut Context<'_>) -> Result<()> {
        assert_eq!(outcome, Outcome::Delivered);
        self.waits = false;
        if let Some((_, done)) = self.current.take() {
            done.send(self.begun.elapsed()).expect("the host waits");
        }
        Ok(())
    }
}

impl Source for Rounds {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        if self.waits {
            return Ok(ReadStatus::Idle);
        }
        if self.current.is_none() {
            match self.rounds.recv_timeout(wait) {
                Ok(round) => self.current = Some(round),
                Err(RecvTimeoutError::Timeout) => return Ok(ReadStatus::Idle),
                Err(RecvTimeoutError::Disconnected) => return Ok(ReadStatus::End),
            }
            self.begun = Instant::now();
        }
        let Some((events, _)) = &mut self.current else {
            return Ok(ReadStatus::Idle);
        };
        let now = cx.now();
        for _ in 0..BATCH {
            let Some(bytes) = events.next() else {
                break;
            };
            let mut event = Event::new(bytes, now);
            self.waits = events.len() == 0;
            if self.waits {
                cx.track(&mut event);
            }
            cx.emit(event);
        }
        Ok(ReadStatus::More)
    }
}

/// Counts what qualifies.
struct Alerts(Arc<AtomicU64>);

impl Node for Alerts {}

impl Sink for Alerts {
    fn write(&mut self, _event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A network that runs.
pub struct Running {
    rounds: Sender<Round>,
    alerts: Arc<AtomicU64>,
    _network: Network,
}

impl Running {
    /// With running state; where rows are stored, in SQLite in memory.
    pub fn new(stored: bool) -> Self {
        let options = options().plan(Plan::Incremental).store(stored);
        Running::start(&database(), &options).expect("a window runs")
    }

    fn start(database: &Database, options: &WindowOptions) -> Result<Self> {
        let (rounds, source) = channel();
        let alerts = Arc::default();
        let network = Network::new();
        let source = Rounds {
            rounds: source,
            current: None,
            begun: Instant::now(),
            waits: false,
        };
        network.add_source("bets", source)?;
        network.add_pipeline("liability", Window::new(database, options)?)?;
        network.add_sink("alerts", Alerts(Arc::clone(&alerts)))?;
        network.link("bets", "liability")?;
        network.link("liability", "alerts")?;
        network.start()?;
        Ok(Running {
            rounds,
            alerts,
            _network: network,
        })
    }
}

fn options() -> WindowOptions {
    WindowOptions::new(
        "example_bets",
        QUERY,
        WindowKind::Sliding(Duration::from_secs(SIZE)),
    )
    .time("create_time")
    .clock(TimeDomain::Event)
    .emit(Emit::Touched)
}

fn database() -> Database {
    let selections = Table::new("example_selections")
        .text("bet_uuid")
        .integer("game_id")
        .text("market")
        .real("odds");
    let bets = Table::new("example_bets")
        .text("uuid")
        .integer("create_time")
        .text("customer_uuid")
        .real("stake")
        .text("currency")
        .real("exchange_rate")
        .real("odds")
        .key("uuid")
        .child("selections", selections, &[("bet_uuid", "uuid")]);
    let database = Database::open("sqlite::memory:").expect("there is memory");
    database.declare(bets).expect("the table can be declared");
    database
}

impl Carry for Running {
    fn fill(&mut self, bets: &mut Bets, mut count: usize) {
        while count > 0 {
            let some = count.min(100 * BATCH);
            self.carry(bets.take(some).collect());
            count -= some;
        }
    }

    fn carry(&mut self, events: Vec<Vec<u8>>) -> (Duration, Option<u64>) {
        let before = self.alerts.load(Ordering::Relaxed);
        let (done, took) = channel();
        let round = (events.into_iter(), done);
        self.rounds.send(round).expect("the network runs");
        let took = took.recv().expect("the network runs");
        (took, Some(self.alerts.load(Ordering::Relaxed) - before))
    }
}

/// A window that asks the database. It is filled past the network: on the way that is measured
/// that would take hours.
pub struct Stored {
    plan: Plan,
    running: Option<Running>,
}

impl Stored {
    pub fn new(plan: Plan) -> Self {
        Stored {
            plan,
            running: None,
        }
    }
}

impl Carry for Stored {
    fn fill(&mut self, bets: &mut Bets, count: usize) {
        let database = database();
        insert(&database, bets.take(count)).expect("rows can be stored");
        let running = Running::start(&database, &options().plan(self.plan));
        self.running = Some(running.expect("a window runs"));
    }

    fn carry(&mut self, events: Vec<Vec<u8>>) -> (Duration, Option<u64>) {
        let running = self.running.as_mut().expect("it was filled first");
        running.carry(events)
    }
}

/// Inserts bets as they come, in one transaction.
fn insert(database: &Database, bets: impl Iterator<Item = Vec<u8>>) -> Result<()> {
    let table = database.table("example_bets")?;
    let mut store = database.connect()?;
    store.begin()?;
    for bet in bets {
        let event = tributary::Payload::from(bet);
        store.insert(&table, event.object()?)?;
    }
    store.commit()
}
