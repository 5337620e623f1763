//! The answers of the API as JSON.

use super::Shown;
use crate::error::{Error, Result, did_you_mean, quote};
use crate::network::{Edge, ErrorReport, Network, NetworkState, NodeInfo, NodeState, Stats};
use crate::time::{Clock as _, SystemClock, format_duration};
use serde_json::{Map, Value, json};

/// How many lines of a script are shown of the call that made a node.
const LINES: usize = 40;

/// Whether the network can process events, and what cannot; node names only for those who may see them.
pub(super) fn ready(shown: &Shown, sees_all: bool) -> (bool, Value) {
    let Some(network) = shown.network() else {
        let body = json!({"ready": false, "state": null, "reason": "the network is being built"});
        return (false, body);
    };
    let (state, stats) = (network.state(), network.stats());
    let ready_node = |state| {
        matches!(
            state,
            NodeState::Open | NodeState::Retrying | NodeState::Ended
        )
    };
    let errors = network.errors();
    let last = |node: &str| {
        let mut of = errors
            .iter()
            .rev()
            .filter(|(name, _)| name.as_str() == node);
        of.next().map(|(_, report)| report.error.clone())
    };
    let waits = stats.nodes.iter().filter(|node| !ready_node(node.state));
    let waits: Vec<Value> = waits
        .map(|node| {
            let name = node.name.as_str();
            json!({"node": name, "state": node.state.as_str(), "error": last(name)})
        })
        .collect();
    let ready = state == NetworkState::Running && waits.is_empty();
    let mut body = json!({"ready": ready, "state": state.as_str()});
    if sees_all && let Value::Object(body) = &mut body {
        body.insert("nodes".to_owned(), Value::from(waits));
    }
    (ready, body)
}

/// Nodes and links, and where they stand in a picture.
pub(super) fn network(shown: &Shown, network: &Network) -> Value {
    let (nodes, edges) = network.shown();
    let described = shown.described();
    let is_window = |node: &NodeInfo| {
        let mut windows = described.windows.iter();
        windows.any(|(name, _)| name == node.name.as_str())
    };
    let code = |node: &NodeInfo| {
        let (file, line) = node.place.as_deref()?.rsplit_once(':')?;
        let unit = described.units.iter().find(|unit| unit.name == file)?;
        Some(call_at(&unit.text, line.parse().ok()?))
    };
    let nodes: Vec<Value> = nodes
        .iter()
        .map(|node| {
            let ports: Vec<&str> = node.ports.iter().map(|port| port.as_str()).collect();
            json!({
                "name": node.name.as_str(), "kind": node.kind.as_str(), "ports": ports,
                "place": node.place, "window": is_window(node), "code": code(node),
            })
        })
        .collect();
    let links: Vec<Value> = edges.iter().map(link).collect();
    json!({
        "state": network.state().as_str(), "version": env!("CARGO_PKG_VERSION"),
        "nodes": nodes, "links": links, "layout": network.placed(),
    })
}

fn link(edge: &Edge) -> Value {
    json!({
        "from": edge.from.to_string(), "to": edge.to.as_str(), "balance": edge.balance,
        "key": edge.key, "on_error": edge.on_error, "place": edge.place,
        "capacity": {"events": edge.capacity.events, "bytes": edge.capacity.bytes},
        "overflow": edge.overflow.as_str(), "timeout": edge.timeout.map(format_duration),
    })
}

/// The statement of a script that begins at this line: up to the line that closes its brackets.
fn call_at(text: &str, line: usize) -> String {
    let mut depth = 0_i64;
    let mut lines = Vec::new();
    let mut indent = None;
    for line in text.lines().skip(line.saturating_sub(1)).take(LINES) {
        let own = line.len() - line.trim_start().len();
        lines.push(&line[own.min(*indent.get_or_insert(own))..]);
        for c in line.chars() {
            match c {
                '(' | '{' => depth += 1,
                ')' | '}' => depth -= 1,
                _ => {}
            }
        }
        if depth <= 0 {
            break;
        }
    }
    lines.join("\n")
}

