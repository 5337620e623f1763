//! One node to four, and four to one.

mod compare;
mod workload;

use compare::compare;
use criterion::{Criterion, criterion_group, criterion_main};

fn fanout(c: &mut Criterion) {
    compare(c, "fanout-");
    compare(c, "fanin-");
}

criterion_group!(benches, fanout);
criterion_main!(benches);
