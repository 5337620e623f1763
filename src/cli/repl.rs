//! `tributary repl`: builds and runs a network line by line.

mod commands;
mod completion;

use super::load::{Setup, open};
use super::{print, report};
use crate::script::Evaluated;
use crate::{Error, ErrorKind, Result, Runtime};
use commands::Commands;
use completion::Completion;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use std::path::PathBuf;

/// Build and run a network line by line: Lua, with the module as `tb`, and the commands that :help
/// lists. Tab completes functions and names of nodes.
#[derive(clap::Args)]
pub struct Options {
    /// Lua scripts to load first
    #[arg(value_name = "SCRIPT")]
    scripts: Vec<PathBuf>,

    #[command(flatten)]
    setup: Setup,
}

pub fn run(options: &Options) -> Result<()> {
    let (network, runtime) = open(&options.scripts, &options.setup)?;
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .build();
    let mut editor: Editor<Completion, FileHistory> =
        Editor::with_config(config).map_err(|error| cannot_read(&error))?;
    editor.set_helper(Some(Completion(network.clone())));
    let history = history();
    if let Some(path) = &history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    let mut commands = Commands::new(&network, &runtime);
    let ended = converse(&mut editor, &runtime, &mut commands);
    if let Some(path) = &history {
        // What was typed is no reason to fail.
        let _ = path.parent().map(std::fs::create_dir_all);
        let _ = editor.save_history(path);
    }
    ended.and(network.stop())
}

fn converse(
    editor: &mut Editor<Completion, FileHistory>,
    runtime: &Runtime,
    commands: &mut Commands<'_>,
) -> Result<()> {
    let mut typed = String::new();
    loop {
        let prompt = if typed.is_empty() { "> " } else { ">> " };
        let line = match editor.readline(prompt) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                typed.clear();
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(cannot_read(&error)),
        };
        typed.push_str(&line);
        typed.push('\n');
        let command = match typed.trim() {
            "" => Ok(Some(String::new())),
            ":quit" | ":q" => return Ok(()),
            text if text.starts_with(':') => commands.run(text).map(Some),
            text => evaluate(runtime, text),
        };
        match command {
            Ok(None) => continue,
            Ok(Some(text)) => print(&text)?,
            Err(error) => report(&error),
        }
        // One that cannot be kept is not kept.
        let _ = editor.add_history_entry(typed.trim());
        typed.clear();
    }
}

/// The values of what was typed; nothing where more is to come.
fn evaluate(runtime: &Runtime, text: &str) -> Result<Option<String>> {
    // As in Lua's own: a mark that the value is wanted.
    let text = text.strip_prefix('=').unwrap_or(text);
    Ok(match runtime.evaluate(text)? {
        Evaluated::Unfinished => None,
        Evaluated::Done(values) if values.is_empty() => Some(String::new()),
        Evaluated::Done(values) => Some(values.join("\t") + "\n"),
    })
}

fn cannot_read(error: &ReadlineError) -> Error {
    Error::new(ErrorKind::Io, format!("cannot read what is typed: {error}"))
}

/// Where what was typed is kept.
fn history() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = || set("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let state = set("XDG_STATE_HOME").map(PathBuf::from).or_else(home)?;
    Some(state.join("tributary/history"))
}
