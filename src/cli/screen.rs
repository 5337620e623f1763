//! The account of a running network as text: for `status`, and once a second for `top`.

use serde_json::Value;
use std::cmp::Ordering;
use std::fmt::Write as _;

/// By what the nodes are sorted.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// As they were added.
    #[default]
    Added,
    /// The busiest first.
    Busy,
    /// The fastest first.
    Rate,
    /// Those with the longest queues first.
    Queued,
}

impl Order {
    pub fn as_str(self) -> &'static str {
        match self {
            Order::Added => "order of creation",
            Order::Busy => "busy",
            Order::Rate => "rate",
            Order::Queued => "queued",
        }
    }

    pub fn next(self) -> Self {
        match self {
            Order::Added => Order::Busy,
            Order::Busy => Order::Rate,
            Order::Rate => Order::Queued,
            Order::Queued => Order::Added,
        }
    }
}

/// One line of the table.
struct Row {
    name: String,
    state: String,
    rate: f64,
    busy: f64,
    queued: u64,
    oldest: f64,
    p50: Option<f64>,
    p99: Option<f64>,
    rejected: u64,
    is_source: bool,
}

/// A screen: the state, what is wrong, and a line for each node.
pub struct Screen {
    state: String,
    rows: Vec<Row>,
    bottleneck: Option<(String, String, f64)>,
    /// How many links there are.
    links: usize,
}

impl Screen {
    /// Of an answer of the API.
    pub fn new(stats: &Value) -> Self {
        let empty = serde_json::Map::new();
        let nodes = stats["nodes"].as_object().unwrap_or(&empty);
        let links = stats["links"].as_array().map_or(&[][..], Vec::as_slice);
        let rows = nodes.iter().map(|(name, node)| {
            let into = || {
                links
                    .iter()
                    .filter(|link| link["to"].as_str() == Some(name))
            };
            let count = |key: &str| node[key].as_u64().unwrap_or_default();
            let number = |key: &str| node[key].as_f64().unwrap_or_default();
            Row {
                name: name.clone(),
                state: node["state"].as_str().unwrap_or("?").to_owned(),
                rate: number("rate"),
                busy: number("busy_share"),
                queued: into().filter_map(|link| link["queued"].as_u64()).sum(),
                oldest: number("oldest"),
                p50: node["latency"]["p50"].as_f64(),
                p99: node["latency"]["p99"].as_f64(),
                rejected: count("rejected") + count("refused"),
                is_source: into().next().is_none(),
            }
        });
        let found = &stats["bottleneck"];
        let bottleneck = found["node"].as_str().map(|node| {
            let waiting = found["waiting"].as_array().into_iter().flatten();
            let waiting: Vec<&str> = waiting.filter_map(Value::as_str).collect();
            let share = found["share"].as_f64().unwrap_or_default();
            (node.to_owned(), waiting.join(", "), share)
        });
        Screen {
            state: stats["state"].as_str().unwrap_or("?").to_owned(),
            rows: rows.collect(),
            bottleneck,
            links: links.len(),
        }
    }

    pub fn sort(&mut self, order: Order) {
        let by = |value: fn(&Row) -> f64| {
            move |a: &Row, b: &Row| value(b).partial_cmp(&value(a)).unwrap_or(Ordering::Equal)
        };
        match order {
            Order::Added => {}
            Order::Busy => self.rows.sort_by(by(|row| row.busy)),
            Order::Rate => self.rows.sort_by(by(|row| row.rate)),
            Order::Queued => self.rows.sort_by(by(|row| row.queued as f64)),
        }
    }

    /// The nodes that are not open.
    pub fn not_open(&self) -> Vec<String> {
        let open = ["open", "retrying", "ended"];
        let closed = self
            .rows
            .iter()
            .filter(|row| !open.contains(&row.state.as_str()));
        closed
            .map(|row| format!("{} is {}", row.name, row.state))
            .collect()
    }

