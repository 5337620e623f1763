//! Groups of workloads as criterion's groups.

use super::workload::groups;
use criterion::{Criterion, SamplingMode, Throughput};

/// Measures the groups whose names start so.
pub fn compare(c: &mut Criterion, start: &str) {
    for workload in groups(start) {
        let mut group = c.benchmark_group(workload.name);
        group
            .sample_size(workload.rounds.max(10))
            .sampling_mode(SamplingMode::Flat);
        for mut function in workload.functions {
            // A trip is an iteration of its own; a flow is long enough to be one.
            let (events, most) = if workload.latency {
                (1, u64::MAX)
            } else {
                ((function.events / 4).max(1), 1)
            };
            group.throughput(Throughput::Elements(events));
            group.bench_function(function.name, |b| {
                b.iter_custom(|times| match most {
                    1 => (0..times).map(|_| (function.run)(events)).sum(),
                    _ => (function.run)(times),
                });
            });
        }
        group.finish();
    }
}
