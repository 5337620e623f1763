//! Where nodes and links stand in a picture that is drawn elsewhere.

use super::layout::{Layout, Link};
use super::{Network, svg};
use crate::network::graph::{Edge, NodeInfo};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The least width of a box, and the height of what is written on a link.
const LEAST: f64 = 104.0;
const LABEL: f64 = 74.0;

impl Network {
    /// Where nodes and links stand: `width` and `height` of all, `nodes` by name with the middle and the width
    /// of each, and for each two nodes that are joined the path of an SVG and the place of a label.
    pub(crate) fn placed(&self) -> Value {
        let (nodes, edges) = self.shown();
        placed(&nodes, &edges)
    }
}

fn placed(nodes: &[NodeInfo], edges: &[Edge]) -> Value {
    let widths: Vec<f64> = nodes
        .iter()
        .map(|node| (svg::name_width(node.name.as_str()) + 30.0).max(LEAST))
        .collect();
    let index: HashMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .map(|(at, node)| (node.name.as_str(), at))
        .collect();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for edge in edges {
        let ends = [edge.from.node.as_str(), edge.to.as_str()].map(|name| index.get(name));
        if let [Some(from), Some(to)] = ends
            && !pairs.contains(&(*from, *to))
        {
            pairs.push((*from, *to));
        }
    }
    let links: Vec<Link> = pairs
        .iter()
        .map(|(from, to)| Link {
            from: *from,
            to: *to,
            label: LABEL,
        })
        .collect();
    let layout = Layout::new(&widths, &links);
    let (width, height) = layout.size();
    let boxes: Map<String, Value> = nodes
        .iter()
        .enumerate()
        .map(|(at, node)| {
            let (x, y) = layout.center(at);
            (
                node.name.to_string(),
                json!({"x": x, "y": y, "width": widths[at]}),
            )
        })
        .collect();
    let lines: Vec<Value> = links
        .iter()
        .zip(&layout.routes)
        .map(|(link, route)| {
            let (path, head) =
                svg::whole_line(&layout, route, (widths[link.from], widths[link.to]));
            let (x, y) = svg::label_place(&layout, route);
            json!({
                "from": nodes[link.from].name.as_str(), "to": nodes[link.to].name.as_str(),
                "path": path, "head": head, "x": x, "y": y,
            })
        })
        .collect();
    json!({"width": width, "height": height, "nodes": boxes, "links": lines})
}
