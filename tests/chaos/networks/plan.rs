//! A random network as data, and the model of what must come out of it.
//!
//! Every node adds its name to the path that an event carries, so the events of one path can be
//! told apart at the end. Along a path the model says exactly what arrives, in order, unless a node
//! there drops by the clock: then what arrives is a part of it.

use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::{BTreeMap, BTreeSet};

/// Most nodes of a network.
const NODES: usize = 30;
/// Most events at a node for each event of a source.
const WEIGHT: u64 = 8;

#[derive(Debug, Clone)]
pub enum Kind {
    Source {
        count: u64,
        endless: bool,
        tracked: bool,
    },
    Stamp,
    Double,
    /// Of three events that follow each other in a source the first one.
    Filter,
    Rate,
    Throttle,
    /// Refuses one event in five.
    Reject {
        heard: bool,
    },
    Sink {
        slow: bool,
    },
}

/// How a run ends.
#[derive(Debug, Clone)]
pub enum End {
    /// By itself, where it does.
    Wait,
    /// It is stopped after so many microseconds.
    Stop(u64),
    /// The same, by two threads.
    Twice(u64),
}

/// What proptest makes up.
#[derive(Debug, Clone)]
pub struct Wish {
    kind: Kind,
    inputs: Vec<Index>,
}

/// A node of the network: `n3`, and for some kinds one more thread behind it.
#[derive(Debug, Clone)]
pub struct Spec {
    pub kind: Kind,
    pub inputs: Vec<usize>,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub capacity: usize,
    pub end: End,
    pub nodes: Vec<Spec>,
}

fn source() -> impl Strategy<Value = Kind> {
    (1..200u64, prop::bool::weighted(0.4), any::<bool>()).prop_map(|(count, endless, tracked)| {
        Kind::Source {
            count,
            endless,
            tracked,
        }
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        2 => source(),
        4 => Just(Kind::Stamp),
        2 => Just(Kind::Double),
        3 => Just(Kind::Filter),
        1 => Just(Kind::Rate),
        1 => Just(Kind::Throttle),
        2 => any::<bool>().prop_map(|heard| Kind::Reject { heard }),
        3 => prop::bool::weighted(0.2).prop_map(|slow| Kind::Sink { slow }),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Wait),
        (0..25_000u64).prop_map(End::Stop),
        (0..25_000u64).prop_map(End::Twice),
    ]
}

pub fn plans() -> impl Strategy<Value = Plan> {
    let wish = (kind(), prop::collection::vec(any::<Index>(), 1..4))
        .prop_map(|(kind, inputs)| Wish { kind, inputs });
    let wishes = prop::collection::vec(wish, 0..NODES);
    (1..=16usize, end(), source(), wishes)
        .prop_map(|(capacity, end, first, wishes)| Plan::of(capacity, end, first, wishes))
}

impl Kind {
    fn threads(&self) -> usize {
        match self {
            Kind::Filter | Kind::Rate | Kind::Throttle | Kind::Reject { heard: true } => 2,
            _ => 1,
        }
    }

    fn ends(&self) -> bool {
        matches!(self, Kind::Sink { .. })
    }
}

impl Plan {
    /// A network in which every node leads somewhere: what would not ends at the last node.
    fn of(capacity: usize, end: End, first: Kind, wishes: Vec<Wish>) -> Plan {
        let mut nodes = vec![Spec {
            kind: first,
            inputs: Vec::new(),
        }];
        let mut weights = vec![1];
        let mut threads = 2;
        for wish in wishes {
            threads += wish.kind.threads();
            if threads > NODES {
                break;
            }
            let mut inputs = BTreeSet::new();
            let mut weight = u64::from(matches!(wish.kind, Kind::Source { .. }));
            let open: Vec<usize> = (0..nodes.len())
                .filter(|&at| !nodes[at].kind.ends())
                .collect();
            for index in &wish.inputs {
                let from = *index.get(&open);
                let is_source = matches!(wish.kind, Kind::Source { .. });
                let fits = inputs.is_empty() || weight + weights[from] <= WEIGHT / 2;
                if !is_source && fits && inputs.insert(from) {
                    weight += weights[from];
                }
            }
            let (kind, weight) = match wish.kind {
                Kind::Double if weight * 2 <= WEIGHT => (Kind::Double, weight * 2),
                Kind::Double => (Kind::Stamp, weight),
                kind => (kind, weight),
            };
            nodes.push(Spec {
                kind,
                inputs: inputs.into_iter().collect(),
            });
            weights.push(weight);
        }
        let led: BTreeSet<usize> = nodes.iter().flat_map(|spec| spec.inputs.clone()).collect();
        let loose = (0..nodes.len()).filter(|at| !led.contains(at) && !nodes[*at].kind.ends());
        let inputs: Vec<usize> = loose.collect();
        if !inputs.is_empty() {
            nodes.push(Spec {
                kind: Kind::Sink { slow: false },
                inputs,
            });
        }
        Plan {
            capacity,
            end,
            nodes,
        }
    }

