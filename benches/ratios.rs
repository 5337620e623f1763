//! Each workload against its limit, in alternating rounds of fixed work.
//!
//! On a machine that others use too, noise is larger than the differences that matter: what is
//! compared runs in turn, each round gives a ratio, and the median of those is printed with its
//! quartiles. `cargo bench --bench ratios -- hop` runs the groups whose names start so.

mod keys;
mod nodes;
mod workload;

use workload::{Group, groups};

const ROUNDS: usize = 11;

fn main() {
    let start = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let start = start.unwrap_or_default();
    nodes::measure(&start);
    keys::measure(&start);
    groups(&start).iter().for_each(compare);
}

/// Prints a line for each thing with which the group compares the first.
fn compare(group: &Group) {
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); group.runs.len()];
    for round in 0..ROUNDS {
        for turn in 0..group.runs.len() {
            let at = (round + turn) % group.runs.len();
            let took = (group.runs[at].1)(group.events);
            seconds[at].push(took.as_secs_f64() / group.events as f64);
        }
    }
    let [_, middle, _] = quartiles(seconds[0].iter().copied());
    let figure = match group.latency {
        true => format!("{:.1} us", middle * 1e6),
        false => format!("{:.1} M/s", 1e-6 / middle),
    };
    for (other, times) in group.runs.iter().zip(&seconds).skip(1) {
        let pairs = seconds[0].iter().zip(times);
        let [low, middle, high] = quartiles(pairs.map(|(ours, theirs)| match group.latency {
            true => ours / theirs,
            false => theirs / ours,
        }));
        println!(
            "{} {}/{} {middle:.2} ({low:.2}-{high:.2}) {figure}",
            group.name, group.runs[0].0, other.0
        );
    }
}

/// The lower quartile, the median and the upper quartile.
fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}
