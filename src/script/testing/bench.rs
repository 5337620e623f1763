//! The bench on which one test runs: a network in virtual time, whose every port is recorded.

use super::Prepare;
use super::diff::{carried, diff, shown};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::event::Event;
use crate::network::{Draft, Network, NodeInfo, NodeKind, Simulation};
use crate::node::{Context, Node, ReadStatus, Source};
use crate::payload::Payload;
use crate::script::limits::ScriptLimits;
use crate::script::runtime::Runtime;
use crate::sink::{self, Discarder, Recorder};
use crate::store::Database;
use crate::time::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// When tests begin: 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::from_secs(1_767_225_600);

/// So many nodes from outside the scripts are stood in for.
const MOST_STAND_INS: usize = 1_000;

/// Stands in for a source: it emits what a test injects.
struct Silent;

impl Node for Silent {}

impl Source for Silent {
    fn read(&mut self, _cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        Ok(ReadStatus::Idle)
    }
}

/// What stands in for a node that a script takes for granted.
enum StandIn {
    Source(String),
    Sink(String),
}

impl StandIn {
    /// For the node that is missing, if that is the error, and no name is near to it.
    fn for_missing(error: &Error) -> Option<StandIn> {
        let missing = |what: &str| {
            let name = error.message().strip_prefix(what)?.strip_suffix('"')?;
            error.hint().is_none().then(|| name.to_owned())
        };
        let source = missing("no source node \"").map(StandIn::Source);
        source.or_else(|| missing("no target node \"").map(StandIn::Sink))
    }
}

type Records = Arc<Mutex<Vec<(String, Event)>>>;

pub(super) struct Bench {
    directory: PathBuf,
    network: Network,
    runtime: Runtime,
    simulation: Option<Simulation>,
    finished: bool,
    /// What passed: the port, and the event.
    records: Records,
    /// How far each expectation has read, by what it names.
    read: HashMap<String, usize>,
    /// The scripts that were loaded.
    loaded: Vec<PathBuf>,
    /// The nodes that record.
    recorders: Vec<String>,
}

impl Bench {
    pub fn new(
        directory: PathBuf,
        limits: ScriptLimits,
        prepare: Prepare,
        recorder: &Recorder,
    ) -> Result<Self> {
        let network = Network::new();
        let database = Database::open("sqlite::memory:")?;
        let runtime = Runtime::with_limits(&network, &database, limits)?;
        for source in ["create_stdin", "create_file_source"] {
            runtime.export_source(source, |_| Ok(Silent))?;
        }
        runtime.record_sinks(recorder);
        for sink in ["create_stdout", "create_tester"] {
            runtime.export_sink(sink, |_| Ok(Discarder))?;
        }
        prepare(&runtime)?;
        Ok(Bench {
            directory,
            network,
            runtime,
            simulation: None,
            finished: false,
            records: Records::default(),
            read: HashMap::new(),
            loaded: Vec::new(),
            recorders: Vec::new(),
        })
    }

    /// Loads a script; a node that it takes for granted, and that no name of its own is near to, is
    /// stood in for.
    pub fn load(&mut self, path: &str) -> Result<()> {
        if self.simulation.is_some() {
            let error = "a script cannot be loaded once events have flowed";
            return Err(Error::data(error));
        }
        let path = self.directory.join(path);
        for _ in 0..MOST_STAND_INS {
            let Err(error) = self.runtime.run(&path) else {
                self.loaded.push(path);
                return Ok(());
            };
            match StandIn::for_missing(&error) {
                Some(StandIn::Source(name)) => drop(self.network.add_source(&name, Silent)?),
                Some(StandIn::Sink(name)) => drop(self.network.add_sink(&name, Discarder)?),
                None => return Err(error),
            }
        }
        Err(Error::data("too many nodes from outside the script"))
    }

