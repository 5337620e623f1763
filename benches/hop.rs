//! Chains: events in a second through one, three and eight nodes, and the time of a single event.

mod compare;
mod workload;

use compare::compare;
use criterion::{Criterion, criterion_group, criterion_main};

fn hop(c: &mut Criterion) {
    compare(c, "hop-");
    compare(c, "latency-");
}

criterion_group!(benches, hop);
criterion_main!(benches);
