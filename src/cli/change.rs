//! `tributary reload`, `load` and `unload`: change what a running process runs.

use super::print;
use super::remote::{Remote, change};
use crate::Result;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Have a running process load its scripts again, and change what has changed in them
///
/// Nodes whose call has not changed go on. The process prints the plan: keep, replace with state, replace,
/// add, remove.
#[derive(clap::Args)]
pub struct Reload {
    #[command(flatten)]
    remote: Remote,

    /// Only this script; without it all scripts, in the order in which they were loaded
    #[arg(value_name = "SCRIPT")]
    script: Option<PathBuf>,

    #[command(flatten)]
    shown: Shown,

    #[command(flatten)]
    how: How,
}

/// Have a running process load one more script
#[derive(clap::Args)]
pub struct Load {
    #[command(flatten)]
    remote: Remote,

    /// The script; the process reads it
    #[arg(value_name = "SCRIPT")]
    script: PathBuf,

    #[command(flatten)]
    shown: Shown,

    #[command(flatten)]
    how: How,
}

/// Have a running process remove everything that a script has made
#[derive(clap::Args)]
pub struct Unload {
    #[command(flatten)]
    remote: Remote,

    /// The script
    #[arg(value_name = "SCRIPT")]
    script: PathBuf,

    #[command(flatten)]
    shown: Shown,
}

#[derive(clap::Args)]
struct How {
    /// Print the plan, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Replace nodes also where, by the plan, results are incomplete for a while
    #[arg(long)]
    accept_loss: bool,
}

impl How {
    /// As a part of a query.
    fn query(&self) -> String {
        let (dry_run, accept_loss) = (u8::from(self.dry_run), u8::from(self.accept_loss));
        format!("dry_run={dry_run}&accept_loss={accept_loss}")
    }
}

#[derive(clap::Args)]
struct Shown {
    /// Print the answer of the API
    #[arg(long)]
    json: bool,
}

pub fn reload(options: &Reload) -> Result<()> {
    let mut path = format!("/api/v1/reload?{}", options.how.query());
    if let Some(script) = &options.script {
        path.push_str(&format!("&unit={}", name(script)));
    }
    show(&change(&options.remote.client()?, &path)?, &options.shown)
}

pub fn load(options: &Load) -> Result<()> {
    let (name, how) = (name(&options.script), options.how.query());
    let path = format!("/api/v1/load?unit={name}&{how}");
    show(&change(&options.remote.client()?, &path)?, &options.shown)
}

pub fn unload(options: &Unload) -> Result<()> {
    let path = format!("/api/v1/unload?unit={}", name(&options.script));
    show(&change(&options.remote.client()?, &path)?, &options.shown)
}

/// The path of a script as the process finds it, which may have another directory; percent-encoded.
fn name(script: &Path) -> String {
    let full = script.canonicalize().unwrap_or_else(|_| script.to_owned());
    crate::secret::percent_encoded(&full.to_string_lossy())
}

/// Prints the plans: with the name of the script before each, where there are several.
fn show(answer: &Value, shown: &Shown) -> Result<()> {
    if shown.json {
        return print(&format!("{answer}\n"));
    }
    let units = answer["units"].as_array().cloned().unwrap_or_default();
    let mut text = String::new();
    for unit in &units {
        if units.len() > 1 {
            text.push_str(&format!("{}:\n", unit["unit"].as_str().unwrap_or_default()));
        }
        text.push_str(unit["text"].as_str().unwrap_or_default());
    }
    if units.is_empty() {
        text.push_str("no script was loaded from a file\n");
    }
    print(&text)
}
