//! One node that uses all of its contract at once: it gathers events and lets them go together,
//! by time or at the end, durable before they leave, and hears what became of them.

use crate::support::probe::{Log, START, Scripted, Seen, text, tracking};
use std::time::Duration;
use tributary::sink::Discarder;
use tributary::time::Timestamp;
use tributary::{
    Context, Error, Event, Network, Node, Outcome, Pipeline, Result, Simulation, Token,
};

/// Gathers for two seconds; then one event with all texts leaves by `sums`.
struct Gather {
    log: Log,
    /// Committed, and not let go.
    kept: Vec<String>,
    /// Taken since the last commit.
    taken: Vec<String>,
    /// Let go since the last commit.
    gone: bool,
    since: Option<Timestamp>,
    fails: u32,
}

impl Gather {
    fn let_go(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let mut sum = Event::new(self.kept.concat(), cx.now());
        let token = cx.track(&mut sum);
        self.log
            .note(format!("let go {} as {}", self.kept.concat(), token.0));
        self.gone = true;
        cx.emit_to("sums", sum)
    }
}

impl Node for Gather {
    fn open(&mut self) -> Result<()> {
        self.log.note("open");
        Ok(())
    }

    fn ports(&self) -> Vec<String> {
        vec!["sums".into()]
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if !self.taken.is_empty() || self.gone {
            self.log.note("commit");
        }
        if self.gone && self.fails > 0 {
            self.fails -= 1;
            return Err(Error::data("the database is gone").retryable());
        }
        if std::mem::take(&mut self.gone) {
            self.kept.clear();
        }
        self.kept.append(&mut self.taken);
        self.since = if self.kept.is_empty() {
            None
        } else {
            self.since.or(Some(cx.now()))
        };
        Ok(())
    }

    fn rollback(&mut self) {
        self.log.note("rollback");
        self.taken.clear();
        self.gone = false;
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _: &mut Context<'_>) -> Result<()> {
        self.log.note(format!("settle {} {outcome:?}", token.0));
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        self.since
            .map(|since| since.saturating_add(Duration::from_secs(2)))
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.log.note("tick");
        self.let_go(cx)
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.log.note("finish");
        self.let_go(cx)
    }
}

impl Pipeline for Gather {
    fn process(&mut self, event: &Event, _: &mut Context<'_>) -> Result<()> {
        self.taken.push(text(event));
        Ok(())
    }
}

fn gathering(log: &Log, fails: u32) -> Result<(Simulation, Seen)> {
    let network = Network::new();
    network.add_source("in", tracking(&["a", "b"], log))?;
    let gather = Gather {
        log: log.clone(),
        kept: Vec::new(),
        taken: Vec::new(),
        gone: false,
        since: None,
        fails,
    };
    network.add_pipeline("gather", gather)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "gather")?;
    network.link("gather.sums", "out")?;
    Ok((network.simulate(START)?, seen))
}

#[test]
fn a_node_that_collects_emits_by_time_and_at_the_end() -> Result<()> {
    let log = Log::default();
    let (mut simulation, seen) = gathering(&log, 0)?;
    let taken = ["open", "commit", "source a Delivered", "source b Delivered"];
    assert_eq!(log.take(), taken);
    simulation.advance(Duration::from_millis(1_999));
    assert_eq!(seen.len(), 0);
    simulation.advance(Duration::from_millis(1));
    assert_eq!(
        log.take(),
        ["tick", "let go ab as 0", "commit", "settle 0 Delivered"]
    );
    simulation.inject("gather", "c")?;
    assert_eq!(log.take(), ["commit"]);
    let stats = simulation.finish()?;
    assert_eq!(
        log.take(),
        ["finish", "let go c as 1", "commit", "settle 1 Delivered"]
    );
    assert_eq!(seen.texts(), ["ab", "c"]);
    assert_eq!(stats.breaches(), [""; 0]);
    assert_eq!(
        stats.node("gather").map(|n| (n.consumed, n.emitted)),
        Some((3, 2))
    );
    Ok(())
}

#[test]
fn a_node_whose_commit_fails_while_it_emits_emits_again_and_loses_nothing() -> Result<()> {
    let log = Log::default();
    let (mut simulation, seen) = gathering(&log, 1)?;
    log.take();
    simulation.advance(Duration::from_secs(2));
    let failed = [
        "tick",
        "let go ab as 0",
        "commit",
        "rollback",
        "settle 0 Failed",
    ];
    assert_eq!(log.take(), failed);
    simulation.inject("gather", "c")?;
    assert_eq!(
        (log.take().len(), seen.len()),
        (0, 0),
        "it waits to be opened again"
    );
    simulation.advance(Duration::from_millis(100));
    let again = [
        "open",
        "commit",
        "tick",
        "let go abc as 1",
        "commit",
        "settle 1 Delivered",
    ];
    assert_eq!(log.take(), again);
    assert_eq!(seen.texts(), ["abc"]);
    assert_eq!(simulation.finish()?.breaches(), [""; 0]);
    Ok(())
}

#[test]
fn outcomes_that_a_node_got_are_committed_once_it_is_open_again() -> Result<()> {
    let log = Log::default();
    let mut failures = 2;
    let node = Scripted::new(&log)
        .on_event(|event, cx| {
            let mut event = event.clone();
            cx.track(&mut event);
            cx.emit(event);
            Ok(())
        })
        .on_settle({
            let log = log.clone();
            move |_, _, _| {
                log.note("told");
                Ok(())
            }
        })
        .on_commit({
            let told = log.clone();
            move |_| match told.count("told") {
                0 => Ok(()),
                _ if failures == 0 => Ok(()),
                _ => {
                    failures -= 1;
                    Err(Error::data("the database is gone").retryable())
                }
            }
        });
    let network = Network::new();
    network.add_pipeline("node", node)?;
    network.add_sink("out", Discarder)?;
    network.link("node", "out")?;
    let mut simulation = network.simulate(START)?;
    simulation.inject("node", "a")?;
    simulation.advance(Duration::from_secs(5));
    let lines = log.take();
    let after = lines.iter().position(|line| line == "told").unwrap_or(0);
    let calls: Vec<&str> = lines[after..].iter().map(String::as_str).collect();
    let calls: Vec<&str> = calls
        .into_iter()
        .filter(|call| !call.starts_with("settle"))
        .collect();
    assert_eq!(
        calls,
        [
            "told", "commit", "rollback", "open", "commit", "rollback", "open", "commit"
        ]
    );
    Ok(())
}
