//! `tributary dlq requeue`: runs a network on the letters that its nodes have rejected.

use super::{Which, letters};
use crate::cli::check::counted;
use crate::cli::{load, print, signals};
use crate::error::quote;
use crate::source::Requeue;
use crate::{Error, Network, NodeKind, Result};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Send letters again to the nodes of the scripts that rejected them
///
/// The scripts' own sources emit nothing. A letter is removed when its event was delivered. An event that is
/// rejected again goes where the scripts send it: to the same dead letters, for example, as a new letter.
#[derive(clap::Args)]
pub struct Options {
    #[arg(value_name = "PLACE")]
    place: String,

    #[command(flatten)]
    load: load::Scripts,

    #[command(flatten)]
    which: Which,

    /// How long to wait for everything to drain after a signal
    #[arg(long, value_name = "TIME", default_value = "10s",
          value_parser = crate::time::parse_positive_duration, allow_hyphen_values = true)]
    drain: Duration,
}

pub fn run(options: &Options) -> Result<()> {
    let (letters, filter) = (letters(&options.place)?, options.which.filter());
    let source = Requeue::new(letters.clone(), filter.clone())?;
    if source.nodes().next().is_none() {
        return print("no letters\n");
    }
    let network = load::load(&options.load)?;
    network.silence_sources()?;
    let removed = source.removed();
    add(&network, source)?;
    let all = count(&letters.nodes(&filter)?, filter.limit);
    let watch = signals::Watch::begin()?;
    network.start()?;
    let ended = watch.started().end(&network, None, options.drain, None);
    let (removed, all) = (removed.load(Ordering::SeqCst), counted(all, "letter"));
    print(&format!("{removed} of {all} delivered\n"))?;
    ended
}

/// The name of the source of the letters.
const SOURCE: &str = "dead-letters";

/// Adds the source and its links, if each node that they lead to can take events.
fn add(network: &Network, source: Requeue) -> Result<()> {
    let nodes = network.nodes();
    let kind = |name: &str| {
        let found = nodes.iter().find(|node| node.name.as_str() == name);
        found.map(|node| node.kind)
    };
    let ways: Vec<(String, String)> = source
        .nodes()
        .map(|(node, port)| (node.to_owned(), format!("{SOURCE}.{port}")))
        .collect();
    for (node, _) in &ways {
        let (what, hint) = match kind(node) {
            Some(NodeKind::Pipeline | NodeKind::Sink) => continue,
            Some(NodeKind::Source) => ("is a source, and takes no events", "feed its input again"),
            None => ("is not in the scripts", "load the scripts that had it"),
        };
        let error = format!("letters of node {}: it {what}", quote(node));
        return Err(Error::data(error).with_hint(format!(
            "{hint}, or choose others with --node; nothing was changed"
        )));
    }
    network.change(|draft| {
        draft.add_source(SOURCE, source)?;
        ways.iter()
            .try_for_each(|(node, port)| draft.link(port, node))
    })
}

fn count(nodes: &[(String, u64, u64)], limit: Option<usize>) -> usize {
    let all: u64 = nodes.iter().map(|(_, number, _)| number).sum();
    usize::try_from(all)
        .unwrap_or(usize::MAX)
        .min(limit.unwrap_or(usize::MAX))
}
