//! The command line: one file for each verb. It belongs to the library so that items that only it uses
//! stay private to the crate; it is no part of the public API.

mod change;
mod check;
mod dlq;
mod endpoint;
mod explain;
mod functions;
mod graph;
mod load;
mod progress;
mod remote;
mod repl;
mod replay;
mod run;
mod screen;
mod scrubbed;
mod signals;
mod status;
mod suggest;
mod tap;
mod test;
mod top;
mod watch;

use crate::secret::scrub;
use crate::time::{Clock as _, SystemClock};
use crate::{Error, ErrorKind, Result};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Runs networks of event-processing nodes that are written in Lua.
#[derive(Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,

    /// Log more: -v progress, -vv every detail (RUST_LOG overrides it).
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,

    /// How the log is written to standard error: as text, or as a JSON object in each line
    #[arg(long, value_name = "FORMAT", default_value = "text", global = true)]
    log_format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// A token on the command line, where anyone could read it: only what stands for one.
fn token(text: &str) -> Result<String, &'static str> {
    if text.starts_with("${") {
        Ok(text.to_owned())
    } else {
        Err("write ${env:NAME} or ${file:PATH}: others can see the arguments of a process")
    }
}

#[derive(Subcommand)]
enum Verb {
    Run(run::Options),
    Replay(replay::Options),
    Check(check::Options),
    Graph(graph::Options),
    Explain(explain::Options),
    Test(test::Options),
    Repl(repl::Options),
    Dlq(dlq::Options),
    Functions(functions::Options),
    Status(status::Options),
    Tap(tap::Options),
    Top(top::Options),
    Reload(change::Reload),
    Load(change::Load),
    Unload(change::Unload),
}

/// Parses the arguments of the process, runs the verb, and returns the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output and is no failure; clap knows which it is. A closed output
            // is no failure either.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = suggest::complete(error).print();
            return ExitCode::from(code);
        }
    };
    signals::survive_file_limits();
    // A script that does not return cannot be ended in any other way; nothing runs beside it that
    // would have to drain, but what a person has started line by line.
    crate::script::on_overrun(|error| {
        report(error);
        std::process::exit(i32::from(error.kind().exit_code()));
    });
    log_to_stderr(
        cli.verbose,
        cli.log_format,
        matches!(cli.verb, Verb::Replay(_)),
    );
    let done = match cli.verb {
        Verb::Run(options) => run::run(&options),
        Verb::Replay(options) => replay::run(&options),
        Verb::Check(options) => check::run(&options),
        Verb::Graph(options) => graph::run(&options),
        Verb::Explain(options) => explain::run(&options),
        Verb::Test(options) => test::run(&options),
        Verb::Repl(options) => repl::run(&options),
        Verb::Dlq(options) => dlq::run(&options),
        Verb::Functions(options) => functions::run(&options),
        Verb::Status(options) => status::run(&options),
        Verb::Tap(options) => tap::run(&options),
        Verb::Top(options) => top::run(&options),
        Verb::Reload(options) => change::reload(&options),
        Verb::Load(options) => change::load(&options),
        Verb::Unload(options) => change::unload(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn log_to_stderr(verbose: u8, format: LogFormat, beside_a_bar: bool) {
    // The clients of connectors log much: only RUST_LOG lets them.
    let level =
        ["warn", "warn,tributary=info", "warn,tributary=debug"][usize::from(verbose.min(2))];
    let mut log =
        env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level));
    log.format_target(false);
    if format == LogFormat::Json {
        scrubbed::as_json(&mut log);
    }
    if beside_a_bar {
        progress::log_above(&mut log);
    }
    log::set_max_level(scrubbed::log(log));
    scrubbed::panics();
}

/// Reports what went wrong, where, and what to do about it.
fn report(error: &Error) {
    if error.kind() == ErrorKind::Closed {
        return;
    }
    if scrubbed::is_json() {
        let hint = error.hint();
        return scrubbed::line(&serde_json::json!({
            "time": SystemClock.now().to_string(), "level": "error", "target": "tributary",
            "message": error.message(), "place": error.place(), "hint": hint,
        }));
    }
    let mut text = String::from("tributary: ");
    if let Some(place) = error.place() {
        text.push_str(&format!("{place}: "));
    }
    text.push_str(error.message());
    text.push('\n');
    if let Some(hint) = error.hint() {
        text.push_str(&format!("  hint: {hint}\n"));
    }
    scrubbed::to_stderr(&text);
}

/// Writes a whole text to standard output.
fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(scrub(text).as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => {
                Error::new(ErrorKind::Closed, "standard output is closed")
            }
            _ => Error::io("standard output", &error),
        })
}
