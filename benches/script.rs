//! Maps written in Lua: one that reads a field, one that looks at nothing, two side by side.

mod compare;
mod workload;

use compare::compare;
use criterion::{Criterion, criterion_group, criterion_main};

fn script(c: &mut Criterion) {
    compare(c, "map-");
}

criterion_group!(benches, script);
criterion_main!(benches);
