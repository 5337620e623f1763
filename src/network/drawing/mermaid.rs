//! Mermaid, which Markdown viewers draw.
//!
//! Invariant: a node's id is a number of ours and its name only a label, because Mermaid takes
//! some names (`end`, `graph`, `a--b`) for its own words.

use super::{Picture, Shape};
use crate::network::runner::NodeKind;

pub(super) fn write(picture: &Picture) -> String {
    let mut text = String::from("flowchart LR\n");
    for (at, node) in picture.nodes.iter().enumerate() {
        let (open, close) = match node.shape {
            Shape::Node(NodeKind::Source) => ("([", "])"),
            Shape::Node(NodeKind::Pipeline) => ("(", ")"),
            Shape::Node(NodeKind::Sink) => ("[[", "]]"),
            Shape::Open => ("[", "]"),
        };
        text.push_str(&format!("  n{at}{open}{}{close}\n", quoted(&node.label)));
    }
    for arrow in &picture.arrows {
        let label = match arrow.label.as_str() {
            "" => String::new(),
            label => format!("|{}|", quoted(label)),
        };
        text.push_str(&format!("  n{} -->{label} n{}\n", arrow.from, arrow.to));
    }
    let mut open = picture.nodes.iter().enumerate();
    while let Some((at, _)) = open.find(|(_, node)| node.shape == Shape::Open) {
        text.push_str(&format!("  style n{at} fill:none,stroke:none\n"));
    }
    text
}

/// Mermaid has characters by number between `#` and `;` and has no other way to escape.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '\\' | '`' => {
                quoted.push_str(&format!("#{};", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
