//! Replay: recorded events run through a network under virtual time, which they drive themselves.
//!
//! Each input is a source that is read ahead, here and not in the network; what it holds goes in
//! at an [`InjectedSource`]. The event with the smallest time is next; of equal ones that
//! of the first input; each input keeps its own order. The network's clock stands at the greatest
//! time so far. Before it moves on, everything that is due until then has happened; so an event
//! finds the network as it would have been at its time, and two replays are equal to the byte.
//!
//! Events go in one by one. Several of one instant in a batch would be quicker, but where branches
//! meet, or a query sees what another node has stored, they would come out in another order.

mod input;

use super::graph::Graph;
use super::id::NodeId;
use super::runner::NodeKind;
use super::simulation::{Handle, Simulation};
use super::{Network, Stats};
use crate::error::{Error, ErrorKind, Result, did_you_mean, quote};
use crate::node::{Context, Node, ReadStatus, Source};
use crate::time::Timestamp;
use input::{Ahead, Input};
use std::time::Duration;

/// A source that reads nothing: what it sends is handed to it by a [`Replay`], or injected
/// where the network is [simulated](Network::simulate).
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no settings")]
pub struct InjectedSource;

impl Node for InjectedSource {}

impl Source for InjectedSource {
    fn read(&mut self, _cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        Ok(ReadStatus::Idle)
    }
}

/// Recorded events, and the field with the time of each.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use tributary::network::InjectedSource;
/// use tributary::{Network, Replay, pipeline::RateLimit, sink, source};
///
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// let network = Network::new();
/// network.add_source("bets", InjectedSource)?;
/// network.add_pipeline("limit", RateLimit::new(Duration::from_secs(60))?)?;
/// network.add_sink("seen", sink::collect(&seen))?;
/// network.link("bets", "limit")?;
/// network.link("limit", "seen")?;
///
/// let recorded = [r#"{"at":10,"id":1}"#, r#"{"at":20,"id":2}"#, r#"{"at":70,"id":3}"#];
/// let mut replay = Replay::new("at");
/// replay.input("bets", "recorded", source::from_iter(recorded));
/// replay.run(&network)?;
/// let seen: Vec<_> = seen.lock().unwrap().iter().map(|e| e.payload().clone()).collect();
/// assert_eq!(seen, [recorded[0].into(), recorded[2].into()]);
/// # Ok::<(), tributary::Error>(())
/// ```
pub struct Replay {
    field: String,
    inputs: Vec<Recorded>,
}

opaque_debug!(Replay, field);

/// The recorded events of one node.
struct Recorded {
    node: String,
    /// Names the events in messages.
    name: String,
    source: Box<dyn Source>,
}

impl Replay {
    /// A replay in which this field of an event is its time: unix seconds, or an RFC 3339 text.
    pub fn new(field: impl Into<String>) -> Self {
        Replay {
            field: field.into(),
            inputs: Vec::new(),
        }
    }

    /// What `source` holds will be sent by `node`, an [`InjectedSource`] of the network. The place of
    /// an event without a time is `name:7` for the seventh one.
    ///
    /// The source is opened and read to its end, nothing else: it does not tick, and gets no
    /// outcomes of what it tracks.
    pub fn input(&mut self, node: &str, name: &str, source: impl Source + 'static) {
        self.inputs.push(Recorded {
            node: node.to_owned(),
            name: name.to_owned(),
            source: Box::new(source),
        });
    }

    /// Opens the inputs and the network, whose clock stands at the first event's time.
    ///
    /// # Errors
    /// A node that there is not, or that is no source; an input or a node that does not open, or
    /// an input that cannot be read; a network that was started.
    #[doc(hidden)]
    pub fn begin(self, network: &Network) -> Result<Replaying> {
        let graph = network.graph();
        let mut inputs = Vec::new();
        for Recorded { node, name, source } in self.inputs {
            let id = find(&graph, &node)?;
            let input = Input::open(graph.node(id), name, self.field.clone(), source)?;
            inputs.push((id, input));
        }
        let mut start = None;
        for (_, input) in &mut inputs {
            let first = input.first()?;
            start = start.into_iter().chain(first).min();
        }
        let simulation = network.simulate(start.unwrap_or(Timestamp::EPOCH))?;
        let inputs = inputs.into_iter().map(|(id, input)| Feed {
            input,
            source: simulation.handle(id),
        });
        let inputs = inputs.collect();
        Ok(Replaying {
            simulation,
            inputs,
            events: 0,
            bytes: 0,
        })
    }

