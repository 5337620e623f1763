//! Each relative link of the documents leads to a file, or to a heading.

use super::{Tested, pages, root};
use std::collections::BTreeSet;
use std::path::Path;

/// The targets of links: `](target)` and `[label]: target`.
fn targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        let inline = line.split("](").skip(1);
        found.extend(
            inline
                .filter_map(|rest| rest.split(')').next())
                .map(str::to_owned),
        );
        if line.starts_with('[')
            && let Some((_, target)) = line.split_once("]: ")
        {
            found.push(target.to_owned());
        }
    }
    found
}

/// The anchor of a heading, as code hosts and rustdoc make it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_to_a_file_leads_to_one() -> Tested {
    let mut documents = pages()?;
    let doc = root().join("src/doc");
    for name in [
        "changelog.md",
        "contributing.md",
        "design.md",
        "glossary.md",
    ] {
        documents.push(doc.join(name));
    }
    for document in documents.iter().filter(|path| path.exists()) {
        let directory = document.parent().unwrap_or(Path::new("."));
        let text = std::fs::read_to_string(document)?;
        let headings = text.lines().filter(|line| line.starts_with('#'));
        let anchors: BTreeSet<String> = headings.map(anchor).collect();
        for target in targets(&text) {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            if path.is_empty() {
                assert!(
                    anchors.contains(anchor),
                    "{}: no heading {anchor}",
                    document.display()
                );
            }
            // Names of Rust items are checked by rustdoc.
            let is_file = path.ends_with(".md") || path.contains('/') || path.ends_with(".lua");
            if !is_file || path.contains("://") {
                continue;
            }
            let exists = directory.join(path).exists();
            assert!(exists, "{}: nothing at {target}", document.display());
        }
    }
    Ok(())
}

#[test]
fn every_page_of_the_guide_is_reached_from_its_contents() -> Tested {
    let guide = root().join("src/doc/guide");
    let contents = std::fs::read_to_string(guide.join("index.md"))?;
    let library = std::fs::read_to_string(root().join("src/lib.rs"))?;
    for page in pages()? {
        let name = page
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name == "README.md" || name == "index.md" {
            continue;
        }
        assert!(
            contents.contains(&format!("({name})")) || contents.contains(&format!("]: {name}")),
            "{name}"
        );
        assert!(
            library.contains(&format!("doc/guide/{name}")),
            "{name} is no module of rustdoc"
        );
    }
    Ok(())
}
