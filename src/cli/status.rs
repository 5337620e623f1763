//! `tributary status`: one screen about a running network.

use super::print;
use super::remote::{Remote, ask};
use super::screen::Screen;
use crate::{Error, ErrorKind, Result};

/// Show a running network that was started with --admin: its state, its bottleneck, and a line for each node.
///
/// Ends with code 1 if the network is not ready: it does not run, or a node is not open.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    remote: Remote,

    /// Print the account of every node and link as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<()> {
    let stats = ask(&options.remote.client()?, "/api/v1/stats")?;
    let screen = Screen::new(&stats);
    if options.json {
        print(&format!("{stats}\n"))?
    } else {
        print(&format!(
            "{}\n{}",
            screen.summary(),
            screen.table(usize::MAX)
        ))?
    }
    let not_open = screen.not_open();
    if screen.state() == "running" && not_open.is_empty() {
        return Ok(());
    }
    let why = if not_open.is_empty() {
        format!("it is {}", screen.state())
    } else {
        not_open.join(", ")
    };
    let error = format!(
        "the network at {} is not ready: {why}",
        options.remote.address()
    );
    Err(Error::new(ErrorKind::Failed, error))
}
