//! The flows through a network.

use super::watch::Watch;
use super::{BATCH, PAYLOAD, is_ours};
use std::sync::Arc;
use std::time::Duration;
use tributary::pipeline::{self, Forwarder, Verdict};
use tributary::{
    Context, Event, Network, Node, Outcome, Pipeline, ReadStatus, Result, Sink, Source, Token,
};

/// Makes so many events, and tracks them where that is asked for.
pub struct Spring {
    watch: Arc<Watch>,
    left: u64,
    /// Events whose outcomes it still waits for.
    tracked: Option<u64>,
}

impl Spring {
    pub fn new(watch: &Arc<Watch>, events: u64) -> Self {
        Spring {
            watch: watch.clone(),
            left: events,
            tracked: None,
        }
    }
}

impl Node for Spring {
    fn settle(&mut self, _: Token, outcome: Outcome, _: &mut Context<'_>) -> Result<()> {
        assert_eq!(outcome, Outcome::Delivered);
        if let Some(tracked) = &mut self.tracked {
            *tracked -= 1;
            if *tracked == 0 {
                self.watch.end();
            }
        }
        Ok(())
    }
}

impl Source for Spring {
    fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        self.watch.begin();
        let now = cx.now();
        let events = self.left.min(BATCH as u64);
        self.left -= events;
        let events = (0..events).map(|_| Event::new(&PAYLOAD[..], now));
        match self.tracked {
            None => events.for_each(|event| cx.emit(event)),
            Some(_) => events.for_each(|event| {
                cx.emit_tracked(event);
            }),
        }
        Ok(if self.left == 0 {
            ReadStatus::End
        } else {
            ReadStatus::More
        })
    }
}

/// Takes so many events.
pub struct Drain {
    watch: Arc<Watch>,
    left: u64,
}

impl Drain {
    pub fn new(watch: &Arc<Watch>, events: u64) -> Self {
        Drain {
            watch: watch.clone(),
            left: events,
        }
    }
}

impl Node for Drain {}

impl Sink for Drain {
    fn write(&mut self, _event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        self.left -= 1;
        if self.left == 0 {
            self.watch.end();
        }
        Ok(())
    }
}

/// Lets the network run to its end.
pub fn run(network: &Network, watch: &Watch) -> Result<Duration> {
    network.start()?;
    let took = watch.wait();
    network.wait()?;
    Ok(took)
}

fn chain<P: Pipeline + 'static>(
    hops: usize,
    hop: impl Fn() -> P,
    spring: Spring,
    events: u64,
) -> Result<Duration> {
    let watch = spring.watch.clone();
    let network = Network::new();
    network.add_source("spring", spring)?;
    let mut last = "spring".to_owned();
    for at in 0..hops {
        let next = format!("hop-{at}");
        network.add_pipeline(&next, hop())?;
        network.link(&last, &next)?;
        last = next;
    }
    network.add_sink("drain", Drain::new(&watch, events))?;
    network.link(&last, "drain")?;
    run(&network, &watch)
}

/// A chain of forwarders.
pub fn hop<const N: usize>(events: u64) -> Duration {
    let spring = Spring::new(&Watch::new(1), events);
    chain(N, || Forwarder, spring, events).expect("a chain of forwarders runs")
}

/// Three forwarders; the source gets the outcome of every event, and the last one ends the flow.
pub fn ack(events: u64) -> Duration {
    let mut spring = Spring::new(&Watch::new(2), events);
    spring.tracked = Some(events);
    chain(3, || Forwarder, spring, events).expect("a chain with acks runs")
}

/// Three closures that look at each event and let it pass.
pub fn closure(events: u64) -> Duration {
    let look = || {
        pipeline::interceptor(|event| {
            let ours = is_ours(event.payload().bytes());
            Ok(if ours { Verdict::Pass } else { Verdict::Drop })
        })
    };
    let spring = Spring::new(&Watch::new(1), events);
    chain(3, look, spring, events).expect("a chain of closures runs")
}

/// One source, four sinks that get every event each.
pub fn fanout(events: u64) -> Duration {
    let run = || {
        let watch = Watch::new(4);
        let network = Network::new();
        network.add_source("spring", Spring::new(&watch, events))?;
        for name in ["a", "b", "c", "d"] {
            network.add_sink(name, Drain::new(&watch, events))?;
        }
        network.fanout("spring", ["a", "b", "c", "d"])?;
        run(&network, &watch)
    };
    run().expect("a fanout runs")
}

/// Four sources, one sink that gets the events of all.
pub fn fanin(events: u64) -> Duration {
    let run = || {
        let watch = Watch::new(1);
        let network = Network::new();
        for name in ["a", "b", "c", "d"] {
            network.add_source(name, Spring::new(&watch, events / 4))?;
        }
        network.add_sink("drain", Drain::new(&watch, events / 4 * 4))?;
        network.fanin("drain", ["a", "b", "c", "d"])?;
        run(&network, &watch)
    };
    run().expect("a fanin runs")
}
