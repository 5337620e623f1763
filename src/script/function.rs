//! Functions of Lua as nodes.
//!
//! A function leaves the VM of its script when the node is made ([`capture`]), as plain data that
//! any thread may hold ([`portable`]), of which a digest can be made ([`digest`]), and arrives in a VM of its own on the thread of its node
//! ([`vm`], [`home`]). What every VM has moves by name ([`known`]). Events are views that make what
//! is asked of them ([`view`]); what each kind of node makes of an answer is written in
//! `lua/host/event.lua`. The kinds: [`each`] (one event in, some out), [`process`] (with a state
//! and timers), [`handler`] (a sink), [`generator`] (a source).
//!
//! Invariant: nothing of one VM is ever used in another, and what a function has emitted leaves only
//! when its call has succeeded.
//!
//! To add a kind: a file here, its Lua half in `lua/host/event.lua`, and an `Export` in
//! `module/functions.rs`.

mod bytecode;
mod capture;
mod digest;
mod each;
mod generator;
mod handler;
mod home;
mod known;
mod module;
mod portable;
mod process;
mod reads;
mod view;
mod vm;

pub(super) use capture::Host;
pub(super) use each::{Each, Kind};
pub(super) use generator::Generator;
pub(super) use handler::Handler;
pub(super) use known::Known;
pub(super) use process::{Process, Timer};
pub(super) use vm::Spec;
