//! The account in the text format of Prometheus.
//!
//! Names follow its conventions: a unit in the plural, `_total` for counters, seconds for times.

use super::Shown;
use crate::network::{LinkStats, Network, NetworkState, NodeState, NodeStats};
use std::fmt::Write as _;

/// The text of all metrics.
pub(super) fn text(shown: &Shown, network: &Network) -> String {
    let (stats, state) = (network.stats(), network.state());
    let mut text = Text(String::new());
    let running = f64::from(u8::from(state == NetworkState::Running));
    text.family("tributary_running", "gauge", "Whether the network runs.");
    text.value("tributary_running", &[], running);
    nodes(&mut text, &stats.nodes);
    links(&mut text, &stats.links);
    info(&mut text, shown, network);
    text.family(
        "tributary_node_bottleneck",
        "gauge",
        "Whether the nodes before this one wait for it.",
    );
    for node in &stats.nodes {
        let found = stats
            .bottleneck
            .as_ref()
            .is_some_and(|b| b.node == node.name);
        let labels = [("node", node.name.as_str())];
        let value = f64::from(u8::from(found));
        text.value("tributary_node_bottleneck", &labels, value);
    }
    text.0
}

/// A counter or a gauge of each node or link.
type Family<T> = (&'static str, &'static str, fn(&T) -> f64);

const NODE_COUNTERS: &[Family<NodeStats>] = &[
    ("events_received", "Events taken from links.", |n| {
        n.received as f64
    }),
    (
        "events_processed",
        "Received events that were processed.",
        |n| n.processed as f64,
    ),
    ("events_passed", "Received events that went on.", |n| {
        n.passed as f64
    }),
    (
        "events_consumed",
        "Received events that ended on purpose.",
        |n| n.consumed as f64,
    ),
    ("events_rejected", "Events that were rejected.", |n| {
        (n.rejected + n.refused) as f64
    }),
    ("events_emitted", "Events that left by any port.", |n| {
        n.emitted as f64
    }),
    (
        "events_tracked",
        "Events whose outcome is waited for.",
        |n| n.tracked as f64,
    ),
    (
        "events_delivered",
        "Tracked events that were delivered.",
        |n| n.delivered as f64,
    ),
    ("events_undelivered", "Tracked events that failed.", |n| {
        n.undelivered as f64
    }),
    ("errors", "Errors that were no event's.", |n| {
        n.errors as f64
    }),
    (
        "reopens",
        "Attempts to open it again after an error.",
        |n| n.reopened as f64,
    ),
    ("busy_seconds", "Time in its own code.", |n| {
        n.busy.as_secs_f64()
    }),
    ("blocked_seconds", "Time waiting for room on a link.", |n| {
        n.blocked.as_secs_f64()
    }),
];

const NODE_GAUGES: &[Family<NodeStats>] = &[
    ("held_events", "Received events that are in hand.", |n| {
        n.held as f64
    }),
    (
        "oldest_event_seconds",
        "Age of the oldest event in its links.",
        |n| n.oldest.as_secs_f64(),
    ),
    ("up", "Whether it is open and has not failed.", |n| {
        let up = matches!(
            n.state,
            NodeState::Open | NodeState::Retrying | NodeState::Ended
        );
        f64::from(u8::from(up))
    }),
];

const LINK_COUNTERS: &[Family<LinkStats>] = &[
    ("events_sent", "Events sent into the link.", |l| {
        l.sent as f64
    }),
    ("events_received", "Events taken out of the link.", |l| {
        l.received as f64
    }),
    (
        "events_dropped",
        "Events dropped because the link was full.",
        |l| l.dropped as f64,
    ),
    ("events_spilled", "Events that waited on disk.", |l| {
        l.spilled as f64
    }),
    (
        "events_lost",
        "Events lost with the node after the link.",
        |l| l.lost as f64,
    ),
    (
        "blocked_seconds",
        "Time that its sender waited for room.",
        |l| l.blocked.as_secs_f64(),
    ),
];

const LINK_GAUGES: &[Family<LinkStats>] = &[
    ("queued_events", "Events that wait in the link.", |l| {
        l.queued as f64
    }),
    (
        "oldest_event_seconds",
        "Age of the oldest event in the link.",
        |l| l.oldest.as_secs_f64(),
    ),
];

fn nodes(text: &mut Text, nodes: &[NodeStats]) {
    for (families, kind, suffix) in [
        (NODE_COUNTERS, "counter", "_total"),
        (NODE_GAUGES, "gauge", ""),
    ] {
        for (name, help, value) in families {
            let name = format!("tributary_node_{name}{suffix}");
            text.family(&name, kind, help);
            for node in nodes {
                text.value(&name, &[("node", node.name.as_str())], value(node));
            }
        }
    }
    let name = "tributary_node_events_dropped_total";
    text.family(
        name,
        "counter",
        "Received events dropped on purpose, by reason.",
    );
    for node in nodes {
        for (reason, count) in &node.dropped {
            let labels = [("node", node.name.as_str()), ("reason", reason)];
            text.value(name, &labels, *count as f64);
        }
    }
    let name = "tributary_node_latency_seconds";
    let help = "Time from the source until the node has processed an event; quantiles of the last seconds.";
    text.family(name, "summary", help);
    for node in nodes {
        let label = ("node", node.name.as_str());
        if let Some(latency) = node.latency {
            for (quantile, value) in [("0.5", latency.p50), ("0.99", latency.p99)] {
                text.value(name, &[label, ("quantile", quantile)], value.as_secs_f64());
            }
        }
        if let Some((count, sum)) = node.latencies {
            text.value(&format!("{name}_sum"), &[label], sum.as_secs_f64());
            text.value(&format!("{name}_count"), &[label], count as f64);
        }
    }
}

fn links(text: &mut Text, links: &[LinkStats]) {
    for (families, kind, suffix) in [
        (LINK_COUNTERS, "counter", "_total"),
        (LINK_GAUGES, "gauge", ""),
    ] {
        for (name, help, value) in families {
            let name = format!("tributary_link_{name}{suffix}");
            text.family(&name, kind, help);
            for link in links {
                let from = link.from.to_string();
                let labels = [("from", from.as_str()), ("to", link.to.as_str())];
                text.value(&name, &labels, value(link));
            }
        }
    }
}

/// What nodes are: constant series to join with others.
fn info(text: &mut Text, shown: &Shown, network: &Network) {
    let name = "tributary_node_info";
    text.family(name, "gauge", "The kind of a node, and where it was made.");
    for node in network.shown().0 {
        let place = node.place.unwrap_or_default();
        let kind = node.kind.as_str();
        let labels = [
            ("node", node.name.as_str()),
            ("kind", kind),
            ("place", &place),
        ];
        text.value(name, &labels, 1.0);
    }
    let name = "tributary_window_info";
    text.family(name, "gauge", "The plan of a window.");
    for (node, explanation) in &shown.described().windows {
        let plan = explanation.plan.to_string();
        text.value(name, &[("node", node), ("plan", &plan)], 1.0);
    }
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            self.0.push_str(if at == 0 { "{" } else { "," });
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            let _ = write!(self.0, "{label}=\"{}\"", value.replace('\n', "\\n"));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}
