//! The commands of the REPL: lines that begin with a colon.

use crate::admin::tap_line;
use crate::error::{did_you_mean, quote};
use crate::payload::check_json;
use crate::source::{self, Sender};
use crate::{DrawingFormat, Error, ErrorKind, Network, Result, Runtime};
use std::collections::BTreeMap;
use std::time::Duration;

const HELP: &str = "\
Lua, line by line: tb.create_ticker(\"t\", \"1s\"), or an expression: tb.stats()
  :start                  start the network; what is built from then on joins it
  :wait                   wait until the network ends by itself
  :stop                   stop the sources and drain
  :stats                  the account of every node and link
  :check                  what is not linked
  :graph                  the network as mermaid draws it
  :explain NODE           how a window keeps its result up to date
  :tap NODE[.PORT] [N]    the next N events (10) that leave a node, or that a sink takes
  :inject NODE JSON       send an event to a node
  :remove NODE            remove a node with its links
  :reload [SCRIPT]        load the scripts, or one, again; what has changed in them changes in the network
  :help [FUNCTION]        this; one function with its options
  :quit                   the end, as is Ctrl-D
";

/// The commands.
pub(super) const WORDS: [&str; 13] = [
    ":start", ":wait", ":stop", ":stats", ":check", ":graph", ":explain", ":tap", ":inject",
    ":remove", ":reload", ":help", ":quit",
];

/// How many events a tap shows, unless another number is given.
const EVENTS: usize = 10;
/// How long a tap waits for the next event.
const PATIENCE: Duration = Duration::from_secs(10);

/// What commands are applied to.
pub(super) struct Commands<'a> {
    network: &'a Network,
    runtime: &'a Runtime,
    /// What sends the events of `:inject`, by the node that they go to.
    injected: BTreeMap<String, Sender>,
}

impl<'a> Commands<'a> {
    pub fn new(network: &'a Network, runtime: &'a Runtime) -> Self {
        Commands {
            network,
            runtime,
            injected: BTreeMap::new(),
        }
    }

    /// Runs a command; returns what it prints.
    pub fn run(&mut self, line: &str) -> Result<String> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let needs = |what: &str| match rest {
            "" => Err(usage(format!("{word} needs {what}"))),
            rest => Ok(rest),
        };
        let network = self.network;
        match word {
            ":help" if !rest.is_empty() => crate::cli::functions::help(rest),
            ":explain" => {
                let explanation = self.runtime.explain(needs("the name of a node")?)?;
                Ok(explanation.to_string())
            }
            ":tap" => tap(network, needs("the name of a node")?),
            ":remove" => {
                let removed = network.remove(needs("the name of a node")?);
                removed.map(|()| String::new())
            }
            ":reload" => self.reload(rest),
            ":inject" => self.inject(needs("the name of a node, and JSON")?),
            _ if !WORDS.contains(&word) => {
                let hint = did_you_mean(word, WORDS);
                let hint = hint.unwrap_or_else(|| ":help lists them".to_owned());
                Err(usage(format!("no command {}", quote(word))).with_hint(hint))
            }
            _ if !rest.is_empty() => {
                Err(usage(format!("{word} takes nothing, not {}", quote(rest))))
            }
            ":start" => network.start().map(|()| String::new()),
            ":wait" => {
                // Their sources end with them.
                self.injected.clear();
                network.wait().map(|()| String::new())
            }
            ":stop" => network.stop().map(|()| String::new()),
            ":stats" => Ok(network.stats().to_string()),
            ":graph" => Ok(network.draw(DrawingFormat::Mermaid)),
            ":check" => {
                let unlinked = network.check();
                Ok(unlinked.iter().map(|what| format!("{what}\n")).collect())
            }
            _ => Ok(HELP.to_owned()),
        }
    }

    /// Loads scripts again; what that has changed.
    fn reload(&self, script: &str) -> Result<String> {
        let mut names = vec![script.to_owned()];
        if script.is_empty() {
            let units = self.runtime.units().into_iter();
            let files = units.filter(|unit| !unit.files.is_empty());
            names = files.map(|unit| unit.name).collect();
        }
        let mut plans = String::new();
        for name in names {
            plans.push_str(&self.runtime.reload(name)?.to_string());
        }
        Ok(plans)
    }

    /// Sends an event to a node, by a source of its own that stays for the next one.
    fn inject(&mut self, given: &str) -> Result<String> {
        let (node, json) = given.split_once(char::is_whitespace).unwrap_or((given, ""));
        let json = json.trim();
        if json.is_empty() {
            return Err(usage(":inject needs JSON behind the name of the node"));
        }
        check_json(json.as_bytes())
            .map_err(|error| error.within(format!("event {}", quote(json))))?;
        let name = format!("inject_{node}");
        let network = self.network;
        if !self.injected.contains_key(node) || !network.node_exists(&name) {
            let (sender, source) = source::channel();
            network.change(|draft| {
                draft.add_source(&name, source)?;
                draft.link(&*name, node)
            })?;
            self.injected.insert(node.to_owned(), sender);
        } else if !network.is_connected(&name, node) {
            // The node is another one by now.
            network.link(&*name, node)?;
        }
        match self.injected.get(node) {
            Some(sender) => sender.send(json).map(|()| String::new()),
            None => Ok(String::new()),
        }
    }
}

/// The next events of a port, as lines.
fn tap(network: &Network, given: &str) -> Result<String> {
    let (at, count) = given.split_once(char::is_whitespace).unwrap_or((given, ""));
    let count = match count.trim() {
        "" => EVENTS,
        count => count
            .parse()
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| usage(format!("bad number of events {}", quote(count))))?,
    };
    let tap = network.tap(at)?;
    for _ in 0..count {
        let Some(event) = tap.next(PATIENCE) else {
            if tap.has_ended() {
                break;
            }
            let error = format!("no event came within {} s", PATIENCE.as_secs());
            return Err(Error::new(ErrorKind::Failed, error));
        };
        crate::cli::print(&(tap_line(&tap, &event) + "\n"))?;
    }
    Ok(String::new())
}

fn usage(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, text)
}
