//! A network under load that is changed a thousand times at random: no event is lost, doubled or out of order
//! on any path, the account balances, and threads are back where they were.
//!
//! `CHANGES` is the number of changes, `CHANGES_SEED` the seed.

use crate::support::probe::{Seen, text};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tributary::pipeline::{Forwarder, interceptor};
use tributary::{
    Context, Draft, Error, ErrorKind, Event, Handover, LinkOptions, Network, Node, Pipeline,
    Result, source,
};

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % most as u64).unwrap_or(0)
    }
}

/// Passes events that come in order, and rejects others: its state is the last number of each kind of text.
#[derive(Default)]
struct Ordered(BTreeMap<String, u64>);

impl Node for Ordered {
    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(std::mem::take(&mut self.0)))
    }
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        self.0 = *state.downcast()?;
        Ok(())
    }
}

impl Pipeline for Ordered {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let text = text(event);
        let (number, label) = text.split_once(':').unwrap_or((&text, ""));
        let number: u64 = number.parse().map_err(|_| Error::data("no number"))?;
        match self.0.insert(label.to_owned(), number) {
            Some(last) if last + 1 != number => Err(Error::data(format!("{number} after {last}"))),
            _ => {
                cx.pass();
                Ok(())
            }
        }
    }
}

/// A successor that does not open.
struct Broken(bool);

impl Node for Broken {
    fn open(&mut self) -> Result<()> {
        let error = Error::new(ErrorKind::Unavailable, "it never opens");
        Err(if self.0 { error.retryable() } else { error })
    }
    fn take(&mut self, _: Handover) -> std::result::Result<(), Handover> {
        Ok(())
    }
    fn give(&mut self) -> Option<Handover> {
        None
    }
}

impl Pipeline for Broken {
    fn process(&mut self, _: &Event, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}

/// Adds a label to the number.
fn labelled(label: &'static str) -> impl Pipeline {
    interceptor(move |event| Ok(Some(event.derive(format!("{}:{label}", text(event))))))
}

/// A branch that was added: its events are a run without a gap.
struct Side {
    name: String,
    seen: Seen,
}

/// What is changed, and what must have arrived.
struct World {
    network: Network,
    random: Random,
    sides: Vec<Side>,
    /// Branches that were removed.
    past: Vec<Side>,
    members: Vec<String>,
    made: usize,
    count: usize,
}

const BASE: [&str; 3] = ["a", "b", "c"];

impl World {
    fn change(&mut self) -> Result<()> {
        self.made += 1;
        match self.random.below(10) {
            0 | 1 => self.add_side(),
            2 => self.remove_side(),
            3 => self.unlink_side(),
            4 | 5 => {
                let base = BASE[self.random.below(3)];
                self.network.replace(base, Ordered::default())
            }
            6 => self.relink(),
            7 => self.several(),
            8 => self.fail(),
            _ => self.change_members(),
        }
    }

    fn add_side(&mut self) -> Result<()> {
        if self.sides.len() > 20 {
            return self.remove_side();
        }
        let from = BASE[self.random.below(3)];
        let name = format!("side{}", self.made);
        let seen = Seen::default();
        self.network.change(|draft| {
            draft.add_pipeline(&name, Ordered::default())?;
            let sink = format!("{name}-out");
            draft.add_sink(&sink, seen.sink())?;
            draft.link(name.as_str(), sink.as_str())?;
            draft.link(from, name.as_str())
        })?;
        self.sides.push(Side { name, seen });
        Ok(())
    }

    fn take_side(&mut self) -> Option<Side> {
        let index = self.random.below(self.sides.len().max(1));
        (index < self.sides.len()).then(|| self.sides.swap_remove(index))
    }

    fn remove_side(&mut self) -> Result<()> {
        let Some(side) = self.take_side() else {
            return Ok(());
        };
        self.network.change(|draft| {
            draft.remove(&side.name)?;
            draft.remove(&format!("{}-out", side.name))
        })?;
        self.past.push(side);
        Ok(())
    }

    fn unlink_side(&mut self) -> Result<()> {
        let Some(side) = self.take_side() else {
            return Ok(());
        };
        let edges = self.network.edges();
        let edge = edges.iter().find(|edge| edge.to.as_str() == side.name);
        let from = edge.expect("it is linked").from.to_string();
        self.network.unlink(from, side.name.as_str())?;
        self.past.push(side);
        Ok(())
    }

    fn relink(&mut self) -> Result<()> {
        let events = 1 + self.random.below(500);
        let options = LinkOptions::new().events(events);
        let (from, to) = [
            ("a", "b"),
            ("b", "c"),
            ("c", "out"),
            ("a", "d1"),
            ("d2", "join"),
        ][self.random.below(5)];
        self.network.change(|draft| {
            draft.unlink(from, to)?;
            draft.link_with(from, to, options)
        })
    }

    fn several(&mut self) -> Result<()> {
        let all = self.random.below(2) == 0;
        self.network.change(|draft| {
            draft.replace("a", Ordered::default())?;
            draft.replace("c", Ordered::default())?;
            if all {
                draft.replace("b", Ordered::default())?;
                draft.replace("d1", labelled("d1"))?;
                draft.replace("join", Forwarder)?;
            }
            Ok(())
        })
    }

