//! Each workload against its limit, in alternating rounds of fixed work.
//!
//! On a machine that others use too, noise is larger than the differences that matter: what is
//! compared runs in turn, each round gives a ratio, and the median of those is printed with its
//! quartiles. `cargo bench --bench ratios -- hop` runs the groups whose names start so, and
//! `-- window-1k unstored` of those the functions whose names start so, with what they are compared.

mod keys;
mod nodes;
mod pauses;
mod workload;

use workload::{Group, groups};

fn main() {
    let mut names = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    let start = names.next().unwrap_or_default();
    let only = names.next().unwrap_or_default();
    nodes::measure(&start);
    keys::measure(&start);
    pauses::measure(&start);
    let mut lines = Vec::new();
    for mut group in groups(&start) {
        keep(&mut group, &only);
        lines.extend(compare(group));
    }
    growth(&lines);
}

/// Keeps the functions whose names start so, and those with which they are compared.
fn keep(group: &mut Group, start: &str) {
    let kept = group.functions.iter().filter(|f| f.name.starts_with(start));
    let names = kept.flat_map(|f| f.against.iter().chain([&f.name]));
    let names: Vec<&str> = names.copied().collect();
    group.functions.retain(|f| names.contains(&f.name));
}

/// A ratio: of which group and functions.
type Line = (&'static str, String, f64);

/// Prints a line for each two functions that are compared.
fn compare(mut group: Group) -> Vec<Line> {
    let count = group.functions.len();
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); count];
    for round in 0..group.rounds {
        for turn in 0..count {
            let at = (round + turn) % count;
            let function = &mut group.functions[at];
            let took = (function.run)(function.events);
            seconds[at].push(took.as_secs_f64() / function.events as f64);
        }
    }
    let mut lines = Vec::new();
    for (function, ours) in group.functions.iter().zip(&seconds) {
        let others = function.against.iter();
        for at in others.filter_map(|name| group.functions.iter().position(|f| f.name == *name)) {
            let pairs = ours.iter().zip(&seconds[at]);
            let [low, middle, high] = quartiles(pairs.map(|(ours, theirs)| {
                if group.latency {
                    ours / theirs
                } else {
                    theirs / ours
                }
            }));
            let names = format!("{}/{}", function.name, group.functions[at].name);
            let figure = figure(ours, group.latency);
            println!(
                "{} {names} {middle:.2} ({low:.2}-{high:.2}) {figure}",
                group.name
            );
            lines.push((group.name, names, middle));
        }
    }
    lines
}

/// The time of an event, or how many there are in a time.
fn figure(seconds: &[f64], latency: bool) -> String {
    let [_, middle, _] = quartiles(seconds.iter().copied());
    match (latency, middle) {
        (true, _) => format!("{:.1} us", middle * 1e6),
        (false, ..1e-6) => format!("{:.1} M/s", 1e-6 / middle),
        (false, ..1e-3) => format!("{:.1} k/s", 1e-3 / middle),
        (false, _) => format!("{:.1} /s", 1.0 / middle),
    }
}

/// Prints how much more our time grows from a window of a thousand rows to one of a million than
/// that of the limit.
fn growth(lines: &[Line]) {
    let found = |group: &str, names: &str| {
        let mut lines = lines.iter();
        lines
            .find(|line| line.0 == group && line.1 == names)
            .map(|line| line.2)
    };
    for names in ["incremental/bare_sqlite", "unstored/bare_memory"] {
        if let (Some(few), Some(many)) = (found("window-1k", names), found("window-1m", names)) {
            println!("window-1m/window-1k {names} {:.2}", few / many);
        }
    }
}

/// The lower quartile, the median and the upper quartile.
fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}
