//! `tributary check`: loads scripts and prepares their queries, runs nothing.

use super::{load, print};
use crate::{Error, Network, Result};

/// Load the scripts and prepare all queries, without running anything or changing a table.
///
/// Lists everything that is not linked.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    load: load::Scripts,

    /// Fail if something is not linked
    #[arg(long)]
    strict: bool,
}

pub fn run(options: &Options) -> Result<()> {
    let (network, runtime) = load::open(&options.load.scripts, &options.load.setup)?;
    if options.strict {
        refuse_unlinked(&network)?;
    }
    let mut text = String::new();
    for unlinked in network.check() {
        text.push_str(&format!("warning: {unlinked}\n"));
    }
    for join in runtime.branch_joins() {
        text.push_str(&format!("warning: {join}\n"));
    }
    let (nodes, links) = (network.nodes().len(), network.edges().len());
    let (nodes, links) = (counted(nodes, "node"), counted(links, "link"));
    text.push_str(&format!("ok: {nodes}, {links}\n"));
    print(&text)
}

/// So many of them, in words.
pub fn counted(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}

/// An error that names everything that is not linked.
pub fn refuse_unlinked(network: &Network) -> Result<()> {
    let unlinked = network.check();
    if unlinked.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = unlinked.iter().map(ToString::to_string).collect();
    Err(Error::data(all.join("\n")))
}
