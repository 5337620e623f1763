//! A network as its own nodes see it: they neither keep it alive nor wait for it.

use super::stats::Stats;
use super::{Inner, Network, Phase};
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
    /// The account up to now; `None` while the network is being changed, which may have to wait
    /// for the very node that asks.
    pub fn stats(&self) -> Option<Stats> {
        let network = self.0.upgrade()?;
        let state = network.state.try_lock()?;
        Some(match &state.phase {
            Phase::Running(running) => running.stats(&state.graph),
            Phase::Ended(stats) => stats.clone(),
            Phase::Built(_) | Phase::Simulated => Stats::default(),
        })
    }
}
