//! What is written to standard error, without secrets: the log of this crate and of all others, errors,
//! panics.

use crate::secret::scrub;
use crate::time::{Clock as _, SystemClock};
use log::{LevelFilter, Log, Metadata, Record};
use std::borrow::Cow;
use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};

/// A logger whose records are scrubbed before they are formatted.
struct Scrubbed(env_logger::Logger);

impl Log for Scrubbed {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.0.matches(record) {
            return;
        }
        let text = record.args().to_string();
        match scrub(&text) {
            Cow::Borrowed(_) => self.0.log(record),
            Cow::Owned(text) => {
                let mut builder = Record::builder();
                builder.metadata(record.metadata().clone());
                builder.module_path(record.module_path());
                builder.file(record.file()).line(record.line());
                self.0.log(&builder.args(format_args!("{text}")).build());
            }
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// Whether the log is written as JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// Has the log written as a JSON object in each line.
pub fn as_json(builder: &mut env_logger::Builder) {
    JSON.store(true, Ordering::Relaxed);
    builder.format(|to, record| {
        let line = serde_json::json!({
            "time": SystemClock.now().to_string(),
            "level": record.level().as_str().to_ascii_lowercase(),
            "target": record.target(),
            "message": record.args().to_string(),
        });
        writeln!(to, "{line}")
    });
}

/// Whether the log is written as JSON.
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Writes a line of JSON to standard error.
pub fn line(value: &serde_json::Value) {
    to_stderr(&format!("{value}\n"));
}

/// Starts the log, and gives its level.
pub fn log(mut builder: env_logger::Builder) -> LevelFilter {
    let logger = builder.build();
    let level = logger.filter();
    // A logger that was set before stays.
    let _ = log::set_boxed_logger(Box::new(Scrubbed(logger)));
    level
}

/// From here on a panic is shown without secrets.
pub fn panics() {
    std::panic::set_hook(Box::new(|info| to_stderr(&shown(info))));
}

/// A panic as it is shown, with a backtrace where the environment asks for one.
fn shown(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let place = info
        .location()
        .map_or(String::new(), |place| format!(" at {place}"));
    let message = info.payload_as_str().unwrap_or("a panic without a text");
    let backtrace = std::backtrace::Backtrace::capture();
    let backtrace = match backtrace.status() {
        std::backtrace::BacktraceStatus::Captured => format!("{backtrace}\n"),
        _ => String::new(),
    };
    format!("\nthread '{name}' panicked{place}:\n{message}\n{backtrace}")
}

/// Writes a text to standard error.
pub fn to_stderr(text: &str) {
    // There is no other place to write to.
    let _ = std::io::stderr().write_all(scrub(text).as_bytes());
}
