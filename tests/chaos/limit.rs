//! A hang is a failure: everything here runs under a limit of time.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Runs the body on a thread of its own and fails when it takes longer than that; `hung` says what
/// it hangs at.
pub fn within<T: Send + 'static>(
    limit: Duration,
    hung: impl FnOnce() -> String,
    body: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (tell, told) = channel();
    let thread = std::thread::spawn(move || {
        let _ = tell.send(body());
    });
    match told.recv_timeout(limit) {
        Ok(value) => value,
        Err(RecvTimeoutError::Disconnected) => {
            let panic = thread.join().expect_err("it has ended without a word");
            std::panic::resume_unwind(panic)
        }
        Err(RecvTimeoutError::Timeout) => panic!("it hangs for {limit:?}: {}", hung()),
    }
}
