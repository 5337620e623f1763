//! `tributary replay`: runs a network under virtual time that the data of its inputs drives.

use super::check::{counted, refuse_unlinked};
use super::load;
use super::progress::Progress;
use super::run::refuse_rejects;
use crate::network::Replaying;
use crate::sink::Recorder;
use crate::time::monotonic;
use crate::window::Plan;
use crate::{Replay, Result, Runtime, Stats};
use std::time::Duration;

/// Run the network that the scripts build on recorded events, as fast as possible.
///
/// The network's clock is the greatest time of the events so far; timers, windows and tickers follow
/// it. The inputs are merged by time, equal times in the order of the
/// inputs. Two replays of the same files print the same. The replay ends with its inputs.
#[derive(clap::Args)]
#[command(
    mut_arg("input", |input| input.required(true).help(
        "Add a source that sends the JSON lines of a file (- is standard input), each at its time; \
         several are merged",
    )),
    mut_arg("buffer", |buffer| buffer.hide(true))
)]
pub struct Options {
    #[command(flatten)]
    load: load::Scripts,

    /// The field with the time of an event: unix seconds (whole or with a fraction), or a text like
    /// 2025-11-24T16:00:00.5Z
    #[arg(long, value_name = "FIELD")]
    time: String,

    /// Print the counts of every node and link to standard error at the end
    #[arg(long)]
    stats: bool,

    /// Refuse a network in which something is not linked
    #[arg(long)]
    strict: bool,

    /// End with code 65 if an event was rejected
    #[arg(long)]
    fail_on_reject: bool,

    /// Run the sinks that leave the process (files, programs, services, brokers, dead letters) instead of
    /// recording them
    #[arg(long)]
    real: bool,
}

pub fn run(options: &Options) -> Result<()> {
    let recorder = Recorder::new();
    let (network, runtime) = load::load_fed(&options.load, (!options.real).then_some(&recorder))?;
    if options.strict {
        refuse_unlinked(&network)?;
    }
    for unlinked in network.check() {
        log::warn!("{unlinked}");
    }
    let mut replay = Replay::new(&options.time);
    for input in &options.load.setup.input {
        replay.input(&input.node, input.file(), input.source());
    }
    let requeries = requeries(&runtime);
    drop(runtime);
    let mut replaying = replay.begin(&network)?;
    let begun = monotonic();
    let stepped = step_through(options, &mut replaying);
    warn_of_requeries(&requeries, &replaying.stats(), begun.elapsed());
    // What a network that fails at the end cannot give any more.
    let before = options.stats.then(|| replaying.stats());
    let (events, end) = (replaying.events(), replaying.now());
    let finished = replaying.finish();
    if stepped.is_ok() && finished.is_ok() {
        log::info!("ended: {events} events, at {end}");
    }
    if let Some(recorded) = recorded(&recorder.recorded()) {
        log::warn!("sinks recorded, not run (--real runs them): {recorded}");
    }
    if let Some(before) = before {
        let stats = finished.as_ref().unwrap_or(&before).to_string();
        // An error of writing it could be written nowhere else.
        super::scrubbed::to_stderr(&stats);
    }
    let stats = stepped.and(finished)?;
    if options.fail_on_reject {
        refuse_rejects(&stats)
    } else {
        Ok(())
    }
}

/// The windows that ask their whole query again.
fn requeries(runtime: &Runtime) -> Vec<String> {
    let windows = runtime.explanations().into_iter();
    let again = windows.filter(|(_, explanation)| explanation.plan == Plan::Requery);
    again.map(|(name, _)| name).collect()
}

/// The share of a replay beyond which a window that asks again is named, and how long the replay takes then.
const MUCH: f64 = 0.5;
const LONG: Duration = Duration::from_secs(1);

/// Names the windows for whose queries most of the time was needed.
fn warn_of_requeries(windows: &[String], stats: &Stats, took: Duration) {
    for node in windows.iter().filter_map(|name| stats.node(name)) {
        let share = node.busy.as_secs_f64() / took.as_secs_f64().max(1e-9);
        if took >= LONG && share >= MUCH {
            let (name, percent) = (&node.name, share * 100.0);
            log::warn!(
                "node {name}: plan requery, {percent:.0} % of the time; `tributary explain` shows why"
            );
        }
    }
}

fn step_through(options: &Options, replaying: &mut Replaying) -> Result<()> {
    let load = &options.load;
    let total = load.setup.input.iter().map(|input| input.size()).sum();
    // Lines on the same terminal would tear the bar to pieces.
    let prints = load.setup.output.iter().any(|output| output.is_standard());
    let seen = prints && std::io::IsTerminal::is_terminal(&std::io::stdout());
    let progress = Progress::begin(total, !seen);
    while replaying.step()? {
        progress.show(replaying);
    }
    Ok(())
}

/// The sinks that were recorded, in one line: what each is, and how many events it got.
pub fn recorded(sinks: &[(String, String, u64)]) -> Option<String> {
    let mut all: Vec<(&str, &str, u64)> = Vec::new();
    for (node, target, events) in sinks {
        match all.iter_mut().find(|(n, t, _)| n == node && t == target) {
            Some((_, _, sum)) => *sum += events,
            None => all.push((node, target, *events)),
        }
    }
    let line = |(node, target, events): &(&str, &str, u64)| {
        let count = usize::try_from(*events).unwrap_or(usize::MAX);
        format!("{node} ({target}) {}", counted(count, "event"))
    };
    let lines: Vec<String> = all.iter().map(line).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}
