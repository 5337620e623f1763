//! Pictures of a network: as DOT, as Mermaid, as SVG.
//!
//! A [`Picture`] is made of the graph once and written by one module per format: `dot` (built and
//! printed by graphviz-rust), `mermaid`, and `svg` with its `layout` (no Graphviz is needed for
//! it). What all formats share is decided here: which arrows there are, what they are labelled
//! with, and that an open end is drawn as `_`.
//!
//! Invariant: a picture depends on the graph alone, and everything in it stands in the order of
//! creation, so that the same network is always the same text. A writer escapes all that it is
//! given. To add a format, add a variant to [`DrawingFormat`] and a module with one function.

mod dot;
mod layout;
mod mermaid;
mod placed;
mod svg;

use super::Network;
use super::graph::{Edge, Graph};
use super::id::NodeId;
use super::runner::NodeKind;
use crate::error::{Error, did_you_mean, quote};
use crate::name::Port;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

/// How a network is drawn.
///
/// ```
/// use tributary::DrawingFormat;
///
/// assert_eq!("svg".parse::<DrawingFormat>()?, DrawingFormat::Svg);
/// let error = "svgg".parse::<DrawingFormat>().expect_err("no such format");
/// assert_eq!(error.to_string(), "no format \"svgg\"; did you mean \"svg\"?");
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DrawingFormat {
    /// The language of Graphviz.
    #[default]
    Dot,
    /// The language of Mermaid, which many Markdown viewers draw.
    Mermaid,
    /// A picture, ready to be shown.
    Svg,
}

impl DrawingFormat {
    /// Every format.
    pub const ALL: [DrawingFormat; 3] = [
        DrawingFormat::Dot,
        DrawingFormat::Mermaid,
        DrawingFormat::Svg,
    ];

    /// The format's name, as it is parsed.
    pub fn as_str(self) -> &'static str {
        match self {
            DrawingFormat::Dot => "dot",
            DrawingFormat::Mermaid => "mermaid",
            DrawingFormat::Svg => "svg",
        }
    }
}

impl fmt::Display for DrawingFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DrawingFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let names = DrawingFormat::ALL.map(DrawingFormat::as_str);
        let format = DrawingFormat::ALL.into_iter().find(|f| f.as_str() == text);
        format.ok_or_else(|| {
            let all = || format!("the formats are {}", names.join(", "));
            Error::data(format!("no format {}", quote(text)))
                .with_hint(did_you_mean(text, names).unwrap_or_else(all))
        })
    }
}

impl Network {
    /// Draws the network as it is now, linked or not: an end that is still open is drawn as `_`.
    ///
    /// ```
    /// use tributary::{DrawingFormat, Network, sink, source};
    ///
    /// let network = Network::new();
    /// network.add_source("numbers", source::from_iter(["1", "2"]))?;
    /// network.add_sink("print", sink::handler(|_| Ok(())))?;
    /// network.link("numbers", "print")?;
    /// assert!(network.draw(DrawingFormat::Dot).contains(r#""numbers" -> "print""#));
    /// # Ok::<(), tributary::Error>(())
    /// ```
    pub fn draw(&self, format: DrawingFormat) -> String {
        let picture = Picture::new(&self.graph());
        match format {
            DrawingFormat::Dot => dot::write(&picture),
            DrawingFormat::Mermaid => mermaid::write(&picture),
            DrawingFormat::Svg => svg::write(&picture),
        }
    }
}

/// What is to be drawn, the same for every format.
struct Picture {
    nodes: Vec<Node>,
    arrows: Vec<Arrow>,
}

struct Node {
    shape: Shape,
    /// Unlike that of any other node.
    id: String,
    label: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Node(NodeKind),
    /// Where a link is missing.
    Open,
}

#[derive(Clone)]
struct Arrow {
    /// Index into the nodes.
    from: usize,
    to: usize,
    /// Empty for a plain link.
    label: String,
}

impl Picture {
    fn new(graph: &Graph) -> Self {
        let mut picture = Picture {
            nodes: Vec::new(),
            arrows: Vec::new(),
        };
        let mut index: HashMap<NodeId, usize> = HashMap::new();
        for (id, node) in graph.nodes() {
            let name = node.name.as_str();
            index.insert(id, picture.add(Shape::Node(node.kind), name, name));
        }
        for (_, edge) in graph.edges() {
            picture.arrow(index[&edge.source], index[&edge.target], label(edge));
        }
        let sending: HashSet<NodeId> = graph.edges().map(|(_, edge)| edge.source).collect();
        let receiving: HashSet<NodeId> = graph.edges().map(|(_, edge)| edge.target).collect();
        // The ends of different nodes are different nodes, so that they join nothing. No name has
        // a dot, so no other id is equal to theirs; `_` stands beside the arrow.
        for (id, node) in graph.nodes() {
            if node.kind != NodeKind::Source && !receiving.contains(&id) {
                let end = picture.add(Shape::Open, &format!("{}._", node.name), "_");
                picture.arrow(end, index[&id], String::new());
            }
            if node.kind != NodeKind::Sink && !sending.contains(&id) {
                let end = picture.add(Shape::Open, &format!("_.{}", node.name), "_");
                picture.arrow(index[&id], end, String::new());
            }
        }
        picture
    }

    fn add(&mut self, shape: Shape, id: &str, label: &str) -> usize {
        self.nodes.push(Node {
            shape,
            id: id.to_owned(),
            label: label.to_owned(),
        });
        self.nodes.len() - 1
    }

    fn arrow(&mut self, from: usize, to: usize, label: String) {
        self.arrows.push(Arrow { from, to, label });
    }
}

/// The label of a link: its port unless that is `out`, and how its events are shared.
fn label(edge: &Edge) -> String {
    let port = Some(edge.from.port.as_str()).filter(|port| *port != Port::OUT);
    let share = edge.balance.map(|_| match &edge.key {
        Some(key) => format!("balance by {}", printable(key)),
        None => "balance".to_owned(),
    });
    let parts = port.map(str::to_owned).into_iter().chain(share);
    parts.collect::<Vec<_>>().join(", ")
}

/// A key is the host's text and may hold anything: what no format can show is spelt out.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => shown.extend(c.escape_default()),
            '\u{fffe}' | '\u{ffff}' => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}
