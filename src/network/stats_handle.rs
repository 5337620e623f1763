//! A network as its own nodes see it: they neither keep it alive nor wait for it.

use super::stats::Stats;
use super::{Inner, Network};
use std::sync::{Arc, Weak};

/// A look at a network from one of its nodes.
pub(crate) struct StatsHandle(Weak<Inner>);

impl Network {
    /// A look at this network, for its own nodes.
    pub(crate) fn stats_handle(&self) -> StatsHandle {
        StatsHandle(Arc::downgrade(&self.0))
    }
}

impl StatsHandle {
    /// The account up to now; `None` where the network is gone.
    pub fn stats(&self) -> Option<Stats> {
        Some(self.0.upgrade()?.stats())
    }
}
