//! The README and the guide are true: each Lua and shell block in them is run, each link leads
//! somewhere, and their tables list what there is.
//!
//! A page has a directory of its own, and its blocks run in their order:
//!
//! - `lua`: the block is loaded with `tributary check`. A line before it that ends in "`name.lua`:"
//!   makes it a file of the directory, which later blocks use; `with:name.lua` loads such a file first.
//!   `helper` only writes the file: it is no script of its own. Nodes that a block links and doesn't
//!   create are forwarders.
//! - `sh`: a script for `bash -e`, which must succeed.
//! - `console`: lines after `$ ` (and `> `) are commands, the others what they print; `…` stands for
//!   anything within a line, and alone for any number of lines.
//! - `no-run:reason` keeps a block from being run. Those are counted.
//!
//! `cargo run` in a block is the binary, or the example, that the tests were built with. Blocks in Rust
//! are doc tests of the library.

mod blocks;
mod connectors;
mod examples;
mod limits;
mod links;
mod run;

use std::error::Error;
use std::path::{Path, PathBuf};

type Tested = Result<(), Box<dyn Error>>;

/// The most blocks that are shown and not run: each needs something that a test can't give it.
const MOST_NOT_RUN: usize = 7;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README and guide.
fn pages() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut pages = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("src/doc/guide"))? {
        pages.push(entry?.path());
    }
    pages.sort();
    Ok(pages)
}

macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        $(
            #[test]
            fn $test() -> Tested {
                run::page(&root().join($page))
            }
        )*

        /// Those that are run.
        const RUN: &[&str] = &[$($page),*];
    };
}

pages! {
    the_blocks_of_the_readme_run: "README.md",
    the_blocks_of_index_run: "src/doc/guide/index.md",
    the_blocks_of_getting_started_run: "src/doc/guide/getting_started.md",
    the_blocks_of_windows_run: "src/doc/guide/windows.md",
    the_blocks_of_time_run: "src/doc/guide/time.md",
    the_blocks_of_delivery_run: "src/doc/guide/delivery.md",
    the_blocks_of_links_run: "src/doc/guide/links.md",
    the_blocks_of_connectors_run: "src/doc/guide/connectors.md",
    the_blocks_of_formats_run: "src/doc/guide/formats.md",
    the_blocks_of_lua_nodes_run: "src/doc/guide/lua_nodes.md",
    the_blocks_of_functions_run: "src/doc/guide/functions.md",
    the_blocks_of_testing_run: "src/doc/guide/testing.md",
    the_blocks_of_command_line_run: "src/doc/guide/command_line.md",
    the_blocks_of_processes_run: "src/doc/guide/processes.md",
    the_blocks_of_embedding_run: "src/doc/guide/embedding.md",
    the_blocks_of_changing_run: "src/doc/guide/changing.md",
    the_blocks_of_nodes_run: "src/doc/guide/nodes.md",
    the_blocks_of_limits_run: "src/doc/guide/limits.md",
    the_blocks_of_operations_run: "src/doc/guide/operations.md",
}

#[test]
fn every_page_is_run() -> Tested {
    for page in pages()? {
        let name = page.strip_prefix(root())?.to_string_lossy();
        assert!(RUN.contains(&&*name), "{name} has no test here");
    }
    Ok(())
}

#[test]
fn few_blocks_are_shown_and_not_run() -> Tested {
    let mut reasons = Vec::new();
    for page in pages()? {
        let name = page
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for block in blocks::read(&std::fs::read_to_string(&page)?)? {
            if let Some(reason) = block.not_run() {
                reasons.push(format!("{name}:{}: {reason}", block.line));
            }
        }
    }
    println!(
        "{} blocks are not run:\n{}",
        reasons.len(),
        reasons.join("\n")
    );
    assert!(reasons.len() <= MOST_NOT_RUN, "{}", reasons.join("\n"));
    Ok(())
}

#[test]
fn every_option_of_the_command_line_is_in_the_guide() -> Tested {
    let mut guide = String::new();
    for page in pages()? {
        guide += &std::fs::read_to_string(page)?;
    }
    for verb in [
        "run",
        "replay",
        "check",
        "graph",
        "explain",
        "test",
        "repl",
        "functions",
        "dlq list",
        "dlq show",
        "dlq requeue",
        "dlq purge",
    ] {
        let help = run::command(&format!("tributary {verb} --help"))?;
        for word in help.split_whitespace() {
            let Some(option) = word.strip_prefix("--") else {
                continue;
            };
            let option = option.trim_end_matches(['.', ',', ':']);
            let is_known = option == "help" || guide.contains(&format!("--{option}"));
            assert!(is_known, "--{option} of {verb} is in no page of the guide");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn the_example_advanced_runs_on_mariadb_as_the_guide_shows() -> Tested {
    let url = crate::support::mariadb::server().database();
    let command = format!("cargo run --release --example advanced -- '{url}' --for 10s");
    let printed = run::command(&command)?;
    assert!(printed.contains("\"liability\":"), "{printed}");
    Ok(())
}