    /// Whether it ends by itself.
    pub fn is_finite(&self) -> bool {
        !self
            .nodes
            .iter()
            .any(|spec| matches!(spec.kind, Kind::Source { endless: true, .. }))
    }

    /// Whether what arrives depends on the clock.
    pub fn is_timed(&self) -> bool {
        self.nodes
            .iter()
            .any(|spec| matches!(spec.kind, Kind::Rate | Kind::Throttle))
    }

    /// Whether a filter may let events of this source pass because others have failed behind it.
    pub fn forgets(&self, source: usize) -> bool {
        let has = |is: fn(&Kind) -> bool| self.nodes.iter().any(|spec| is(&spec.kind));
        matches!(self.nodes[source].kind, Kind::Source { tracked: true, .. })
            && has(|kind| matches!(kind, Kind::Filter))
            && has(|kind| matches!(kind, Kind::Reject { heard: false }))
    }

    /// What must arrive when the sources have sent so many events each.
    pub fn expected(&self, sent: &BTreeMap<usize, u64>) -> Expected {
        let mut expected = Expected::default();
        for (source, count) in sent {
            let flow = Flow {
                source: *source,
                path: format!("n{source}"),
                numbers: (0..*count).collect(),
                exact: true,
            };
            self.follow(*source, &flow, &mut expected);
        }
        expected
    }

    fn follow(&self, from: usize, flow: &Flow, expected: &mut Expected) {
        let led = |spec: &Spec| spec.inputs.contains(&from);
        for (at, spec) in self.nodes.iter().enumerate().filter(|(_, spec)| led(spec)) {
            let mut next = flow.clone();
            next.path += &format!(".n{at}");
            match &spec.kind {
                Kind::Source { .. } | Kind::Stamp => {}
                Kind::Double => {
                    let mut other = next.clone();
                    next.path.push('a');
                    other.path.push('b');
                    self.follow(at, &other, expected);
                }
                Kind::Filter if self.forgets(flow.source) => next.exact = false,
                Kind::Filter => next.numbers.dedup_by_key(|number| *number / 3),
                Kind::Rate | Kind::Throttle => next.exact = false,
                Kind::Reject { heard } => {
                    let refuses = |number: &u64| refuses(at, *number);
                    let mut refused = flow.clone();
                    refused.numbers.retain(refuses);
                    next.numbers.retain(|number| !refuses(number));
                    if *heard {
                        expected.arrive(format!("e{at}"), refused);
                    } else {
                        let failed = expected.failed.entry(flow.source).or_default();
                        failed.extend(refused.numbers);
                    }
                }
                Kind::Sink { .. } => {
                    next.path.clone_from(&flow.path);
                    expected.arrive(format!("n{at}"), next);
                    continue;
                }
            }
            self.follow(at, &next, expected);
        }
    }
}

/// Whether node `at` refuses this number.
pub fn refuses(at: usize, number: u64) -> bool {
    number % 5 == at as u64 % 5
}

/// The events of a source that take a path.
#[derive(Debug, Clone)]
pub struct Flow {
    source: usize,
    path: String,
    pub numbers: Vec<u64>,
    pub exact: bool,
}

#[derive(Debug, Default)]
pub struct Expected {
    /// By sink and path.
    pub arrivals: BTreeMap<(String, String), Flow>,
    /// The numbers of each source that are refused and not heard.
    pub failed: BTreeMap<usize, BTreeSet<u64>>,
}

impl Expected {
    fn arrive(&mut self, sink: String, flow: Flow) {
        self.arrivals.insert((sink, flow.path.clone()), flow);
    }
}
