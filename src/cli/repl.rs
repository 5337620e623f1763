//! `tributary repl`: builds and runs a network line by line.

use super::load::{Setup, open};
use super::{print, report};
use crate::script::{Evaluated, functions};
use crate::{DrawingFormat, Error, ErrorKind, Network, Result, Runtime};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Editor, Helper};
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

const HELP: &str = "\
Lua, line by line: tb.create_ticker(\"t\", \"1s\"), or an expression: tb.stats()
  :start   start the network; what is built from then on joins it
  :wait    wait until the network ends by itself
  :stop    stop the sources and drain
  :stats   the account of every node and link
  :check   what is not linked
  :graph   the network as mermaid draws it
  :help    this
  :quit    the end, as is Ctrl-D
";

const WORDS: [&str; 8] = [
    ":start", ":wait", ":stop", ":stats", ":check", ":graph", ":help", ":quit",
];

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
    let ended = converse(&mut editor, &network, &runtime);
    if let Some(path) = &history {
        // What was typed is no reason to fail.
        let _ = path.parent().map(std::fs::create_dir_all);
        let _ = editor.save_history(path);
    }
    ended.and(network.stop())
}

fn converse(
    editor: &mut Editor<Completion, FileHistory>,
    network: &Network,
    runtime: &Runtime,
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
            word if word.starts_with(':') => command(word, network).map(Some),
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

fn command(word: &str, network: &Network) -> Result<String> {
    match word {
        ":start" => network.start().map(|()| String::new()),
        ":wait" => network.wait().map(|()| String::new()),
        ":stop" => network.stop().map(|()| String::new()),
        ":stats" => Ok(network.stats().to_string()),
        ":graph" => Ok(network.draw(DrawingFormat::Mermaid)),
        ":check" => {
            let unlinked = network.check();
            Ok(unlinked.iter().map(|what| format!("{what}\n")).collect())
        }
        ":help" => Ok(HELP.to_owned()),
        other => {
            let error = format!("no word {}", crate::error::quote(other));
            let hint = crate::error::did_you_mean(other, WORDS)
                .unwrap_or_else(|| ":help lists them".to_owned());
            Err(Error::new(ErrorKind::Usage, error).with_hint(hint))
        }
    }
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

/// Completes functions of the module, names of nodes, and words.
struct Completion(Network);

impl Helper for Completion {}
impl Highlighter for Completion {}
impl Hinter for Completion {
    type Hint = String;
}
impl Validator for Completion {}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..pos).unwrap_or(line);
        Ok(candidates(typed, &self.0))
    }
}

/// Where the word in hand begins, and what it may become.
fn candidates(typed: &str, network: &Network) -> (usize, Vec<String>) {
    let part = |c: char| c.is_alphanumeric() || "_-.:".contains(c);
    let start = typed.trim_end_matches(part).len();
    let word = &typed[start..];
    let quoted = typed[..start].ends_with(['"', '\'']);
    let all: Vec<String> = if quoted {
        let nodes = network.nodes();
        nodes.iter().map(|node| node.name.to_string()).collect()
    } else if word.starts_with(':') {
        WORDS.map(str::to_owned).to_vec()
    } else {
        let functions = functions();
        functions.iter().map(|f| format!("tb.{}", f.name)).collect()
    };
    (
        start,
        all.into_iter().filter(|c| c.starts_with(word)).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_nodes_and_words_are_completed() -> Result<()> {
        let network = Network::new();
        network.add_sink("printer", crate::sink::Discarder)?;
        let of = |typed: &str| candidates(typed, &network);
        assert_eq!(
            of("x = tb.create_ti"),
            (4, vec!["tb.create_ticker".to_owned()])
        );
        assert_eq!(of("tb.link('a', \"pr"), (14, vec!["printer".to_owned()]));
        assert_eq!(of(":st").1, [":start", ":stop", ":stats"]);
        assert_eq!(of("nothing").1, [""; 0]);
        Ok(())
    }
}
