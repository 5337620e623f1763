//! DOT, the language of Graphviz, built and printed by graphviz-rust.
//!
//! Invariant: every name and label is a quoted string, so that no name is a keyword of DOT and
//! none ends its string early.

use super::{Arrow, Node, Picture, Shape};
use crate::network::runner::NodeKind;
use graphviz_rust::dot_structures as dot;
use graphviz_rust::dot_structures::{Attribute, EdgeTy, Id, NodeId, Stmt, Vertex};
use graphviz_rust::printer::{DotPrinter, PrinterContext};

pub(super) fn write(picture: &Picture) -> String {
    let mut stmts = vec![
        Stmt::Attribute(attribute("rankdir", plain("LR"))),
        Stmt::GAttribute(dot::GraphAttributes::Node(vec![
            attribute("shape", plain("box")),
            attribute("style", plain("rounded")),
        ])),
    ];
    stmts.extend(picture.nodes.iter().map(|n| Stmt::Node(node(n))));
    let edges = picture.arrows.iter().map(|a| edge(&picture.nodes, a));
    stmts.extend(edges.map(Stmt::Edge));
    let graph = dot::Graph::DiGraph {
        id: plain("network"),
        strict: false,
        stmts,
    };
    let mut text = graph.print(PrinterContext::default().with_semi());
    text.push('\n');
    text
}

fn node(node: &Node) -> dot::Node {
    let attributes = match node.shape {
        Shape::Node(NodeKind::Source) => vec![attribute("shape", plain("oval"))],
        Shape::Node(NodeKind::Pipeline) => vec![],
        Shape::Node(NodeKind::Sink) => vec![
            attribute("style", plain("solid")),
            attribute("peripheries", plain("2")),
        ],
        Shape::Open => vec![
            attribute("label", quoted(&node.label)),
            attribute("shape", plain("plaintext")),
        ],
    };
    dot::Node::new(NodeId(quoted(&node.id), None), attributes)
}

fn edge(nodes: &[Node], arrow: &Arrow) -> dot::Edge {
    let vertex = |at: usize| Vertex::N(NodeId(quoted(&nodes[at].id), None));
    let attributes = match arrow.label.as_str() {
        "" => vec![],
        label => vec![attribute("label", quoted(label))],
    };
    dot::Edge {
        ty: EdgeTy::Pair(vertex(arrow.from), vertex(arrow.to)),
        attributes,
    }
}

fn attribute(key: &str, value: Id) -> Attribute {
    Attribute(plain(key), value)
}

fn plain(word: &str) -> Id {
    Id::Plain(word.to_owned())
}

/// Graphviz reads backslashes and the entities of HTML in a label.
fn quoted(text: &str) -> Id {
    let text = text.replace('&', "&amp;");
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    Id::Escaped(format!("\"{text}\""))
}
