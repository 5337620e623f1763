//! `tributary explain`: how windows keep their answers up to date.

use super::{load, print};
use tributary::{Error, Result};

/// Say how the windows that the scripts build keep their answers up to date; runs nothing.
///
/// For each window: the plan, why it is this one and no better one, what is emitted, the SQL that
/// is run and the indexes that serve it.
#[derive(clap::Args)]
#[command(override_usage = "tributary explain [OPTIONS] <SCRIPT>... [NODE]")]
pub struct Options {
    #[command(flatten)]
    load: load::Scripts,
}

pub fn run(options: &Options) -> Result<()> {
    let mut scripts = options.load.scripts.clone();
    // What comes last and is no file is the node that is asked for.
    let node = match scripts.as_slice() {
        [_, .., last] if !last.exists() => scripts.pop(),
        _ => None,
    };
    let node = node.map(|node| node.to_string_lossy().into_owned());
    let (_, runtime) = load::open(&scripts, &options.load.setup)?;
    let mut explanations = match &node {
        Some(node) => vec![(node.clone(), runtime.explain(node)?)],
        None => runtime.explanations(),
    };
    explanations.sort_by(|a, b| a.0.cmp(&b.0));
    if explanations.is_empty() {
        return Err(Error::data(
            "the scripts make no window, so there is nothing to explain",
        ));
    }
    let texts: Vec<String> = explanations
        .iter()
        .map(|(name, explanation)| format!("{name}\n{}", indented(&explanation.to_string())))
        .collect();
    print(&texts.join("\n"))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
