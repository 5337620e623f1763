//! A plan as a running network on real threads.

use super::plan::{End, Kind, Plan, refuses};
use crate::limit::within;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::pipeline::{Filter, FilterKey, Key, RateLimit, Throttle, injector, interceptor};
use tributary::sink::handler;
use tributary::{
    Capacity, Context, Error, Event, Network, Node, Outcome, ReadStatus, Result, Source, Stats,
    Token,
};

/// A network that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// By sink and path, the numbers in the order in which they came.
pub type Arrivals = BTreeMap<(String, String), Vec<u64>>;

/// By source and number, the outcomes that the source was told.
pub type Told = BTreeMap<(usize, u64), Vec<Outcome>>;

/// What a run has left.
pub struct Outcomes {
    pub stats: Stats,
    pub arrivals: Arrivals,
    /// How many events each source has sent.
    pub sent: BTreeMap<usize, u64>,
    /// Of each tracked event all outcomes that its source was told.
    pub told: Told,
}

#[derive(Clone, Default)]
struct Seen {
    arrivals: Arc<Mutex<Arrivals>>,
    sent: Arc<Mutex<BTreeMap<usize, u64>>>,
    told: Arc<Mutex<Told>>,
}

/// Sends numbered events.
struct Numbers {
    at: usize,
    next: u64,
    end: Option<u64>,
    tracked: bool,
    tokens: BTreeMap<Token, u64>,
    seen: Seen,
}

impl Node for Numbers {
    fn settle(&mut self, token: Token, outcome: Outcome, _: &mut Context<'_>) -> Result<()> {
        let number = self.tokens.get(&token).copied().unwrap_or(u64::MAX);
        let mut told = self.seen.told.lock().unwrap();
        told.entry((self.at, number)).or_default().push(outcome);
        Ok(())
    }
}

impl Source for Numbers {
    fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        for _ in 0..7 {
            if self.end.is_some_and(|end| self.next >= end) {
                let waits = self.tracked && self.seen.open(self.at, self.next);
                return Ok(if waits {
                    ReadStatus::Idle
                } else {
                    ReadStatus::End
                });
            }
            let (at, n) = (self.at, self.next);
            let text = format!(r#"{{"s":{at},"n":{n},"k":{},"p":"n{at}"}}"#, n / 3);
            let mut event = Event::new(text, cx.now());
            if self.tracked {
                self.tokens.insert(cx.track(&mut event), n);
            }
            cx.emit(event);
            self.next += 1;
            self.seen.sent.lock().unwrap().insert(at, self.next);
        }
        Ok(ReadStatus::More)
    }
}

impl Seen {
    /// Whether outcomes of a source are still to come.
    fn open(&self, at: usize, sent: u64) -> bool {
        let told = self.told.lock().unwrap();
        (told.range((at, 0)..(at, u64::MAX)).count() as u64) < sent
    }

    fn note(&self, sink: &str, event: &Event) -> Result<()> {
        let object = event.payload().object()?;
        let path = object["p"].as_str().unwrap_or_default().to_owned();
        let number = object["n"].as_u64().unwrap_or(u64::MAX);
        let mut arrivals = self.arrivals.lock().unwrap();
        arrivals
            .entry((sink.to_owned(), path))
            .or_default()
            .push(number);
        Ok(())
    }
}

/// The event with one more name in its path.
fn stamp(event: &Event, name: &str) -> Event {
    let text = event.payload().text().unwrap_or_default();
    let head = text.strip_suffix("\"}").unwrap_or(text);
    event.derive(format!("{head}.{name}\"}}"))
}

