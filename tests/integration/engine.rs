//! Networks of nodes: links, acks, errors, stop, checkpoints, queues, simulation and replay.

mod account;
mod ack;
mod bounds;
mod branches;
mod change;
mod changes_at_random;
mod checkpoints;
// It is over every sink, those that post included.
#[cfg(all(feature = "http", feature = "slack", feature = "telegram"))]
mod conformance;
mod contract;
mod dead_letters;
mod drawing;
mod durations;
mod error_causes;
mod event_sizes;
mod extend;
mod filter;
mod flow;
mod full_checkpoints;
mod handover;
mod inputs;
mod locks;
mod memory;
mod network;
mod nodes;
mod numbers;
mod on_error;
mod original_faults;
mod overflow;
mod panics;
mod queues;
mod recorded_sinks;
mod replay;
mod simulation;
mod stop;
mod threads;
mod timing_nodes;
mod whole;