    /// Loads a script again, from this file: in place of the one that was loaded, or of this one of them.
    pub fn reload(&mut self, path: &str, in_place_of: Option<String>) -> Result<()> {
        self.simulation()?;
        let loaded = match (in_place_of, self.loaded.as_slice()) {
            (Some(name), loaded) => {
                let name = self.directory.join(name);
                let known = loaded.iter().find(|path| **path == name);
                known.cloned().ok_or_else(|| {
                    let name = name.to_string_lossy().into_owned();
                    Error::data(format!("no script {} was loaded", quote(name)))
                })?
            }
            (None, [only]) => only.clone(),
            (None, _) => {
                let error = Error::data("reload needs the script that is to be replaced");
                return Err(error.with_hint("t:reload(\"changed.lua\", \"net.lua\")"));
            }
        };
        let (unit, path) = (loaded.display().to_string(), self.directory.join(path));
        let Some(simulation) = &mut self.simulation else {
            return Ok(());
        };
        let recorders = std::mem::take(&mut self.recorders);
        simulation.change(|draft| recorders.iter().try_for_each(|name| draft.remove(name)))?;
        let mut left = MOST_STAND_INS;
        let reloaded = loop {
            let reloaded = self.runtime.reload_in(simulation, &unit, &path);
            let Err(error) = reloaded else { break Ok(()) };
            left -= 1;
            match StandIn::for_missing(&error).filter(|_| left > 0) {
                Some(StandIn::Source(name)) => {
                    simulation.change(|draft| draft.add_source(&name, Silent))?;
                }
                Some(StandIn::Sink(name)) => {
                    simulation.change(|draft| draft.add_sink(&name, Discarder))?;
                }
                None => break Err(error),
            }
        };
        let nodes = simulation.nodes();
        let records = &self.records;
        self.recorders = simulation.change(|draft| Self::record(&nodes, records, draft))?;
        reloaded
    }

    /// The network, which runs from now on.
    fn simulation(&mut self) -> Result<&mut Simulation> {
        if self.finished {
            return Err(Error::data("the network has finished"));
        }
        if self.simulation.is_none() {
            let nodes = self.network.nodes();
            let mut draft = self.network.draft();
            self.recorders = Self::record(&nodes, &self.records, &mut draft)?;
            self.network.apply(draft)?;
            self.simulation = Some(self.network.simulate(START)?);
        }
        let missing = || Error::data("the network does not run");
        self.simulation.as_mut().ok_or_else(missing)
    }

    /// Puts a recorder to every port of these nodes; their names come back.
    fn record(nodes: &[NodeInfo], records: &Records, draft: &mut Draft) -> Result<Vec<String>> {
        let mut recorders = Vec::new();
        for node in nodes {
            for port in &node.ports {
                if node.kind == NodeKind::Sink && port.as_str() != "errors" {
                    continue;
                }
                let endpoint = format!("{}.{port}", node.name);
                let name = format!("test-recorder-{}", recorders.len());
                let records = records.clone();
                let at = endpoint.clone();
                let record = move |event: &Event| {
                    let mut records = records.lock();
                    records.push((at.clone(), event.detached()));
                    Ok(())
                };
                draft.add_sink(&name, sink::handler(record))?;
                draft.link(endpoint, name.as_str())?;
                recorders.push(name);
            }
        }
        Ok(recorders)
    }

    /// The nodes as they are now.
    fn nodes(&self) -> Vec<NodeInfo> {
        match &self.simulation {
            Some(simulation) => simulation.nodes(),
            None => self.network.nodes(),
        }
    }

    /// Adds a source that emits what the test injects.
    pub fn add_source(&self, name: &str) -> Result<()> {
        self.network.add_source(name, Silent).map(drop)
    }

    /// Adds a sink that takes everything.
    pub fn add_sink(&self, name: &str) -> Result<()> {
        self.network.add_sink(name, Discarder).map(drop)
    }

    /// The time of the network.
    pub fn now(&self) -> Timestamp {
        self.simulation.as_ref().map_or(START, Simulation::now)
    }

