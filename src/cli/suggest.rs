//! Suggestions for a mistyped verb or option: clap misses swapped letters in short
//! words, as in `--fro` for `--for`.

use super::Cli;
use clap::error::{ContextKind, ContextValue};
use clap::{Command, CommandFactory, Error};

/// Adds the nearest verb or option within two edits, where clap has found none.
pub fn complete(mut error: Error) -> Error {
    let mut cli = Cli::command();
    cli.build();
    let verbs = || cli.get_subcommands().map(|verb| verb.get_name().to_owned());
    if let Some(wrong) = text(&error, ContextKind::InvalidSubcommand)
        && error.get(ContextKind::SuggestedSubcommand).is_none()
        && let Some(meant) = nearest(&wrong, verbs())
    {
        let meant = ContextValue::Strings(vec![meant]);
        error.insert(ContextKind::SuggestedSubcommand, meant);
    }
    if let Some(wrong) = text(&error, ContextKind::InvalidArg).filter(|wrong| wrong.len() > 3)
        && error.kind() == clap::error::ErrorKind::UnknownArgument
        && error.get(ContextKind::SuggestedArg).is_none()
    {
        // That an option may also be the name of a script is rarely what was meant.
        error.remove(ContextKind::Suggested);
        let verb = std::env::args().find_map(|arg| cli.find_subcommand(arg));
        if let Some(meant) = nearest(&wrong, options(verb.unwrap_or(&cli))) {
            error.insert(ContextKind::SuggestedArg, ContextValue::String(meant));
        }
    }
    error
}

fn options(command: &Command) -> impl Iterator<Item = String> {
    let longs = command.get_arguments().filter_map(clap::Arg::get_long);
    longs.map(|long| format!("--{long}"))
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn nearest(wrong: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    candidates
        .map(|candidate| (strsim::osa_distance(wrong, &candidate), candidate))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, candidate)| candidate)
}
