//! `tributary explain`: how windows keep their answers up to date.

use super::{load, print};
use crate::{Error, Result};

/// Explain how the windows of the scripts keep their results up to date; runs nothing.
///
/// For each window: the plan, the reason, why no better one is possible, what is emitted, the SQL that is run
/// and the indexes that it uses.
#[derive(clap::Args)]
#[command(override_usage = "tributary explain [OPTIONS] <SCRIPT>... [NODE]")]
pub struct Options {
    #[command(flatten)]
    load: load::Scripts,
}

pub fn run(options: &Options) -> Result<()> {
    let (scripts, last) = match options.load.scripts.as_slice() {
        [scripts @ .., last] if !scripts.is_empty() => (scripts, Some(last)),
        scripts => (scripts, None),
    };
    let (network, runtime) = load::open(scripts, &options.load.setup)?;
    // What comes last is the node that is asked for, if the scripts before it make one that is
    // called so, whatever lies in the directory; or if it is no file.
    let node = match last.map(|last| (last, last.to_string_lossy())) {
        Some((last, name)) if !network.node_exists(&name) && last.exists() => {
            runtime.run(last).map_err(load::with_way_to_add)?;
            None
        }
        last => last.map(|(_, name)| name.into_owned()),
    };
    let mut explanations = match &node {
        Some(node) => vec![(node.clone(), runtime.explain(node)?)],
        None => runtime.explanations(),
    };
    explanations.sort_by(|a, b| a.0.cmp(&b.0));
    let joins = match node {
        Some(_) => Vec::new(),
        None => runtime.branch_joins(),
    };
    if explanations.is_empty() && joins.is_empty() {
        return Err(Error::data(
            "the scripts make no window, so there is nothing to explain",
        ));
    }
    let mut texts: Vec<String> = explanations
        .iter()
        .map(|(name, explanation)| format!("{name}\n{}", indented(&explanation.to_string())))
        .collect();
    texts.extend(joins.iter().map(|join| format!("warning: {join}\n")));
    print(&texts.join("\n"))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
