//! `tributary functions`: every Lua function, with its arguments and one line about it; or one of them,
//! with all its options, as the annotations for editors have them.

use super::{load, print};
use crate::error::quote;
use crate::format::{READ_OPTIONS, WRITE_OPTIONS};
use crate::script::{Signature, functions, functions_in};
use crate::{Error, ErrorKind, Result, connect};
use std::path::PathBuf;

/// The annotations for editors; a test compares them with what the functions take.
const ANNOTATIONS: &str = include_str!("../../lua/meta/tributary.lua");

/// Print every Lua function of the module `tributary`, or one with all its options.
#[derive(clap::Args)]
pub struct Options {
    /// The function to print with the types, defaults and meanings of its options
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// A directory with your own Lua helpers (overrides TRIBUTARY_PRELUDE)
    #[arg(long, value_name = "DIR")]
    prelude: Option<PathBuf>,
}

pub fn run(options: &Options) -> Result<()> {
    let mut functions = functions();
    if let Some(directory) = load::prelude(options.prelude.as_deref()) {
        functions.extend(functions_in(directory)?);
    }
    let Some(name) = &options.name else {
        return print(&functions.iter().map(head).collect::<String>());
    };
    print(&described(name, &functions)?)
}

/// A function of the module with all its options.
pub(super) fn help(name: &str) -> Result<String> {
    described(name, &functions())
}

fn described(name: &str, functions: &[Signature]) -> Result<String> {
    // As it stands in a script, too.
    let name = name.strip_prefix("tb.").unwrap_or(name);
    let found = functions.iter().find(|function| function.name == name);
    let function = found.ok_or_else(|| unknown(name, functions))?;
    Ok(format!("{}{}", head(function), details(name)))
}

fn head(function: &Signature) -> String {
    let Signature {
        name,
        arguments,
        about,
    } = function;
    format!("{name}({arguments})\n    {about}\n")
}

fn unknown(name: &str, functions: &[Signature]) -> Error {
    let error = Error::new(ErrorKind::Usage, format!("no function {}", quote(name)));
    let known = functions.iter().map(|function| function.name.as_str());
    let near = known
        .map(|known| (strsim::osa_distance(name, known), known))
        .min();
    match near.filter(|(distance, _)| *distance <= name.len().div_ceil(3)) {
        Some((_, near)) => error.with_hint(format!("did you mean {}?", quote(near))),
        None => error.with_hint("`tributary functions` lists them"),
    }
}

/// The parameters of a function, each with its options.
fn details(name: &str) -> String {
    let begin = format!("function tb.{name}(");
    let before = ANNOTATIONS
        .lines()
        .take_while(|line| !line.starts_with(&begin));
    let comments: Vec<&str> = before.collect();
    // Helpers of a user have no annotations.
    if comments.len() == ANNOTATIONS.lines().count() {
        return String::new();
    }
    let own = comments.iter().rev().take_while(|line| !line.is_empty());
    let own: Vec<&&str> = own.collect();
    let mut text = String::new();
    for line in own.iter().rev() {
        let Some(parameter) = line.strip_prefix("---@param ") else {
            continue;
        };
        let (field, rest) = parameter.split_once(' ').unwrap_or((parameter, ""));
        let (kind, about) = split_type(rest);
        text.push_str(&entry("", field, &plain(kind), about));
        for class in classes(kind) {
            text.push_str(&fields(class));
        }
        if (name, field) == ("create_source", "options?")
            || (name, field) == ("create_sink", "options?")
        {
            text.push_str(&connectors(name == "create_source"));
        }
    }
    text
}

/// The options of each connector.
fn connectors(sources: bool) -> String {
    let mut text = String::new();
    for (scheme, of_source, of_sink) in connect::option_names() {
        let names = if sources { of_source } else { of_sink };
        if let Some(names) = names {
            let names = match names {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            text.push_str(&format!("    {scheme}: {names}\n"));
        }
    }
    let (of_sources, of_sinks) = connect::byte_schemes();
    let (schemes, names) = if sources {
        (of_sources, READ_OPTIONS)
    } else {
        (of_sinks, WRITE_OPTIONS)
    };
    let (schemes, names) = (schemes.join(", "), names.join(", "));
    text.push_str(&format!("    the format of {schemes}: {names}\n"));
    text
}

/// A type, which may have blanks in its brackets, and what follows it.
fn split_type(text: &str) -> (&str, &str) {
    let (mut depth, mut before) = (0_u32, ' ');
    for (at, c) in text.char_indices() {
        match c {
            '(' | '{' | '<' => depth += 1,
            ')' | '}' | '>' => depth = depth.saturating_sub(1),
            // What a function returns belongs to its type.
            ' ' if depth == 0 && before != ':' => return (&text[..at], text[at..].trim_start()),
            _ => {}
        }
        before = c;
    }
    (text, "")
}

/// The classes of options that a type names.
fn classes(kind: &str) -> impl Iterator<Item = &str> {
    let names = kind
        .split('|')
        .filter_map(|one| one.strip_prefix("tributary."));
    names.filter(|name| !matches!(*name, "Event" | "Emit"))
}

/// A type as a person reads it.
fn plain(kind: &str) -> String {
    let names = kind.split('|').map(|one| match classes(one).next() {
        Some(_) => "table",
        None => one,
    });
    let names: Vec<&str> = names.collect();
    names.join("|").replace("tributary.", "")
}

/// The fields of a class, and of those that it extends.
fn fields(class: &str) -> String {
    let head = format!("---@class tributary.{class}");
    let is_head = |line: &&str| {
        let rest = line.strip_prefix(&head);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    };
    let mut lines = ANNOTATIONS.lines().skip_while(|line| !is_head(line));
    let extended = lines
        .next()
        .and_then(|line| line.split_once(": tributary."));
    let mut text = String::new();
    for line in lines.map_while(|line| line.strip_prefix("---@field ")) {
        let (field, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (kind, about) = split_type(rest);
        text.push_str(&entry("    ", field, &plain(kind), about));
    }
    if let Some((_, class)) = extended {
        text.push_str(&fields(class));
    }
    text
}

fn entry(indent: &str, name: &str, kind: &str, about: &str) -> String {
    match about {
        "" => format!("{indent}{name}: {kind}\n"),
        about => format!("{indent}{name}: {kind}\n{indent}    {about}\n"),
    }
}
