//! The fault bench: what is promised on delivery, held while processes are killed, disks fill,
//! databases vanish and clocks jump.
//!
//! `cargo test --test chaos` runs the short form of everything; the long forms are in modules
//! `long` and run with `cargo test --test chaos -- --ignored long::`. Every test that leaves
//! something to chance prints its seed, and takes it back: `TRIBUTARY_SEED=123 cargo test …`. Whoever
//! adds a fault gives every process and network a limit of time (`limit`, `process`), lets `record`
//! compare what went in with what came out, and writes both forms.

mod alerts;
mod clocks;
mod corruption;
mod databases;
mod disk;
mod fuzz;
mod kills;
mod limit;
mod networks;
mod operations;
mod process;
mod raises;
mod record;
mod seed;
mod server;
#[expect(dead_code, reason = "not all of it is used here")]
mod support;
mod terms;