    /// Replays all of it and gives the account.
    ///
    /// # Errors
    /// Those of [`Replay::begin`], [`Replaying::step`] and [`Replaying::finish`].
    pub fn run(self, network: &Network) -> Result<Stats> {
        let mut replaying = self.begin(network)?;
        let mut stepped = Ok(true);
        while let Ok(true) = stepped {
            stepped = replaying.step();
        }
        let finished = replaying.finish();
        stepped.and(finished)
    }
}

fn find(graph: &Graph, node: &str) -> Result<NodeId> {
    let nodes = graph.nodes().map(|(_, node)| node);
    let sources = nodes.filter(|node| node.kind == NodeKind::Source);
    match graph.named(node) {
        Some((id, node)) if node.kind == NodeKind::Source => Ok(id),
        Some(_) => Err(Error::data(format!("node {} is no source", quote(node)))),
        None => Err(Error::data(format!("no source node {}", quote(node)))
            .with_hint_opt(did_you_mean(node, sources.map(|node| node.name.as_str())))),
    }
}

/// An input, and the source of the network that sends its events.
struct Feed {
    input: Input,
    source: Handle,
}

/// A replay that has begun.
pub struct Replaying {
    simulation: Simulation,
    inputs: Vec<Feed>,
    events: u64,
    bytes: u64,
}

opaque_debug!(Replaying, events, bytes);

impl Replaying {
    /// Replays one event; false when there is none any more, or the network has failed, which
    /// [`Replaying::finish`] reports.
    ///
    /// # Errors
    /// An input that cannot be read. What was replayed before is good.
    pub fn step(&mut self) -> Result<bool> {
        let mut next: Option<(usize, Timestamp)> = None;
        for index in (0..self.inputs.len()).rev() {
            match self.inputs[index].input.head()? {
                // Its links end now, and not at the end of all inputs.
                None => {
                    let ended = self.inputs.remove(index);
                    self.simulation.end(ended.source);
                    next = next.map(|(later, time)| (later - 1, time));
                }
                Some(time) if next.is_none_or(|(_, first)| time <= first) => {
                    next = Some((index, time));
                }
                Some(_) => {}
            }
        }
        let Some((index, time)) = next else {
            return Ok(false);
        };
        if time > self.simulation.now() {
            self.simulation.advance_to(time);
        }
        let Feed { input, source } = &mut self.inputs[index];
        let Some(ahead) = input.take() else {
            return Ok(false);
        };
        self.events += 1;
        self.bytes += ahead.size();
        Ok(match ahead {
            Ahead::Event { port, event, .. } => self.simulation.send(*source, port, event),
            Ahead::Bad { event, error } => self.simulation.refuse(*source, event, &error),
        })
    }

    /// The network's instant: the greatest time so far.
    pub fn now(&self) -> Timestamp {
        self.simulation.now()
    }

    /// How many events were replayed, those that were refused among them.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many bytes they had, with a line end each.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The account of every event so far.
    pub fn stats(&self) -> Stats {
        self.simulation.stats()
    }

    /// Ends the network, whose nodes let go what they hold back, and gives its account.
    ///
    /// # Errors
    /// The first node that failed; an account that does not balance, because a node could not be
    /// opened again to the end.
    pub fn finish(self) -> Result<Stats> {
        let stats = self.simulation.finish_as_a_run()?;
        let breaches = stats.breaches();
        if breaches.is_empty() {
            return Ok(stats);
        }
        Err(Error::new(
            ErrorKind::Failed,
            format!("the account does not balance: {}", breaches.join("; ")),
        ))
    }
}
