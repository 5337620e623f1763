//! What editors are told of the module is what there is, and so is the README.

use std::collections::BTreeMap;
use std::error::Error;
use tributary::script::functions;
use tributary::{Network, Runtime};

type Tested = Result<(), Box<dyn Error>>;

const META: &str = include_str!("../../lua/meta/tributary.lua");

/// The functions that are annotated: the first line about each, and its parameters.
fn annotated() -> BTreeMap<String, (String, Vec<String>)> {
    let mut found = BTreeMap::new();
    let mut comments: Vec<&str> = Vec::new();
    for line in META.lines() {
        if let Some(comment) = line.strip_prefix("---") {
            comments.push(comment);
        } else if let Some(rest) = line.strip_prefix("function tb.") {
            let (name, rest) = rest.split_once('(').expect("a parenthesis");
            let given = rest.split(')').next().unwrap_or_default();
            let given: Vec<&str> = given.split(", ").filter(|name| !name.is_empty()).collect();
            let parameters = comments.iter().filter_map(|c| c.strip_prefix("@param "));
            let parameters: Vec<String> = parameters
                .map(|p| p.split([' ', '?']).next().unwrap_or_default().to_owned())
                .collect();
            assert_eq!(parameters, given, "the parameters of {name}");
            let about = comments.first().copied().unwrap_or_default().to_owned();
            found.insert(name.to_owned(), (about, parameters));
            comments.clear();
        } else {
            comments.clear();
        }
    }
    found
}

#[test]
fn every_function_is_annotated_with_what_it_does() {
    let mut annotated = annotated();
    // That one is there in files of tests alone.
    assert!(annotated.remove("test").is_some());
    for function in functions() {
        let Some((about, _)) = annotated.remove(&function.name) else {
            panic!("{} is not annotated", function.name);
        };
        assert_eq!(about, function.about, "of {}", function.name);
    }
    assert!(annotated.is_empty(), "there is no function {annotated:?}");
}

#[test]
fn the_annotations_are_lua() -> Tested {
    let runtime = Runtime::new(&Network::new())?;
    runtime.compile_text("tributary.lua", META)?;
    Ok(())
}

#[test]
fn the_readme_lists_every_function() {
    let readme = include_str!("../../README.md");
    let listed: Vec<&str> = readme
        .lines()
        .skip_while(|line| *line != "## Lua functions")
        .filter(|line| line.starts_with("| `"))
        .collect();
    let wanted: Vec<String> = functions()
        .iter()
        .map(|f| format!("| `{}({})` | {} |", f.name, f.arguments, f.about))
        .collect();
    assert_eq!(listed, wanted);
}