    /// The state in one word.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The first lines.
    pub fn summary(&self) -> String {
        let sources = self.rows.iter().filter(|row| row.is_source);
        let flow: f64 = sources.map(|row| row.rate).sum();
        let mut text = format!(
            "{}: {} nodes, {} links, {}\n",
            self.state,
            self.rows.len(),
            self.links,
            rate(flow)
        );
        if let Some((node, waiting, share)) = &self.bottleneck {
            let percent = share * 100.0;
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "bottleneck: {node} (its link from {waiting} is full {percent:.0} % of the time)"
            );
        }
        text
    }

    /// The table, at most so many lines of nodes.
    pub fn table(&self, most: usize) -> String {
        let longest = self.rows.iter().map(|row| row.name.chars().count()).max();
        let width = longest.unwrap_or_default().clamp(4, 40);
        let mut text = format!(
            "{:width$} {:>9} {:>9} {:>6} {:>8} {:>8} {:>8} {:>8} {:>9}\n",
            "node", "state", "rate", "busy", "queued", "oldest", "p50", "p99", "rejected"
        );
        for row in self.rows.iter().take(most) {
            let name: String = match row.name.chars().count() {
                count if count > width => {
                    let kept = row.name.chars().take(width - 1);
                    kept.chain(['…']).collect()
                }
                _ => row.name.clone(),
            };
            let oldest = match row.queued {
                0 => "-".to_owned(),
                _ => seconds(row.oldest),
            };
            let quantile = |value: Option<f64>| value.map_or("-".to_owned(), seconds);
            let _ = writeln!(
                text,
                "{name:width$} {:>9} {:>9} {:>5.0}% {:>8} {:>8} {:>8} {:>8} {:>9}",
                row.state,
                rate(row.rate),
                row.busy * 100.0,
                row.queued,
                oldest,
                quantile(row.p50),
                quantile(row.p99),
                row.rejected
            );
        }
        if self.rows.len() > most {
            let _ = writeln!(text, "and {} more", self.rows.len() - most);
        }
        text
    }
}

fn rate(value: f64) -> String {
    match value {
        1e6.. => format!("{:.1}M/s", value / 1e6),
        1e3.. => format!("{:.1}k/s", value / 1e3),
        10.0.. => format!("{value:.0}/s"),
        _ => format!("{value:.1}/s"),
    }
}

fn seconds(value: f64) -> String {
    match value {
        7200.0.. => format!("{:.1}h", value / 3600.0),
        120.0.. => format!("{:.0}min", value / 60.0),
        1.0.. => format!("{value:.1}s"),
        1e-3.. => format!("{:.0}ms", value * 1e3),
        _ => format!("{:.0}us", value * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_screen_has_a_line_for_each_node_and_names_the_bottleneck() {
        let node = |state: &str, busy: f64| {
            json!({
                "state": state, "rate": 1234.5, "busy_share": busy, "oldest": 0.25, "rejected": 2,
                "refused": 1, "latency": {"p50": 0.0004, "p99": 1.5},
            })
        };
        let mut screen = Screen::new(&json!({
            "state": "running",
            "nodes": {"in": node("open", 0.1), "slow": node("lost", 0.9)},
            "links": [{"from": "in", "to": "slow", "queued": 4096}],
            "bottleneck": {"node": "slow", "waiting": ["in"], "share": 0.934},
        }));
        assert_eq!(
            screen.summary(),
            "running: 2 nodes, 1 links, 1.2k/s\nbottleneck: slow (its link from in is full 93 % of the time)\n"
        );
        assert_eq!(screen.not_open(), ["slow is lost"]);
        screen.sort(Order::Busy);
        let table = screen.table(9);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].starts_with("slow      lost"), "{table}");
        assert!(
            lines[1].ends_with("90%     4096    250ms    400us     1.5s         3"),
            "{table}"
        );
        assert!(screen.table(1).ends_with("and 1 more\n"));
    }
}
