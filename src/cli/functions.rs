//! `tributary functions`: every Lua function, with its arguments and one line about it.

use super::{load, print};
use std::path::PathBuf;
use tributary::Result;
use tributary::script::{functions, functions_in};

/// Print every Lua function of the module `tributary`.
#[derive(clap::Args)]
pub struct Options {
    /// A directory of Lua helpers of your own (in place of that in TRIBUTARY_PRELUDE)
    #[arg(long, value_name = "DIR")]
    prelude: Option<PathBuf>,
}

pub fn run(options: &Options) -> Result<()> {
    let mut functions = functions();
    if let Some(directory) = load::prelude(options.prelude.as_deref()) {
        functions.extend(functions_in(directory)?);
    }
    let calls: Vec<String> = functions
        .iter()
        .map(|f| format!("{}({})", f.name, f.arguments))
        .collect();
    let mut text = String::new();
    for (call, function) in calls.iter().zip(&functions) {
        text.push_str(&format!("{call}\n    {}\n", function.about));
    }
    print(&text)
}
