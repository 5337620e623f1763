//! Three processes share a stream of bets; one of them is killed, and no bet and no alert is lost.
//!
//! ```sh
//! cargo run --release --features nats --example cluster
//! ```
//!
//! It needs `nats-server` and MariaDB installed. It starts private servers on free ports of the loopback
//! interface (`servers.sh`), which end with it. It takes some seconds, and exits with 1 when a claim
//! fails. The processes run the script beside this file: they share the work through a
//! durable consumer of JetStream, and the window through the database. When half of the bets are stored,
//! one of them is killed as `kill -9` does.
//!
//! ```text
//! starting a NATS server and a MariaDB server of its own
//! three processes run network.lua: …, …, …
//! 3000 bets of 60 customers were published; 30 of the customers go beyond the limit
//! killed … by SIGKILL: … bets were stored, … were not yet acked
//! process … took … bets and raised … alerts
//! held: every bet is stored: 3000 of 3000
//! held: the unacked bets of the killed process were delivered to another one: … redeliveries
//! held: the consumer is empty: 0 waiting, 0 not acked
//! held: 30 customers beyond the limit have one alert each, and no other customer has one: 30 alerts
//! ```

mod servers;

use mysql::prelude::Queryable;
use serde_json::{Value, json};
use servers::Servers;
use std::error::Error;
use std::io::Write;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tributary::connect::{self, Options};
use tributary::time::{Clock, SystemClock};
use tributary::{Database, Network, Runtime, source};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cluster/network.lua");
const BETS: u64 = 3000;
const CUSTOMERS: u64 = 60;
const PATIENCE: Duration = Duration::from_secs(60);

