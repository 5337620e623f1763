//! The `tributary` binary: parse, run, exit code.

mod cli;

use std::process::ExitCode;

/// Memory freed on another thread than it came from is what a stream processor does all day.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
