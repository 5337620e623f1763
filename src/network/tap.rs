//! Taps: copies of what a node takes or sends, for those who look at a running network.
//!
//! A tap never holds its node back: it keeps a bounded number of events and bytes, and what finds no room is
//! counted as lost. Copies have no ack, so a tap delays no outcome. A node without taps pays a check a batch.

use super::control::Control;
use super::graph::{Graph, NodeInfo};
use super::tap_sender::{EVENTS, TapPoint, TapRoom, TapSender};
use super::{Network, NodeKind};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::event::Event;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Copies of the events that a node takes or sends, from [`Network::tap`] on. It is removed when it is dropped.
#[derive(Debug)]
pub struct Tap {
    node: String,
    port: String,
    events: flume::Receiver<Event>,
    room: Arc<TapRoom>,
}

impl Tap {
    /// The node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The port; `in` for what the node takes.
    pub fn port(&self) -> &str {
        &self.port
    }

    /// The next event, if one comes within this time.
    pub fn next(&self, wait: Duration) -> Option<Event> {
        let event = if wait.is_zero() {
            self.events.try_recv().ok()
        } else {
            self.events.recv_timeout(wait).ok()
        }?;
        self.room.bytes.fetch_sub(event.size(), Ordering::Relaxed);
        self.room.events.fetch_sub(1, Ordering::Relaxed);
        Some(event)
    }

    /// How many events were not copied since the last call, because those before them were not taken out in
    /// time.
    pub fn take_lost(&self) -> u64 {
        self.room.lost.swap(0, Ordering::Relaxed)
    }

    /// Whether the node has ended, and nothing more comes.
    pub fn has_ended(&self) -> bool {
        self.events.is_disconnected() && self.events.is_empty()
    }
}

impl Network {
    /// Copies what leaves a port from now on: `"node"` for its port `out`, `"node.port"` for another one,
    /// `"node.in"` for what the node takes, which `"node"` stands for too where it is a sink. The network is
    /// not held back: what is not taken out in time is lost, and counted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tributary::{Network, sink, source};
    ///
    /// let (numbers, source) = source::channel();
    /// let network = Network::new();
    /// network.add_source("numbers", source)?;
    /// network.add_sink("sink", sink::handler(|_| Ok(())))?;
    /// network.link("numbers", "sink")?;
    /// network.start()?;
    /// let tap = network.tap("numbers")?;
    /// # std::thread::sleep(Duration::from_millis(300));
    /// numbers.send("7")?;
    /// let event = tap.next(Duration::from_secs(5)).expect("an event came");
    /// assert_eq!(event.payload().text(), Some("7"));
    /// # network.stop()?;
    /// # Ok::<(), tributary::Error>(())
    /// ```
    ///
    /// # Errors
    /// A node or a port that does not exist, a network that does not run.
    pub fn tap(&self, at: &str) -> Result<Tap> {
        let (graph, shared) = self.0.tapped();
        let shared = shared.ok_or_else(|| Error::data("the network does not run"))?;
        let (name, port) = match at.split_once('.') {
            Some((name, port)) => (name, Some(port)),
            None => (at, None),
        };
        let (id, node) = graph.named(name).ok_or_else(|| no_node(&graph, name))?;
        let (point, port) = point(node, port)?;
        let (tx, events) = flume::bounded(EVENTS);
        let tap = Tap {
            node: name.to_owned(),
            port: port.to_owned(),
            events,
            room: Arc::default(),
        };
        let sender = TapSender::new(point, tx, tap.room.clone());
        let state = shared.lock();
        let member = state.members.get(&id).filter(|member| !member.ended);
        let member = member.ok_or_else(|| {
            let error = format!("node {} does not run", quote(name));
            Error::data(error)
        })?;
        // A worker that has ended drops it: the tap has ended then.
        let _ = member.control.send(Control::Tap(sender));
        Ok(tap)
    }
}

fn no_node(graph: &Graph, name: &str) -> Error {
    let names = graph.nodes().map(|(_, node)| node.name.as_str());
    Error::data(format!("no node {}", quote(name))).with_hint_opt(did_you_mean(name, names))
}

/// Where this port is, and its name.
fn point<'a>(node: &'a NodeInfo, port: Option<&'a str>) -> Result<(TapPoint, &'a str)> {
    let input = (TapPoint::Input, "in");
    let port = match port {
        None if node.kind == NodeKind::Sink => return Ok(input),
        None => "out",
        Some(port) => port,
    };
    let known = node.ports.iter().position(|known| known.as_str() == port);
    match known.and_then(|at| u16::try_from(at).ok()) {
        Some(at) => Ok((TapPoint::Port(at), port)),
        None if port == "in" && node.kind != NodeKind::Source => Ok(input),
        None => {
            let ports: Vec<&str> = node.ports.iter().map(|port| port.as_str()).collect();
            let error = format!("node {} has no port {}", node.name, quote(port));
            Err(Error::data(error).with_hint(format!("its ports are {}", ports.join(", "))))
        }
    }
}
