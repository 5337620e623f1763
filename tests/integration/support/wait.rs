//! Waiting for a condition of another thread or process, with a limit.

use std::time::{Duration, Instant};

/// Longer than anything takes that a test waits for, on a machine with other work.
const LIMIT: Duration = Duration::from_secs(30);

/// How often a condition is checked.
const POLL: Duration = Duration::from_millis(2);

/// Waits until the condition holds; fails after 30 s.
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    eventually_within(LIMIT, what, condition);
}

/// Waits until the condition holds; fails after this time.
#[track_caller]
pub fn eventually_within(limit: Duration, what: &str, condition: impl FnMut() -> bool) {
    assert!(
        holds_within(limit, condition),
        "{what}: not within {limit:?}"
    );
}

/// Waits until the condition holds, at most ten seconds; returns whether it does.
pub fn soon(condition: impl Fn() -> bool) -> bool {
    holds_within(Duration::from_secs(10), condition)
}

fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}
