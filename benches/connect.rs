//! Connectors beside bare clients: what is written to brokers and read from them, with acks, and
//! what is posted. The servers of the brokers must be installed: `cargo bench --features full`.

mod compare;
mod workload;

use compare::compare;
use criterion::{Criterion, criterion_group, criterion_main};

fn connect(c: &mut Criterion) {
    compare(c, "connect-");
}

criterion_group!(benches, connect);
criterion_main!(benches);
