//! The annotations for editors and the guide's table list the functions that there are.

use crate::support::binary::functions;
use std::collections::BTreeMap;
use std::error::Error;
use tributary::{Network, Runtime};

type Tested = Result<(), Box<dyn Error>>;

const META: &str = include_str!("../../../lua/meta/tributary.lua");

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
fn every_function_is_annotated_with_what_it_does() -> Tested {
    let mut annotated = annotated();
    // That one is there in files of tests alone.
    assert!(annotated.remove("test").is_some());
    for function in functions(&[])? {
        let Some((about, _)) = annotated.remove(&function.name) else {
            panic!("{} is not annotated", function.name);
        };
        assert_eq!(about, function.about, "of {}", function.name);
    }
    assert!(annotated.is_empty(), "there is no function {annotated:?}");
    Ok(())
}

#[test]
fn the_annotations_are_lua() -> Tested {
    let runtime = Runtime::new(&Network::new())?;
    runtime.compile_text("tributary.lua", META)?;
    Ok(())
}

#[test]
fn the_guide_lists_every_function() -> Tested {
    let page = include_str!("../../../src/doc/guide/functions.md");
    let listed: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let wanted: Vec<String> = functions(&[])?
        .iter()
        .map(|f| format!("| `{}({})` | {} |", f.name, f.arguments, f.about))
        .collect();
    assert_eq!(listed, wanted);
    Ok(())
}

/// The fields of each class of options: the name, and whether it may be left out.
fn classes() -> BTreeMap<String, Vec<(String, bool)>> {
    let mut found: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
    let mut class = String::new();
    for line in META.lines() {
        if let Some(head) = line.strip_prefix("---@class tributary.") {
            let (name, base) = head.split_once(": tributary.").unwrap_or((head, ""));
            class = name.to_owned();
            let inherited = found.get(base).cloned().unwrap_or_default();
            found.insert(class.clone(), inherited);
        } else if let Some(field) = line.strip_prefix("---@field ") {
            let name = field.split(' ').next().unwrap_or_default();
            let field = (name.trim_end_matches('?').to_owned(), name.ends_with('?'));
            found.entry(class.clone()).or_default().push(field);
        }
    }
    found
}

/// A call of each function that takes options, with one that there is not, and their class.
const WITH_OPTIONS: [(&str, &str); 21] = [
    ("create_batch('x', {?})", "Batch"),
    ("create_changed('x', {?})", "Changed"),
    ("create_deadman('x', '1s', {?})", "Deadman"),
    ("create_debounce('x', '1s', {?})", "Held"),
    ("create_delay('x', '1s', {?})", "Delay"),
    ("create_dlq('x', {?})", "DeadLetters"),
    ("create_file_sink('x', 'y', {?})", "FileSink"),
    ("create_file_source('x', 'y', {?})", "FileSource"),
    ("create_filter('x', '1s', {?})", "Filter"),
    ("create_generator('x', function() end, {?})", "Generator"),
    ("create_parse('x', {?})", "Parse"),
    ("create_process('x', {?})", "Process"),
    ("create_sample('x', '1s', {?})", "Held"),
    ("create_sql_sink('x', {?})", "SqlSink"),
    ("create_stdin('x', {?})", "ReadFormat"),
    ("create_stdout('x', {?})", "WriteFormat"),
    ("create_throttle('x', 1, '1s', {?})", "Throttle"),
    ("balance('x', 'y', 'z', {?})", "Balance"),
    ("link('x', 'y', {?})", "LinkOptions"),
    ("on_error('x', {?})", "OnError"),
    ("window('x', 'y', {?})", "Window"),
];

#[test]
fn the_annotated_options_are_those_that_the_functions_take() -> Tested {
    let classes = classes();
    for (call, class) in WITH_OPTIONS {
        let script = format!(
            "require('tributary').{}",
            call.replace('?', "qqqqqqqqqqqq = true")
        );
        let refused = Runtime::new(&Network::new())?.run_text("net.lua", script);
        let error = refused.expect_err("an option that there is not");
        let hint = error.hint().unwrap_or_default();
        let known = hint
            .strip_prefix("its options are ")
            .or_else(|| hint.strip_prefix("it takes "));
        let known = known.unwrap_or_else(|| panic!("{call}: {error}"));
        let mut known: Vec<&str> = known.split(", ").collect();
        let mut annotated: Vec<&str> = classes[class].iter().map(|(name, _)| &**name).collect();
        known.sort_unstable();
        annotated.sort_unstable();
        assert_eq!(annotated, known, "of {call}");
    }
    Ok(())
}

#[test]
fn an_option_that_may_be_left_out_is_annotated_as_optional() {
    let needed = [
        ("Changed", "by"),
        ("Multiline", "start"),
        ("Process", "process"),
        ("SqlSink", "table"),
        ("Table", "columns"),
        ("Window", "table"),
        ("Window", "query"),
    ];
    // What scripts are given, not what they give.
    let given = ["Event", "Test"];
    for (class, fields) in classes() {
        for (field, is_optional) in fields {
            let is_needed = needed.contains(&(&*class, &*field)) || given.contains(&&*class);
            assert_ne!(is_optional, is_needed, "{class}.{field}");
        }
    }
    // A table of options is a class, so that each of its fields is looked at above.
    let parameters = META.lines().filter(|line| line.starts_with("---@param"));
    for parameter in parameters {
        assert!(!parameter.contains(" {"), "{parameter}");
    }
}

#[test]
fn every_option_is_annotated_with_its_meaning() {
    for line in META.lines().filter(|line| line.starts_with("---@field ")) {
        // The name, the type, and words.
        let words = line.split(' ').count();
        let is_test = line.contains("tributary.Test");
        assert!(words > 3 || is_test, "{line}");
    }
}
