//! The tables of connectors list the options and the meta that there are.

use super::{Tested, root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use tributary::connect::option_names;
use tributary::format::{FORMATS, READ_OPTIONS, WRITE_OPTIONS};

const PAGE: &str = include_str!("../../../src/doc/guide/connectors.md");

/// The first cells of the rows of a table under `### heading`, which has this first column: without
/// their backticks.
fn column(heading: &str, first: &str) -> Option<BTreeSet<String>> {
    let section = PAGE.split("\n## ").find(|section| {
        let title = section.lines().next().unwrap_or_default();
        title
            .split(", ")
            .any(|name| name.trim_matches('`').trim_end_matches(':') == heading)
    })?;
    let head = format!("| {first} |");
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with(&head))
        .skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let names = cells.filter_map(|cell| {
        // "`name` (`scheme:`)": where a section has several schemes and not all have it.
        let (name, only) = cell.trim().split_once(" (").unwrap_or((cell.trim(), ""));
        let is_here = only.is_empty() || only.contains(&format!("`{heading}:`"));
        is_here.then(|| name.trim_matches('`').to_owned())
    });
    let names: BTreeSet<String> = names.collect();
    (!names.is_empty()).then_some(names)
}

#[test]
fn each_connector_has_a_table_of_its_options() {
    for (scheme, source, sink) in option_names() {
        for (role, options) in [("source option", source), ("sink option", sink)] {
            let wanted: BTreeSet<String> = options
                .unwrap_or_default()
                .iter()
                .map(|o| (*o).to_owned())
                .collect();
            let mut listed = column(scheme, role).unwrap_or_default();
            listed.extend(column(scheme, "option of both").unwrap_or_default());
            if options.is_some() {
                assert_eq!(listed, wanted, "the table of {scheme}: {role}");
            }
        }
    }
}

#[test]
fn the_page_of_formats_lists_every_format_and_every_option() {
    let page = include_str!("../../../src/doc/guide/formats.md");
    let listed = |first: &str| -> Vec<String> {
        let head = format!("| {first} ");
        let rows = page
            .lines()
            .skip_while(|line| !line.starts_with(&head))
            .skip(2);
        let rows = rows.take_while(|line| line.starts_with('|'));
        let cells = rows.filter_map(|row| row.split('|').nth(1));
        cells
            .map(|cell| cell.trim().trim_matches(['`', '"']).to_owned())
            .collect()
    };
    let mut formats: Vec<&str> = FORMATS.to_vec();
    formats.push("{ pattern = \"…\" }");
    assert_eq!(listed("format"), formats);
    assert_eq!(listed("source option"), READ_OPTIONS);
    assert_eq!(listed("sink option"), WRITE_OPTIONS);
}

#[test]
fn each_connector_has_a_table_of_its_meta() -> Tested {
    let mut set: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for scheme in [
        "amqp", "exec", "http", "kafka", "lines", "mqtt", "nats", "redis", "sql", "stream",
    ] {
        let found = set.entry(scheme).or_default();
        let folder = root().join("src/connect").join(scheme);
        let mut files = vec![folder.with_extension("rs")];
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            files.push(entry?.path());
        }
        for file in files.iter().filter(|file| file.is_file()) {
            let text = fs::read_to_string(file)?;
            let keys = text.split("with_meta(\"").skip(1);
            found.extend(
                keys.filter_map(|rest| rest.split('"').next())
                    .map(str::to_owned),
            );
        }
    }
    for (module, wanted) in set {
        let scheme = match module {
            "lines" => "file",
            "stream" => "tcp",
            module => module,
        };
        assert_eq!(
            column(scheme, "meta").unwrap_or_default(),
            wanted,
            "the meta of {scheme}"
        );
    }
    Ok(())
}
