//! The account as a table of text.

use super::{LinkStats, Stats};
use std::fmt;

/// A table with a line for each node and each link.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.nodes.iter().map(|n| n.name.as_str().len());
        let ends = |l: &LinkStats| format!("{} -> {}", l.from, l.to);
        let link = self.links.iter().map(|l| ends(l).len());
        let width = node.chain(link).max().unwrap_or(0).max(4);
        writeln!(
            f,
            "{:width$} {:>10} {:>10} {:>10} {:>10} {:>10} {:>6} {:>10} {:>9} {:>9}",
            "node",
            "received",
            "passed",
            "consumed",
            "dropped",
            "rejected",
            "held",
            "emitted",
            "busy",
            "blocked"
        )?;
        for n in &self.nodes {
            writeln!(
                f,
                "{:width$} {:>10} {:>10} {:>10} {:>10} {:>10} {:>6} {:>10} {:>9.1?} {:>9.1?}{}",
                n.name.as_str(),
                n.received,
                n.passed,
                n.consumed,
                n.dropped.values().sum::<u64>(),
                n.rejected + n.refused,
                n.held,
                n.emitted,
                n.busy,
                n.blocked,
                if n.failed { " failed" } else { "" }
            )?;
        }
        writeln!(
            f,
            "{:width$} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>9}",
            "link", "sent", "received", "queued", "dropped", "spilled", "lost", "blocked"
        )?;
        for l in &self.links {
            writeln!(
                f,
                "{:width$} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>9.1?}",
                ends(l),
                l.sent,
                l.received,
                l.queued,
                l.dropped,
                l.spilled,
                l.lost,
                l.blocked
            )?;
        }
        Ok(())
    }
}
