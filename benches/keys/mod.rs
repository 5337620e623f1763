//! What a filter takes for each key that it remembers, at several numbers of keys.

use super::nodes::kilobytes;
use super::workload::filter;
use std::env;
use std::process::Command;
use std::thread;
use std::time::Duration;

const NAME: &str = "filter-1m-memory";
/// Just before and just after tables double, and between.
const KEYS: [u64; 6] = [
    1_000_000, 1_200_000, 1_400_000, 1_600_000, 1_800_000, 2_000_000,
];

/// Prints a line for each number of keys to standard error, each from a process of its own.
pub fn measure(start: &str) {
    if let Some(keys) = start
        .strip_prefix(NAME)
        .and_then(|rest| rest.strip_prefix(':'))
    {
        let keys: u64 = keys.parse().expect("a number of keys");
        let bytes = bytes(keys) as f64 / keys as f64;
        return eprintln!("{NAME} {keys} keys: {bytes:.1} bytes a key");
    }
    if !NAME.starts_with(start) {
        return;
    }
    let this = env::current_exe().expect("a bench knows its own file");
    for keys in KEYS {
        let status = Command::new(&this).arg(format!("{NAME}:{keys}")).status();
        assert!(status.is_ok_and(|status| status.success()), "{NAME} failed");
    }
}

fn bytes(keys: u64) -> u64 {
    // Threads, links and whatever else is made once.
    filter::network(20_000);
    let before = kilobytes();
    let mut after = 0;
    let look = || {
        thread::sleep(Duration::from_millis(500));
        after = kilobytes();
    };
    filter::run(keys * 2, look).expect("a filter runs");
    after.saturating_sub(before) << 10
}