    pub fn inject(&mut self, node: &str, payload: Payload) -> Result<()> {
        self.simulation()?.inject(node, payload)
    }

    pub fn advance(&mut self, by: Duration) -> Result<()> {
        self.simulation()?.advance(by);
        Ok(())
    }

    pub fn finish(&mut self) -> Result<()> {
        self.simulation()?;
        self.finished = true;
        match self.simulation.take() {
            Some(simulation) => simulation.finish().map(|_| ()),
            None => Ok(()),
        }
    }

    /// The ports whose events are meant by a name: the port itself, what leads to a sink, the `out`
    /// of another node.
    fn ports(&self, name: &str) -> Result<Vec<String>> {
        let (node, port) = match name.split_once('.') {
            Some((node, port)) => (node, Some(port)),
            None => (name, None),
        };
        let nodes = self.nodes();
        let Some(info) = nodes.iter().find(|info| info.name.as_str() == node) else {
            let names: Vec<&str> = nodes.iter().map(|info| info.name.as_str()).collect();
            let own = names
                .into_iter()
                .filter(|name| !name.starts_with("test-recorder-"));
            return Err(Error::data(format!("no node {}", quote(node)))
                .with_hint_opt(did_you_mean(node, own)));
        };
        match port {
            Some(port) if info.ports.iter().any(|known| known.as_str() == port) => {
                Ok(vec![name.to_owned()])
            }
            Some(port) => {
                let ports: Vec<&str> = info.ports.iter().map(|port| port.as_str()).collect();
                let hint = did_you_mean(port, ports.iter().copied())
                    .unwrap_or_else(|| format!("its ports are {}", ports.join(", ")));
                Err(Error::data(format!("node {node} has no port {}", quote(port))).with_hint(hint))
            }
            None if info.kind == NodeKind::Sink => {
                let edges = match &self.simulation {
                    Some(simulation) => simulation.edges(),
                    None => self.network.edges(),
                };
                let leading = edges.iter().filter(|edge| edge.to.as_str() == node);
                Ok(leading.map(|edge| full(&edge.from.to_string())).collect())
            }
            None => Ok(vec![format!("{node}.out")]),
        }
    }

    /// What has come there since it was last asked for.
    pub fn received(&mut self, name: &str) -> Result<Vec<Event>> {
        if !self.finished {
            self.simulation()?;
        }
        let ports = self.ports(name)?;
        let records = self.records.lock();
        let begin = self
            .read
            .insert(name.to_owned(), records.len())
            .unwrap_or(0);
        let new = records[begin..].iter();
        let there = new.filter(|(at, _)| ports.contains(at));
        Ok(there.map(|(_, event)| event.clone()).collect())
    }

    pub fn expect(&mut self, name: &str, expected: &[Value]) -> Result<()> {
        let got: Vec<String> = self
            .received(name)?
            .iter()
            .map(|event| carried(event.payload()))
            .collect();
        let expected: Vec<String> = expected.iter().map(shown).collect();
        match diff(&expected, &got) {
            None => Ok(()),
            Some(lines) => {
                let legend = "- did not come, + was not expected";
                let rejected = self.rejected();
                let error = format!("at {}: {legend}{lines}{rejected}", quote(name));
                Err(Error::data(error))
            }
        }
    }

    /// What was rejected, which is often why something did not come.
    fn rejected(&self) -> String {
        let records = self.records.lock();
        let errors = records.iter().filter_map(|(at, event)| {
            let node = at.strip_suffix(".errors")?;
            let error = event.meta().get("error")?.as_str()?;
            Some(format!("\n  node {node} rejected an event: {error}"))
        });
        errors.take(5).collect()
    }
}

/// An endpoint with its port.
fn full(endpoint: &str) -> String {
    if endpoint.contains('.') {
        endpoint.to_owned()
    } else {
        format!("{endpoint}.out")
    }
}