type Done<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    env_logger::init();
    let done = match std::env::args().nth(1).as_deref() {
        Some("--member") => member().map(|()| true),
        _ => cluster(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One of the processes: runs the network until a line on standard input, or its end.
fn member() -> Done<()> {
    let network = Network::new();
    let database = Database::open(&std::env::var("STORE")?)?;
    Runtime::with_database(&network, &database)?.run(SCRIPT)?;
    network.start()?;
    if std::io::stdin().read_line(&mut String::new())? == 0 {
        // The parent process has gone, and the servers with it.
        std::process::exit(1);
    }
    network.stop()?;
    let stats = network.stats();
    let made = |node| stats.node(node).map_or(0, |node| node.emitted);
    println!(
        "process {} took {} bets and raised {} alerts",
        std::process::id(),
        made("bets"),
        made("liability")
    );
    Ok(())
}

fn cluster() -> Done<bool> {
    println!("starting a NATS server and a MariaDB server of its own");
    let servers = Servers::start()?;
    servers.ask(
        "STREAM.CREATE.BETS",
        r#"{"name":"BETS","subjects":["bets.>"]}"#,
    )?;

    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(Member::start(&servers)?);
    }
    until("three processes wait for bets", || {
        for member in &mut members {
            if let Some(status) = member.0.try_wait()? {
                return Err(format!("a process has ended: {status}").into());
            }
        }
        Ok(consumer(&servers).is_ok_and(|now| now["num_waiting"] == 3))
    })?;
    let names: Vec<String> = members.iter().map(|m| m.0.id().to_string()).collect();
    println!("three processes run network.lua: {}", names.join(", "));

    publish(&servers)?;
    let high = (0..CUSTOMERS).filter(|number| is_high(*number)).count();
    println!(
        "{BETS} bets of {CUSTOMERS} customers were published; {high} of the customers go beyond the limit"
    );

    until("half of the bets are stored", || {
        Ok(servers.stored()? >= BETS / 2)
    })?;
    // Dropping it kills it.
    drop(members.remove(0));
    let stored = servers.stored()?;
    let left = left(&consumer(&servers)?);
    println!(
        "killed {} by SIGKILL: {stored} bets were stored, {} were not yet acked",
        names[0],
        left.0 + left.1
    );

    until("the consumer is empty", || {
        Ok(self::left(&consumer(&servers)?) == (0, 0))
    })?;
    for member in members {
        member.stop()?;
    }
    account(&servers)
}

/// Compares the result with the claims.
fn account(servers: &Servers) -> Done<bool> {
    let consumer = consumer(servers)?;
    let (waiting, unacked) = left(&consumer);
    let deliveries = consumer["delivered"]["consumer_seq"].as_u64();
    let again = deliveries.unwrap_or(0).saturating_sub(BETS);
    let stored = servers.stored()?;
    let alerts: Vec<String> = servers
        .database()?
        .query("SELECT customer_uuid FROM cluster_alerts ORDER BY customer_uuid")?;
    let high = (0..CUSTOMERS).filter(|number| is_high(*number));
    let high: Vec<String> = high.map(customer).collect();

    let claims = [
        (
            stored == BETS,
            format!("every bet is stored: {stored} of {BETS}"),
        ),
        (
            again > 0,
            format!(
                "the unacked bets of the killed process were delivered to another one: {again} redeliveries"
            ),
        ),
        (
            waiting + unacked == 0,
            format!("the consumer is empty: {waiting} waiting, {unacked} not acked"),
        ),
        (
            alerts == high,
            format!(
                "{} customers beyond the limit have one alert each, and no other customer has one: {} alerts",
                high.len(),
                alerts.len()
            ),
        ),
    ];
    for (held, claim) in &claims {
        println!("{}: {claim}", if *held { "held" } else { "FAILED" });
    }
    Ok(claims.iter().all(|(held, _)| *held))
}

/// One of the processes, killed when it is dropped.
struct Member(Child);

impl Member {
    fn start(servers: &Servers) -> Done<Member> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--member").stdin(Stdio::piped());
        command
            .env("NATS", servers.bus())
            .env("STORE", servers.store());
        Ok(Member(command.spawn()?))
    }

    /// Stops it, and waits for its end.
    fn stop(mut self) -> Done<()> {
        if let Some(mut stdin) = self.0.stdin.take() {
            writeln!(stdin, "stop")?;
        }
        let mut ended = None;
        until("a process ends", || {
            ended = self.0.try_wait()?;
            Ok(ended.is_some())
        })?;
        match ended {
            Some(status) if !status.success() => Err(format!("a process failed: {status}").into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn customer(number: u64) -> String {
    format!("customer-{number:02}")
}

fn is_high(customer: u64) -> bool {
    customer.is_multiple_of(2)
}

/// Each customer bets 50 times. With a stake of 10 at odds of 1.5 the limit of 130 is passed by the
/// 27th bet; with a stake of 1 it is not.
fn publish(servers: &Servers) -> Done<()> {
    let now = SystemClock.now().as_secs();
    let bets = (0..BETS).map(move |number| {
        let by = number % CUSTOMERS;
        let stake = if is_high(by) { 10.0 } else { 1.0 };
        json!({
            "uuid": format!("bet-{number}"), "create_time": now, "customer_uuid": customer(by),
            "stake": stake, "odds": 1.5,
        })
    });
    let url = format!("nats://{}/bets.new", servers.bus());
    let bus = connect::sink(&url, &Options::new().with("stream", "BETS"))?;
    let network = Network::new();
    network.add_source("made", source::from_iter(bets))?;
    network.add_sink("bus", bus)?;
    network.link("made", "bus")?;
    network.start()?;
    let done = network.wait_timeout(PATIENCE);
    Ok(done.ok_or("the bets could not be published")??)
}

/// The state of the consumer in JetStream.
fn consumer(servers: &Servers) -> Done<Value> {
    servers.ask("CONSUMER.INFO.BETS.liability", "")
}

/// How many bets are not delivered, and how many not acked.
fn left(consumer: &Value) -> (u64, u64) {
    // A missing number fails the claim.
    let number = |name: &str| consumer[name].as_u64().unwrap_or(BETS);
    (number("num_pending"), number("num_ack_pending"))
}

fn until(what: &str, mut holds: impl FnMut() -> Done<bool>) -> Done<()> {
    let limit = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() > limit {
            return Err(format!("{what}: not within {PATIENCE:?}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
