//! Three processes share a stream of bets; one of them is killed, and no bet and no alert is lost.
//!
//! ```sh
//! PATH=$PATH:/usr/sbin cargo run --release --features nats --example cluster
//! ```
//!
//! It needs `nats-server`, `mariadbd`, `mariadb-install-db` and `setpriv`, starts private servers on
//! free ports of the loopback in a temporary directory, and ends them. It takes some ten seconds,
//! two minutes at most, and exits with 1 when a claim does not hold. Each process runs the script
//! beside this file. When half of the bets are stored, one is killed as `kill -9` does.
//!
//! ```text
//! 3000 bets of 60 customers are in the stream; half of the customers go beyond the limit
//! three processes share them
//! killed one by SIGKILL: … bets were stored, … were in hand or waiting
//! of the … that are left, both end by themselves when they are told to
//! … deliveries for 3000 bets: … came more than once
//! held: every bet is stored (3000 of 3000)
//! held: the consumer has nothing left (0 waiting, 0 not acked)
//! held: each customer beyond the limit has one alert (30 of 30), and nobody else has one
//! ```

mod servers;

use mysql::prelude::Queryable;
use serde_json::{Value, json};
use servers::{Bus, Guarded, Store};
use std::collections::BTreeSet;
use std::error::Error;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};
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

/// One of the processes: it runs until its standard input ends, so also when its parent is gone.
fn member() -> Done<()> {
    let database = Database::open(&std::env::var("STORE")?)?;
    let network = Network::new();
    Runtime::with_database(&network, &database)?.run(SCRIPT)?;
    network.start()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    network.stop()?;
    Ok(())
}

fn cluster() -> Done<bool> {
    let directory = tempfile::tempdir()?;
    let bus = Bus::start(directory.path())?;
    let store = Store::start(directory.path())?;
    bus.ask(
        "STREAM.CREATE.BETS",
        r#"{"name":"BETS","subjects":["bets.>"]}"#,
    )?;
    publish(&bus)?;
    println!(
        "{BETS} bets of {CUSTOMERS} customers are in the stream; half of the customers go beyond the limit"
    );

    let mut members = Vec::new();
    for _ in 0..3 {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--member").stdin(Stdio::piped());
        command.env("BUS", bus.url()).env("STORE", store.url());
        members.push(Guarded(command.spawn()?));
    }
    println!("three processes share them");

    until("half of the bets are stored", || {
        Ok(store.count("cluster_bets") >= BETS / 2)
    })?;
    let mut killed = members.remove(0);
    killed.0.kill()?;
    let by_signal = killed.0.wait()?.signal();
    let stored = store.count("cluster_bets");
    let at_kill = consumer(&bus)?;
    let open = number(&at_kill, "num_pending") + number(&at_kill, "num_ack_pending");
    println!("killed one by SIGKILL: {stored} bets were stored, {open} were in hand or waiting");
    if by_signal != Some(9) || open == 0 {
        return Err("it was too late to kill one: nothing was left to do".into());
    }

    until("the consumer has nothing left", || {
        let now = consumer(&bus)?;
        Ok(number(&now, "num_pending") + number(&now, "num_ack_pending") == 0)
    })?;
    println!(
        "of the {} that are left, both end by themselves when they are told to",
        members.len()
    );
    for member in &mut members {
        drop(member.0.stdin.take());
    }
    for member in &mut members {
        let mut ended = None;
        until("a process ends", || {
            ended = member.0.try_wait()?;
            Ok(ended.is_some())
        })?;
        if !ended.is_some_and(|status| status.success()) {
            return Err(format!("a process failed: {ended:?}").into());
        }
    }
    account(&consumer(&bus)?, &store)
}

/// Compares what is there with what should be.
fn account(consumer: &Value, store: &Store) -> Done<bool> {
    let deliveries = consumer["delivered"]["consumer_seq"].as_u64().unwrap_or(0);
    let again = deliveries.saturating_sub(BETS);
    println!("{deliveries} deliveries for {BETS} bets: {again} came more than once");

    let stored = store.count("cluster_bets");
    let (waiting, unacked) = (
        number(consumer, "num_pending"),
        number(consumer, "num_ack_pending"),
    );
    let rows: Vec<String> = store
        .connect()?
        .query("SELECT customer_uuid FROM cluster_alerts")?;
    let alerted: BTreeSet<String> = rows.iter().cloned().collect();
    let due: BTreeSet<String> = (0..CUSTOMERS)
        .filter(|number| is_high(*number))
        .map(customer)
        .collect();
    let claims = [
        (
            stored == BETS,
            format!("every bet is stored ({stored} of {BETS})"),
        ),
        (
            waiting + unacked == 0,
            format!("the consumer has nothing left ({waiting} waiting, {unacked} not acked)"),
        ),
        (
            alerted == due && rows.len() == due.len(),
            format!(
                "each customer beyond the limit has one alert ({} of {}), and nobody else has one",
                rows.len(),
                due.len()
            ),
        ),
    ];
    for (held, claim) in &claims {
        println!("{}: {claim}", if *held { "held" } else { "FAILED" });
    }
    Ok(claims.iter().all(|(held, _)| *held))
}

fn customer(number: u64) -> String {
    format!("customer-{number:02}")
}

fn is_high(customer: u64) -> bool {
    customer.is_multiple_of(2)
}

/// Each customer bets 50 times. With a stake of 10 at odds of 1.5 the limit of 130 is passed by the
/// 27th bet; with a stake of 1 it never is.
fn publish(bus: &Bus) -> Done<()> {
    let now = SystemClock.now().as_secs();
    let bets = (0..BETS).map(move |number| {
        let by = number % CUSTOMERS;
        let stake = if is_high(by) { 10.0 } else { 1.0 };
        json!({
            "uuid": format!("bet-{number}"), "create_time": now, "customer_uuid": customer(by),
            "stake": stake, "odds": 1.5,
        })
    });
    let options = Options::new().with("stream", "BETS");
    let network = Network::new();
    network.add_source("made", source::from_iter(bets))?;
    network.add_sink(
        "bus",
        connect::sink(&format!("{}/bets.new", bus.url()), &options)?,
    )?;
    network.link("made", "bus")?;
    network.start()?;
    network
        .wait_timeout(PATIENCE)
        .ok_or("the bets could not be published")??;
    Ok(())
}

fn consumer(bus: &Bus) -> Done<Value> {
    Ok(serde_json::from_str(
        &bus.ask("CONSUMER.INFO.BETS.liability", "")?,
    )?)
}

/// A number that the server always gives; one that is missing is an answer that holds no claim.
fn number(answer: &Value, name: &str) -> u64 {
    answer[name].as_u64().unwrap_or(BETS)
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
