//! Scripts: what they build, their values and errors, nodes written in Lua, and their limits.

mod annotations;
mod building;
mod errors;
pub mod functions;
mod hints;
mod hostile;
mod limits;
mod memory;
mod nodes;
mod original_faults;
mod patterns;
mod payload;
mod prelude;
mod queries;
mod reload;
mod reloads_at_random;
pub mod script;
mod source;
mod values;
mod watchdog;
mod windows;
