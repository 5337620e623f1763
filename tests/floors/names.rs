//! The names of files in the documentation: each is there.
//!
//! A name stands between backticks and ends in `.rs`, `.lua`, `.md` or `.toml`, or begins with a folder of
//! the top level. In `src/doc` and in the headers of modules it may be below `src`, and a short name may be
//! below any folder of `src`.

use super::Result;
use std::fs;
use std::path::{Path, PathBuf};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Names of files that are not there: they belong to the reader, or are placeholders.
const OTHERS: [&str; 6] = [
    "name.lua",
    "src/connect/NAME.rs",
    "src/connect/tin.rs",
    "src/store/NAME.rs",
    "src/store/NAME/",
    "tin.rs",
];

/// All files below a folder.
fn below(folder: &Path, found: &mut Vec<PathBuf>) -> Result {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            below(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// The names of files in a text. Blocks of code are not read.
fn names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start_matches(['/', '!', ' ']).starts_with("```") {
            is_code = !is_code;
        }
        if !is_code {
            names.extend(
                line.split('`')
                    .skip(1)
                    .step_by(2)
                    .filter(|name| is_file(name)),
            );
        }
    }
    names
}

fn is_file(name: &str) -> bool {
    let is_path = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let ends = [".rs", ".lua", ".md", ".toml"]
        .iter()
        .any(|end| name.len() > end.len() && name.ends_with(end));
    let begins = ["src/", "tests/", "benches/", "examples/", "lua/"]
        .iter()
        .any(|start| name.starts_with(start));
    is_path && (ends || begins)
}

/// The header of a module.
fn header(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.starts_with("//!"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_file_that_the_documentation_names_is_there() -> Result {
    let mut all = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "lua"] {
        below(&root().join(folder), &mut all)?;
    }
    let files: Vec<String> = all
        .iter()
        .map(|path| format!("/{}", path.display()))
        .collect();
    let is_there = |name: &str| {
        let end = format!("/{name}");
        root().join(name).exists() || files.iter().any(|file| file.ends_with(&end))
    };
    let mut missing = Vec::new();
    for path in &all {
        let text = match path.extension().and_then(|end| end.to_str()) {
            Some("md") => fs::read_to_string(path)?,
            Some("rs") => header(&fs::read_to_string(path)?),
            _ => continue,
        };
        // The changelog names what was there, the guide the files of its reader.
        if path.ends_with("changelog.md") || path.starts_with(root().join("src/doc/guide")) {
            continue;
        }
        let strange = names(&text)
            .into_iter()
            .filter(|name| !OTHERS.contains(name) && !is_there(name));
        missing.extend(strange.map(|name| format!("{}: {name}", path.display())));
    }
    assert!(
        missing.is_empty(),
        "there is no such file:\n{}",
        missing.join("\n")
    );
    Ok(())
}

#[test]
fn names_of_files_are_recognized() {
    let text = "//! See `a/b.rs` and `x.y`, `*.rs`, `tests/run`.\n//! ```\n//! `no.rs`\n//! ```\n";
    assert_eq!(names(text), ["a/b.rs", "tests/run"]);
    assert_eq!(header(&format!("{text}\nuse a;\n")), text);
}
