//! The `tributary` binary: its verbs, messages, signals and exit codes.

mod databases;
mod errors;
mod functions;
mod losses;
mod lua;
mod lua_tests;
mod repl;
mod replay;
mod signals;
pub mod verbs;
