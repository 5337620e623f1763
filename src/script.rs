//! Scripts: networks written in Lua.
//!
//! The parts: `runtime` (compiles and runs scripts, as a whole or not at all), `source` (reads
//! script files), `module` (the table `tributary`, one file for each subject), `args` (what a
//! function was called with), `build_context` and `notes` (what functions work on, and what is kept of scripts),
//! `recipe` (what a node was made of, for a script that is loaded again), `value` (JSON to Lua and
//! back), `failure` (an error of Lua as one of ours, with its line), `meant` (what was meant by a script
//! with an error), `limits`, `budget` and `sandbox` (memory, time, and VMs that keep to them),
//! `require` (files of a script's own directory), `function` (functions of Lua as nodes), `patterns`
//! (what matches them within time), `testing` (tests of networks), `evaluate` (what a person
//! types), `prelude` (helpers written in
//! Lua).
//!
//! To add a native function: an `Export` in a file of `module/`, with its
//! signature and one line about it. To add a helper in Lua: a function in a file of
//! `lua/prelude/`, with a comment above it.

mod args;
mod bounds;
mod branches;
mod budget;
mod build_context;
mod chunks;
mod condition;
mod evaluate;
mod failure;
mod function;
mod limits;
mod meant;
mod module;
mod notes;
mod patterns;
mod prelude;
mod recipe;
mod require;
mod runtime;
mod sandbox;
mod signature;
mod source;
mod testing;
mod unit;
mod value;

pub use crate::network::on_overrun;
pub use args::Args;
#[doc(hidden)]
pub use evaluate::Evaluated;
pub use limits::ScriptLimits;
pub(crate) use module::{functions, functions_in};
pub use runtime::{ReloadOptions, Runtime, Script};
pub(crate) use signature::Signature;
pub use testing::Tests;
pub use unit::Unit;
