//! `tributary graph`: draws the network that scripts build.

use super::{load, print};
use crate::{DrawingFormat, Result};

/// Draw the network that the scripts build, with nodes that are not linked; runs nothing.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    load: load::Scripts,

    /// The format: dot, svg or mermaid
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: DrawingFormat,
}

pub fn run(options: &Options) -> Result<()> {
    let mut drawing = load::load(&options.load)?.draw(options.format);
    if !drawing.ends_with('\n') {
        drawing.push('\n');
    }
    print(&drawing)
}
