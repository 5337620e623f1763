//! Windows of a thousand to a million rows: events in a second by each plan.

mod compare;
mod workload;

use compare::compare;
use criterion::{Criterion, criterion_group, criterion_main};

fn window(c: &mut Criterion) {
    compare(c, "window-");
}

criterion_group!(benches, window);
criterion_main!(benches);
