//! The account as JSON.

use super::{LinkStats, NodeStats, Stats};
use serde_json::{Map, Value, json};

impl NodeStats {
    /// The account of the node as a JSON object; times are in seconds.
    pub fn to_json(&self) -> Value {
        json!({
            "received": self.received, "processed": self.processed, "passed": self.passed,
            "consumed": self.consumed, "dropped": self.dropped, "rejected": self.rejected,
            "held": self.held, "emitted": self.emitted, "refused": self.refused, "errors": self.errors,
            "tracked": self.tracked, "delivered": self.delivered, "undelivered": self.undelivered,
            "reopened": self.reopened, "failed": self.failed, "state": self.state.as_str(),
            "busy": self.busy.as_secs_f64(), "blocked": self.blocked.as_secs_f64(),
            "busy_share": rounded(self.busy_share), "rate": rounded(self.rate),
            "oldest": self.oldest.as_secs_f64(),
            "latency": self.latency.map(|latency| json!({
                "p50": latency.p50.as_secs_f64(), "p99": latency.p99.as_secs_f64(),
            })),
        })
    }
}

impl LinkStats {
    /// The account of the link as a JSON object; times are in seconds.
    pub fn to_json(&self) -> Value {
        json!({
            "from": self.from.to_string(), "to": self.to.to_string(), "sent": self.sent,
            "received": self.received, "queued": self.queued, "dropped": self.dropped,
            "spilled": self.spilled, "lost": self.lost,
            "blocked": self.blocked.as_secs_f64(), "waits": rounded(self.waits),
            "rate": rounded(self.rate), "oldest": self.oldest.as_secs_f64(),
        })
    }
}

impl Stats {
    /// The account as a JSON object: `nodes` by name, a list of `links`, and the `bottleneck` or null.
    pub fn to_json(&self) -> Value {
        let nodes = self.nodes.iter();
        let nodes: Map<String, Value> = nodes.map(|n| (n.name.to_string(), n.to_json())).collect();
        let links: Vec<Value> = self.links.iter().map(LinkStats::to_json).collect();
        let bottleneck = self.bottleneck.as_ref().map(|b| {
            let waiting: Vec<&str> = b.waiting.iter().map(|name| name.as_str()).collect();
            json!({"node": b.node.as_str(), "waiting": waiting, "share": rounded(b.share)})
        });
        json!({"nodes": nodes, "links": links, "bottleneck": bottleneck})
    }
}

/// Three digits after the point are enough for what is measured.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
