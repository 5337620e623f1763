//! The `tributary` binary: the allocator, and the command line of the library.

use std::process::ExitCode;

/// Events are usually freed on another thread than the one that allocated them, which is slow with the
/// system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tributary::cli::main()
}