    /// A change that fails, some of it at its last step.
    fn fail(&mut self) -> Result<()> {
        let (retryable, first) = (self.random.below(2) == 0, self.random.below(2) == 0);
        let seen = Seen::default();
        let failed = self.network.change(|draft: &mut Draft| {
            draft.add_sink("never", seen.sink())?;
            draft.link("a", "never")?;
            if first {
                draft.replace("a", Ordered::default())?;
                draft.replace("b", Ordered::default())?;
            }
            draft.replace("c", Broken(retryable))
        });
        assert!(failed.is_err() && !self.network.node_exists("never"));
        assert_eq!(seen.len(), 0);
        Ok(())
    }

    fn change_members(&mut self) -> Result<()> {
        if self.members.len() > 2 {
            let member = self
                .members
                .swap_remove(self.random.below(self.members.len()));
            return self.network.remove(&member);
        }
        let member = &self.members[self.random.below(self.members.len())];
        self.network.replace(member, Forwarder)
    }
}

/// The numbers of the texts with this label.
fn run(texts: &[String], label: &str) -> Vec<u64> {
    let parse = |text: &String| {
        let (number, of) = text.split_once(':').unwrap_or((text, ""));
        (of == label).then(|| number.parse().expect("a number"))
    };
    texts.iter().filter_map(parse).collect()
}

fn is_without_a_gap(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[0] + 1 == pair[1])
}

#[test]
fn a_thousand_random_changes_lose_double_and_reorder_nothing() -> Result<()> {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let (sender, input) = source::channel();
    let network = Network::new();
    network.add_source("in", input)?;
    for base in BASE {
        network.add_pipeline(base, Ordered::default())?;
    }
    network.add_pipeline("d1", labelled("d1"))?;
    network.add_pipeline("d2", labelled("d2"))?;
    network.add_pipeline("join", Forwarder)?;
    let (out, joined, shared) = (
        Seen::at(&network, "out")?,
        Seen::at(&network, "joined")?,
        Seen::at(&network, "shared")?,
    );
    let members: Vec<String> = (0..30).map(|n| format!("m{n}")).collect();
    network.add_pipeline(
        "keyed",
        interceptor(|event| {
            let n = text(event);
            Ok(Some(event.derive(format!(
                "{{\"n\":{n},\"key\":{}}}",
                n.len() + n.ends_with('3') as usize
            ))))
        }),
    )?;
    for member in &members {
        network.add_pipeline(member, Forwarder)?;
        network.link(member.as_str(), "shared")?;
    }
    network.balance("keyed", members.iter().map(String::as_str), Some("key"))?;
    for (from, to) in [
        ("in", "a"),
        ("a", "b"),
        ("b", "c"),
        ("c", "out"),
        ("a", "d1"),
        ("a", "d2"),
        ("d1", "join"),
        ("d2", "join"),
        ("join", "joined"),
        ("a", "keyed"),
    ] {
        network.link(from, to)?;
    }
    network.start()?;
    let done = Arc::new(AtomicBool::new(false));
    let ended = done.clone();
    let sending = std::thread::spawn(move || -> Result<u64> {
        let mut n = 0;
        while !ended.load(Ordering::SeqCst) {
            sender.send(n.to_string())?;
            n += 1;
            if n % 64 == 0 {
                // A source with pauses.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(n)
    });
    let count = usize::try_from(number("CHANGES", 1_000)).expect("a count");
    let mut world = World {
        network: network.clone(),
        random: Random(number("CHANGES_SEED", 1)),
        sides: Vec::new(),
        past: Vec::new(),
        members,
        made: 0,
        count,
    };
    while world.made < world.count {
        world.change()?;
    }
    done.store(true, Ordering::SeqCst);
    let sent = sending.join().expect("the thread does not panic")?;
    network.wait()?;
    let all: Vec<u64> = (0..sent).collect();
    assert_eq!(run(&out.texts(), ""), all, "the base path");
    let joined = joined.texts();
    assert_eq!(run(&joined, "d1"), all, "one side of the diamond");
    assert_eq!(run(&joined, "d2"), all, "the other side of the diamond");
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    let shared = shared.events();
    assert_eq!(shared.len() as u64, sent);
    for event in shared {
        let json = event.payload().json()?;
        let (n, key) = (json["n"].as_u64(), json["key"].as_u64());
        let (n, key) = (n.expect("a number"), key.expect("a key"));
        let before = last.insert(key, n);
        assert!(
            before.is_none_or(|before| before < n),
            "key {key}: {n} after {before:?}"
        );
    }
    for side in world.sides.iter().chain(&world.past) {
        let numbers = run(&side.seen.texts(), "");
        assert!(is_without_a_gap(&numbers), "{}: {numbers:?}", side.name);
    }
    for side in &world.sides {
        let last = run(&side.seen.texts(), "").last().copied();
        assert!(
            last.is_none_or(|last| last + 1 == sent),
            "{}: {last:?}",
            side.name
        );
    }
    let rejected: u64 = network.stats().nodes.iter().map(|node| node.rejected).sum();
    assert_eq!(rejected, 0);
    Ok(())
}