/// The account.
pub(super) fn stats(network: &Network) -> Value {
    let mut stats = Stats::to_json(&network.stats());
    if let Value::Object(stats) = &mut stats {
        stats.insert("state".to_owned(), network.state().as_str().into());
        stats.insert("changes".to_owned(), network.changes().into());
        let now = SystemClock.now().to_string();
        stats.insert("time".to_owned(), now.into());
        let mut last = Map::new();
        for (node, report) in network.errors() {
            last.insert(node.to_string(), report.time.to_string().into());
        }
        stats.insert("last_errors".to_owned(), last.into());
    }
    stats
}

/// The plans of all windows.
pub(super) fn plans(shown: &Shown) -> Value {
    let described = shown.described();
    let windows = described.windows.iter();
    windows
        .map(|(node, explanation)| {
            let plan = explanation.plan.to_string();
            json!({"node": node, "plan": plan, "why": explanation.why})
        })
        .collect()
}

/// How one window keeps its result up to date.
pub(super) fn explain(shown: &Shown, node: &str) -> Result<Value> {
    let described = shown.described();
    let windows = &described.windows;
    let found = windows.iter().find(|(name, _)| name == node);
    let Some((_, explanation)) = found else {
        let names = windows.iter().map(|(name, _)| name.as_str());
        let error = Error::data(format!("no window {}", quote(node)));
        return Err(error.with_hint_opt(did_you_mean(node, names)));
    };
    let refused: Vec<Value> = explanation
        .refused
        .iter()
        .map(|(plan, why)| json!({"plan": plan.to_string(), "why": why}))
        .collect();
    let sql: Vec<Value> = explanation
        .sql
        .iter()
        .map(|(what, sql)| json!({"purpose": what, "sql": sql}))
        .collect();
    Ok(json!({
        "node": node, "plan": explanation.plan.to_string(), "why": explanation.why,
        "refused": refused, "sql": sql, "text": explanation.to_string(),
    }))
}

/// The last errors of all nodes.
pub(super) fn errors(network: &Network) -> Value {
    let errors = network.errors();
    let report = |node: &str, report: &ErrorReport| {
        json!({
            "node": node, "time": report.time.to_string(), "what": report.what,
            "error": report.error, "payload": report.payload, "more": report.more,
        })
    };
    errors
        .iter()
        .map(|(node, error)| report(node.as_str(), error))
        .collect()
}

/// The scripts that were loaded, with the nodes that they have made.
pub(super) fn units(shown: &Shown) -> Value {
    let nodes = shown.network().map(|network| network.shown().0);
    let nodes = nodes.unwrap_or_default();
    let described = shown.described();
    let units = described.units.iter();
    units
        .map(|unit| {
            let of = |node: &&NodeInfo| {
                let file = node
                    .place
                    .as_deref()
                    .and_then(|place| place.rsplit_once(':'));
                file.is_some_and(|(file, _)| file == unit.name)
            };
            let nodes: Vec<&str> = nodes.iter().filter(of).map(|n| n.name.as_str()).collect();
            json!({
                "name": unit.name, "version": unit.version, "loaded": unit.loaded.to_string(),
                "nodes": nodes,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_at_a_line_ends_with_its_brackets() {
        let text = "local a = 1\ntb.create_map(\"m\", function(e)\n  return f(e)\nend)\ntb.link(\"a\", \"m\")";
        assert_eq!(
            call_at(text, 2),
            "tb.create_map(\"m\", function(e)\n  return f(e)\nend)"
        );
        assert_eq!(call_at(text, 5), "tb.link(\"a\", \"m\")");
        assert_eq!(call_at("  f(\n    1\n  )", 1), "f(\n  1\n)");
        assert_eq!(call_at(text, 99), "");
    }
}
