//! SVG, written without help: boxes where `layout` puts them, and smooth links between them.
//!
//! The colours are such that the picture can be read on a light and on a dark page. Text is set in
//! a font of fixed width, so that a box fits its name whichever font the viewer has.
//!
//! Why not the crate layout-rs: it panics on an empty graph, leads links through boxes, and sets
//! text beside the middle of boxes that are twice as wide as their names (0.1.3).
//!
//! Invariant: the text is well-formed XML whatever the names are. A name too long for its box is
//! shortened there and stands in full in the box's title.

use super::layout::{BOX, Layout, Link};
use super::{Arrow, Node, Picture, Shape};
use crate::name::Port;
use crate::network::runner::NodeKind;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// The width of a character of a name, and of a label.
const CHAR: f64 = 7.9;
const SMALL_CHAR: f64 = 6.7;
/// How many characters of a name are shown.
const LONGEST: usize = 40;
const MARGIN: f64 = 8.0;
const ARROWHEAD: f64 = 8.0;

/// All rules begin with the picture's class: inside a web page they touch nothing else.
const STYLE: &str = r#"<style>
.tributary text { font: 13px ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace; text-anchor: middle; fill: #1f2a37 }
.tributary .link { fill: none; stroke: #8491a3; stroke-width: 1.5 }
.tributary .head { fill: #8491a3 }
.tributary .chip { fill: #eceff4 }
.tributary .label { font-size: 11px; fill: #566275 }
.tributary .open { fill: #8491a3; font-weight: bold }
.tributary .source { fill: #d8f0df; stroke: #4b9669 }
.tributary .pipeline { fill: #e3eaf6; stroke: #6681ab }
.tributary .sink { fill: #fbe7d3; stroke: #c4823f }
</style>
"#;

pub(super) fn write(picture: &Picture) -> String {
    let widths: Vec<f64> = picture.nodes.iter().map(box_width).collect();
    let arrows = merged(&picture.arrows);
    let links = arrows.iter().map(|arrow| Link {
        from: arrow.from,
        to: arrow.to,
        label: text_width(&arrow.label, SMALL_CHAR),
    });
    let links: Vec<Link> = links.collect();
    let layout = Layout::new(&widths, &links);
    let (width, height) = layout.size();
    let (width, height) = (width + 2.0 * MARGIN, height + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"tributary\" role=\"img\" \
         width=\"{width}\" height=\"{height}\" viewBox=\"-{MARGIN} -{MARGIN} {width} {height}\">\n\
         <title>{}</title>\n{STYLE}",
        title(picture)
    );
    let mut drawn = HashSet::new();
    for (link, route) in links.iter().zip(&layout.routes) {
        let ends = (widths[link.from], widths[link.to]);
        svg.push_str(&drawn_link(&layout, route, ends, &mut drawn));
    }
    for (arrow, route) in arrows.iter().zip(&layout.routes) {
        if !arrow.label.is_empty() {
            svg.push_str(&drawn_label(&layout, route, &arrow.label));
        }
    }
    for (at, node) in picture.nodes.iter().enumerate() {
        svg.push_str(&drawn_node(node, layout.center(at), widths[at]));
    }
    svg.push_str("</svg>\n");
    svg
}

/// Links between the same two nodes are one line here, whose label names them all.
fn merged(arrows: &[Arrow]) -> Vec<Arrow> {
    let name = |arrow: &Arrow| match arrow.label.as_str() {
        "" => Port::OUT.to_owned(),
        label => label.to_owned(),
    };
    let mut merged: Vec<Arrow> = Vec::new();
    let mut index = HashMap::new();
    for arrow in arrows {
        match index.entry((arrow.from, arrow.to)) {
            Entry::Vacant(entry) => {
                entry.insert(merged.len());
                merged.push(arrow.clone());
            }
            Entry::Occupied(entry) => {
                let first = &mut merged[*entry.get()];
                first.label = format!("{} + {}", name(first), name(arrow));
            }
        }
    }
    merged
}

/// The whole line from box to box, and its head.
pub(super) fn whole_line(layout: &Layout, route: &[usize], widths: (f64, f64)) -> (String, String) {
    line(layout, route, widths, &mut HashSet::new())
}

/// The line from box to box, as an element.
fn drawn_link(
    layout: &Layout,
    route: &[usize],
    widths: (f64, f64),
    drawn: &mut HashSet<(usize, usize)>,
) -> String {
    let (path, head) = line(layout, route, widths, drawn);
    let head = match head.as_str() {
        "" => String::new(),
        head => format!("<path class=\"head\" d=\"{head}\"/>"),
    };
    format!("<path class=\"link\" d=\"{path}\"/>{head}\n")
}

/// The line from box to box, and its head: level through the columns, curved between them. It ends where it
/// joins one that was drawn before, and has no head then.
fn line(
    layout: &Layout,
    route: &[usize],
    (from, to): (f64, f64),
    drawn: &mut HashSet<(usize, usize)>,
) -> (String, String) {
    let (start, y) = layout.center(route[0]);
    let mut path = format!("M{} {y}", start + from / 2.0);
    let mut reached = start;
    for hop in route.windows(2) {
        let ((_, y), (_, end_y)) = (layout.center(hop[0]), layout.center(hop[1]));
        let (x, end_x) = (layout.bounds(hop[0]).1, layout.bounds(hop[1]).0 - ARROWHEAD);
        if !drawn.insert((hop[0], hop[1])) {
            path.push_str(&format!("H{reached}"));
            return (path, String::new());
        }
        if y != end_y {
            let turn = f64::midpoint(x, end_x);
            path.push_str(&format!("H{x}C{turn} {y} {turn} {end_y} {end_x} {end_y}"));
        }
        reached = end_x;
    }
    let (end, y) = layout.center(route[route.len() - 1]);
    let tip = end - to / 2.0;
    let back = tip - ARROWHEAD;
    let (top, bottom) = (y - ARROWHEAD / 2.0, y + ARROWHEAD / 2.0);
    path.push_str(&format!("H{back}"));
    (path, format!("M{back} {top}L{tip} {y}L{back} {bottom}z"))
}

/// The label of a link, halfway between its first two columns.
fn drawn_label(layout: &Layout, route: &[usize], label: &str) -> String {
    let (x, y) = label_place(layout, route);
    let width = text_width(label, SMALL_CHAR) + 12.0;
    let (left, top, below) = (x - width / 2.0, y - 9.0, y + 4.0);
    format!(
        "<g><title>{}</title>\
         <rect class=\"chip\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"18\" rx=\"9\"/>\
         <text class=\"label\" x=\"{x}\" y=\"{below}\">{}</text></g>\n",
        escaped(label),
        escaped(&shortened(label)),
    )
}

/// The middle of the label of a link.
pub(super) fn label_place(layout: &Layout, route: &[usize]) -> (f64, f64) {
    let x = f64::midpoint(layout.bounds(route[0]).1, layout.bounds(route[1]).0);
    let y = f64::midpoint(layout.center(route[0]).1, layout.center(route[1]).1);
    (x, y)
}

/// The width of a name.
pub(super) fn name_width(name: &str) -> f64 {
    text_width(name, CHAR)
}

fn drawn_node(node: &Node, (x, y): (f64, f64), width: f64) -> String {
    let text = escaped(&shortened(&node.label));
    let (left, top, below) = (x - width / 2.0, y - BOX / 2.0, y + 4.5);
    let (class, rx) = match node.shape {
        Shape::Open => return format!("<text class=\"open\" x=\"{x}\" y=\"{y}\">{text}</text>\n"),
        Shape::Node(NodeKind::Source) => ("source", BOX / 2.0),
        Shape::Node(NodeKind::Pipeline) => ("pipeline", 7.0),
        Shape::Node(NodeKind::Sink) => ("sink", 0.0),
    };
    format!(
        "<g><title>{class} {}</title>\
         <rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{BOX}\" rx=\"{rx}\"/>\
         <text x=\"{x}\" y=\"{below}\">{text}</text></g>\n",
        escaped(&node.label),
    )
}

fn title(picture: &Picture) -> String {
    let open = |node: &&Node| node.shape == Shape::Open;
    let open = picture.nodes.iter().filter(open).count();
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let nodes = count(picture.nodes.len() - open, "node");
    let links = count(picture.arrows.len() - open, "link");
    format!("A network of {nodes} and {links}")
}

fn box_width(node: &Node) -> f64 {
    let margin = match node.shape {
        Shape::Node(_) => 30.0,
        Shape::Open => 8.0,
    };
    text_width(&node.label, CHAR) + margin
}

/// Characters beyond ASCII may be as wide as two.
fn text_width(text: &str, char: f64) -> f64 {
    let chars = shortened(text);
    let chars = chars.chars().map(|c| if c.is_ascii() { 1.0 } else { 2.0 });
    (chars.sum::<f64>() * char).ceil()
}

/// A long name without its middle: both ends distinguish names.
fn shortened(text: &str) -> String {
    let count = text.chars().count();
    if count <= LONGEST {
        return text.to_owned();
    }
    let half = LONGEST / 2;
    let head = text.chars().take(half);
    let tail = text.chars().skip(count - half + 1);
    head.chain(['…']).chain(tail).collect()
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('"', "&quot;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}
