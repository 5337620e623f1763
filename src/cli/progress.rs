//! A bar on standard error that shows how far a replay is, on a terminal: nowhere else is
//! anything of it written. What is logged meanwhile is written above it.

use crate::network::Replaying;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

/// How many events go by between two looks at the bar; it is drawn more rarely than that.
const EVENTS: u64 = 256;

/// The bar that is shown, for what is logged meanwhile.
static SHOWN: OnceLock<ProgressBar> = OnceLock::new();

pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// A bar over so many bytes, where that is known; `wanted` or not, none where standard error is not a terminal.
    pub fn begin(total: Option<u64>, wanted: bool) -> Self {
        if !wanted || !io::stderr().is_terminal() {
            return Progress(None);
        }
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "{bar:30} {bytes} of {total_bytes}, {msg}",
            ),
            None => (ProgressBar::new_spinner(), "{spinner} {bytes}, {msg}"),
        };
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.expect("the template is well formed"));
        Progress(Some(SHOWN.get_or_init(|| bar).clone()))
    }

    /// Shows how far it is.
    pub fn show(&self, replaying: &Replaying) {
        let Some(bar) = &self.0 else { return };
        if !replaying.events().is_multiple_of(EVENTS) {
            return;
        }
        let rate = replaying.events() as f64 / bar.elapsed().as_secs_f64().max(1e-3);
        bar.set_message(format!("{rate:.0} events/s, {}", replaying.now()));
        bar.set_position(replaying.bytes());
    }
}

/// However it ends, the bar is gone then.
impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Writes log lines above the bar, where there may be one.
pub fn log_above(log: &mut env_logger::Builder) {
    if !io::stderr().is_terminal() {
        return;
    }
    log.target(env_logger::Target::Pipe(Box::new(AboveTheBar)));
    // A pipe is not asked whether it leads to a terminal that shows colours.
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if !is_set("NO_COLOR") && !is_set("RUST_LOG_STYLE") && !dumb {
        log.write_style(env_logger::WriteStyle::Always);
    }
}

/// Standard error, with the bar out of the way while it is written to.
struct AboveTheBar;

impl Write for AboveTheBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().write(bytes);
        match SHOWN.get() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