fn build(plan: &Plan, seen: &Seen) -> Result<Network> {
    let capacity = Capacity::new().events(plan.capacity);
    let network = Network::with_capacity(capacity)?;
    // The node whose output is that of the spec.
    let mut tails = Vec::new();
    for (at, spec) in plan.nodes.iter().enumerate() {
        let name = format!("n{at}");
        let mut tail = name.clone();
        let stamps = {
            let name = name.clone();
            interceptor(move |event| Ok(Some(stamp(event, &name))))
        };
        match &spec.kind {
            Kind::Source {
                count,
                endless,
                tracked,
            } => {
                let (end, tracked) = ((!endless).then_some(*count), *tracked);
                let (tokens, seen) = (BTreeMap::new(), seen.clone());
                network.add_source(
                    &name,
                    Numbers {
                        at,
                        next: 0,
                        end,
                        tracked,
                        tokens,
                        seen,
                    },
                )?;
            }
            Kind::Stamp => drop(network.add_pipeline(&name, stamps)?),
            Kind::Double => {
                let (a, b) = (format!("{name}a"), format!("{name}b"));
                let doubles = injector(move |event| Ok([stamp(event, &a), stamp(event, &b)]));
                network.add_pipeline(&name, doubles)?;
            }
            Kind::Reject { heard } => {
                let own = name.clone();
                let rejects = interceptor(move |event| {
                    let number = event.payload().object()?["n"].as_u64();
                    if number.is_some_and(|number| refuses(at, number)) {
                        Err(Error::data("refused"))
                    } else {
                        Ok(Some(stamp(event, &own)))
                    }
                });
                network.add_pipeline(&name, rejects)?;
                if *heard {
                    let (sink, seen) = (format!("e{at}"), seen.clone());
                    let own = sink.clone();
                    network.add_sink(&sink, handler(move |event| seen.note(&own, event)))?;
                    network.link(format!("{name}.errors").as_str(), sink.as_str())?;
                }
            }
            Kind::Sink { slow } => {
                let (own, seen, slow) = (name.clone(), seen.clone(), *slow);
                let sink = handler(move |event| {
                    if slow {
                        std::thread::sleep(Duration::from_micros(50));
                    }
                    seen.note(&own, event)
                });
                network.add_sink(&name, sink)?;
            }
            kind @ (Kind::Filter | Kind::Rate | Kind::Throttle) => {
                network.add_pipeline(&name, stamps)?;
                tail = format!("f{at}");
                let fields = ["s", "k", "p"].map(str::to_owned).to_vec();
                let time = Duration::from_millis(1);
                let hour = Duration::from_secs(3_600);
                match kind {
                    Kind::Filter => {
                        network.add_pipeline(&tail, Filter::new(hour, FilterKey::Fields(fields))?)
                    }
                    Kind::Rate => network.add_pipeline(&tail, RateLimit::new(time)?),
                    _ => network.add_pipeline(&tail, Throttle::new(3, time, Key::none())?),
                }?;
                network.link(name.as_str(), tail.as_str())?;
            }
        }
        for from in &spec.inputs {
            let from: &String = &tails[*from];
            network.link(from.as_str(), name.as_str())?;
        }
        tails.push(tail);
    }
    Ok(network)
}

/// Runs a plan to its end; panics when it hangs, naming the nodes that have not ended.
pub fn run(plan: &Plan) -> Result<Outcomes> {
    let seen = Seen::default();
    let network = build(plan, &seen)?;
    let (end, finite) = (plan.end.clone(), plan.is_finite());
    let watched = network.clone();
    let stats = within(
        LIMIT,
        || stuck(&watched),
        move || -> Result<Stats> {
            network.start()?;
            match end {
                End::Wait if finite => network.wait()?,
                End::Wait => network.stop()?,
                End::Stop(micros) => {
                    std::thread::sleep(Duration::from_micros(micros));
                    network.stop()?;
                }
                End::Twice(micros) => {
                    std::thread::sleep(Duration::from_micros(micros));
                    let other = network.clone();
                    let other = std::thread::spawn(move || other.stop());
                    network.stop()?;
                    other.join().expect("a stop does not panic")?;
                }
            }
            Ok(network.stats())
        },
    )?;
    let arrivals = seen.arrivals.lock().unwrap().clone();
    let sent = seen.sent.lock().unwrap().clone();
    let told = seen.told.lock().unwrap().clone();
    Ok(Outcomes {
        stats,
        arrivals,
        sent,
        told,
    })
}

/// Which nodes have events in hand, and which links.
fn stuck(network: &Network) -> String {
    let stats = network.stats();
    let mut text = String::from("nodes");
    for node in stats.nodes.iter().filter(|node| node.held > 0) {
        let _ = write!(text, " {} ({} in hand)", node.name, node.held);
    }
    for link in stats.links.iter().filter(|link| link.queued > 0) {
        let _ = write!(
            text,
            " {} -> {} ({} queued)",
            link.from, link.to, link.queued
        );
    }
    text
}
