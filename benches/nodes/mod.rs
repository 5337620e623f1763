//! A network of a thousand nodes: how fast it starts, what it takes, and what it leaves behind.

use super::workload::{BATCH, PAYLOAD};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};
use tributary::pipeline::Forwarder;
use tributary::{Context, Draft, Event, Network, Node, ReadStatus, Result, Sink, Source};

const NODES: usize = 1_000;
/// How many full batches pass every node.
const BATCHES: u64 = 20;

type Build = fn(&mut Draft, &Gauge) -> Result<()>;

/// The shapes, and how many sinks each has.
const SHAPES: [(&str, Build, u64); 3] = [
    ("nodes-1000-chains", chains, 50),
    ("nodes-1000-chain", chain, 1),
    ("nodes-1000-star", star, NODES as u64 - 1),
];

/// Prints a line for each figure of the shapes whose names start so, each in a process of its own,
/// so that none begins with the memory of another.
pub fn measure(start: &str) {
    if let Some((name, build, sinks)) = SHAPES.iter().find(|(name, ..)| *name == start) {
        let figures = figures(*build, *sinks).expect("a network of a thousand nodes runs");
        return figures
            .iter()
            .for_each(|figure| println!("{name} {figure}"));
    }
    let this = env::current_exe().expect("a bench knows its own file");
    for (name, ..) in SHAPES.iter().filter(|(name, ..)| name.starts_with(start)) {
        let status = Command::new(&this).arg(name).status();
        assert!(status.is_ok_and(|status| status.success()), "{name} failed");
    }
}

fn figures(build: Build, sinks: u64) -> Result<Vec<String>> {
    let gauge = Gauge::default();
    let before = (threads(), handles());
    let network = Network::new();
    let begun = Instant::now();
    network.change(|draft| build(draft, &gauge))?;
    let built = begun.elapsed();
    network.start()?;
    let started = begun.elapsed();
    thread::sleep(Duration::from_millis(500));
    let (idle, during) = (resident(), (threads(), handles()));
    gauge.open.store(BATCHES, Ordering::Relaxed);
    let events = sinks * BATCHES * BATCH as u64;
    while gauge.arrived.load(Ordering::Relaxed) < events {
        thread::sleep(Duration::from_millis(10));
    }
    let passed = resident();
    network.stop()?;
    let after = (threads(), handles());
    Ok(vec![
        format!(
            "built {:.3} s, started {:.3} s",
            built.as_secs_f64(),
            started.as_secs_f64()
        ),
        format!("idle {idle} MB"),
        format!("after {BATCHES} batches {passed} MB"),
        format!("threads {} -> {} -> {}", before.0, during.0, after.0),
        format!("handles {} -> {} -> {}", before.1, during.1, after.1),
    ])
}

fn chains(draft: &mut Draft, gauge: &Gauge) -> Result<()> {
    (0..50).try_for_each(|at| line(draft, gauge, at, NODES / 50))
}

fn chain(draft: &mut Draft, gauge: &Gauge) -> Result<()> {
    line(draft, gauge, 0, NODES)
}

fn line(draft: &mut Draft, gauge: &Gauge, at: usize, nodes: usize) -> Result<()> {
    let mut last = format!("spring-{at}");
    draft.add_source(&last, gauge.spring())?;
    for hop in 0..nodes - 2 {
        let next = format!("hop-{at}-{hop}");
        draft.add_pipeline(&next, Forwarder)?;
        draft.link(&last, &next)?;
        last = next;
    }
    let drain = format!("drain-{at}");
    draft.add_sink(&drain, gauge.drain())?;
    draft.link(&last, &drain)
}

fn star(draft: &mut Draft, gauge: &Gauge) -> Result<()> {
    draft.add_source("spring", gauge.spring())?;
    (1..NODES).try_for_each(|at| {
        let drain = draft.add_sink(&format!("drain-{at}"), gauge.drain())?;
        draft.link("spring", &drain)
    })
}

/// How many batches may flow, and how many events have arrived.
#[derive(Default)]
struct Gauge {
    open: Arc<AtomicU64>,
    arrived: Arc<AtomicU64>,
}

impl Gauge {
    fn spring(&self) -> Spring {
        Spring {
            open: self.open.clone(),
            sent: 0,
        }
    }

    fn drain(&self) -> Drain {
        Drain(self.arrived.clone())
    }
}

struct Spring {
    open: Arc<AtomicU64>,
    sent: u64,
}

impl Node for Spring {}

impl Source for Spring {
    fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        if self.sent >= self.open.load(Ordering::Relaxed) {
            return Ok(ReadStatus::Idle);
        }
        self.sent += 1;
        (0..BATCH).for_each(|_| cx.emit(Event::new(&PAYLOAD[..], cx.now())));
        Ok(ReadStatus::More)
    }
}

struct Drain(Arc<AtomicU64>);

impl Node for Drain {}

impl Sink for Drain {
    fn write(&mut self, _event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The memory of the process that is in use, in MB.
fn resident() -> u64 {
    kilobytes() >> 10
}

/// The same in kB.
pub fn kilobytes() -> u64 {
    status("VmRSS:")
}

fn threads() -> u64 {
    status("Threads:")
}

fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

fn handles() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
