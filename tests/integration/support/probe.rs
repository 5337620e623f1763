//! Nodes for tests: they do what the test says and write down what they were asked.

pub use super::wait::soon;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::{
    Context, Event, Network, Node, Outcome, Pipeline, ReadStatus, Result, Sink, Source, Token,
    sink, time::Timestamp,
};

/// Where the instants of simulated tests begin.
pub const START: Timestamp = Timestamp::from_secs(1_000);

/// What the nodes of a test were asked, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// All lines so far, which are forgotten.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// How many lines there are of this text.
    pub fn count(&self, line: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|l| *l == line).count()
    }
}

/// The payload as text.
pub fn text(event: &Event) -> String {
    event.payload().text().unwrap_or("?").to_owned()
}

type Call<A> = Box<dyn FnMut(A, &mut Context<'_>) -> Result<()> + Send>;
type OnRead = Box<dyn FnMut(&mut Context<'_>) -> Result<ReadStatus> + Send>;
type OnEvent = Box<dyn FnMut(&Event, &mut Context<'_>) -> Result<()> + Send>;

/// A node of any kind that does what its closures say, notes down every call, and passes events
/// on (as a pipeline) unless it was told otherwise.
pub struct Scripted {
    log: Log,
    label: String,
    ports: Vec<String>,
    open: Box<dyn FnMut() -> Result<()> + Send>,
    event: Option<OnEvent>,
    commit: Call<()>,
    settle: Call<(Token, Outcome)>,
    wake: Box<dyn Fn() -> Option<Timestamp> + Send>,
    tick: Call<()>,
    finish: Call<()>,
    read: OnRead,
}

impl Scripted {
    pub fn new(log: &Log) -> Self {
        Scripted {
            log: log.clone(),
            label: String::new(),
            ports: Vec::new(),
            open: Box::new(|| Ok(())),
            event: None,
            commit: Box::new(|(), _| Ok(())),
            settle: Box::new(|_, _| Ok(())),
            wake: Box::new(|| None),
            tick: Box::new(|(), _| Ok(())),
            finish: Box::new(|(), _| Ok(())),
            read: Box::new(|_| Ok(ReadStatus::Idle)),
        }
    }

    /// Every line that it notes down begins with this.
    pub fn label(mut self, label: &str) -> Self {
        self.label = format!("{label} ");
        self
    }

    pub fn ports(mut self, ports: &[&str]) -> Self {
        self.ports = ports.iter().map(|&port| port.to_owned()).collect();
        self
    }

    pub fn on_open(mut self, f: impl FnMut() -> Result<()> + Send + 'static) -> Self {
        self.open = Box::new(f);
        self
    }

    pub fn on_event(
        mut self,
        f: impl FnMut(&Event, &mut Context<'_>) -> Result<()> + Send + 'static,
    ) -> Self {
        self.event = Some(Box::new(f));
        self
    }

    pub fn on_commit(
        mut self,
        mut f: impl FnMut(&mut Context<'_>) -> Result<()> + Send + 'static,
    ) -> Self {
        self.commit = Box::new(move |(), cx| f(cx));
        self
    }

    pub fn on_settle(
        mut self,
        mut f: impl FnMut(Token, Outcome, &mut Context<'_>) -> Result<()> + Send + 'static,
    ) -> Self {
        self.settle = Box::new(move |(token, outcome), cx| f(token, outcome, cx));
        self
    }

    pub fn on_wake(mut self, f: impl Fn() -> Option<Timestamp> + Send + 'static) -> Self {
        self.wake = Box::new(f);
        self
    }

    pub fn on_tick(
        mut self,
        mut f: impl FnMut(&mut Context<'_>) -> Result<()> + Send + 'static,
    ) -> Self {
        self.tick = Box::new(move |(), cx| f(cx));
        self
    }

    pub fn on_finish(
        mut self,
        mut f: impl FnMut(&mut Context<'_>) -> Result<()> + Send + 'static,
    ) -> Self {
        self.finish = Box::new(move |(), cx| f(cx));
        self
    }

    pub fn on_read(
        mut self,
        f: impl FnMut(&mut Context<'_>) -> Result<ReadStatus> + Send + 'static,
    ) -> Self {
        self.read = Box::new(f);
        self
    }

    fn note(&self, line: &str) {
        self.log.note(format!("{}{line}", self.label));
    }

    fn take(&mut self, event: &Event, cx: &mut Context<'_>, passes: bool) -> Result<()> {
        self.note(&text(event));
        match &mut self.event {
            Some(f) => f(event, cx),
            None if passes => {
                cx.pass();
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Node for Scripted {
    fn open(&mut self) -> Result<()> {
        self.note("open");
        (self.open)()
    }
    fn ports(&self) -> Vec<String> {
        self.ports.clone()
    }
    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.note("commit");
        (self.commit)((), cx)
    }
    fn rollback(&mut self) {
        self.note("rollback");
    }
    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        self.note(&format!("settle {} {outcome:?}", token.0));
        (self.settle)((token, outcome), cx)
    }
    fn wake(&self) -> Option<Timestamp> {
        (self.wake)()
    }
    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.note("tick");
        (self.tick)((), cx)
    }
    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.note("finish");
        (self.finish)((), cx)
    }
}

impl Source for Scripted {
    fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        (self.read)(cx)
    }
}

impl Pipeline for Scripted {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        self.take(event, cx, true)
    }
}

impl Sink for Scripted {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        self.take(event, cx, false)
    }
}

/// A source that emits its payloads as one batch, tracked, notes down what became of each
/// (`"source a Delivered"`), and then waits for ever.
pub struct Tracking {
    payloads: Vec<String>,
    sent: Vec<(Token, String)>,
    log: Log,
}

pub fn tracking(payloads: &[&str], log: &Log) -> Tracking {
    Tracking {
        payloads: payloads.iter().map(|&payload| payload.to_owned()).collect(),
        sent: Vec::new(),
        log: log.clone(),
    }
}

impl Node for Tracking {
    fn settle(&mut self, token: Token, outcome: Outcome, _: &mut Context<'_>) -> Result<()> {
        let sent = self.sent.iter().find(|(sent, _)| *sent == token);
        let payload = sent.map_or("an unknown token", |(_, payload)| payload);
        self.log.note(format!("source {payload} {outcome:?}"));
        Ok(())
    }
}

impl Source for Tracking {
    fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        for payload in std::mem::take(&mut self.payloads) {
            let event = Event::new(payload.as_str(), cx.now());
            self.sent.push((cx.emit_tracked(event), payload));
        }
        Ok(ReadStatus::Idle)
    }
}

/// A source that emits its payloads as one batch and then waits for ever.
pub fn burst(payloads: &[&str]) -> Scripted {
    let mut payloads: Vec<String> = payloads.iter().map(|&p| p.to_owned()).collect();
    Scripted::new(&Log::default()).on_read(move |cx| {
        let now = cx.now();
        payloads
            .drain(..)
            .for_each(|payload| cx.emit(Event::new(payload, now)));
        Ok(ReadStatus::Idle)
    })
}

/// What a sink got.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<Event>>>);

impl Seen {
    /// Adds a sink of this name, and gives what it will get.
    pub fn at(network: &Network, name: &str) -> Result<Seen> {
        let seen = Seen::default();
        network.add_sink(name, sink::collect(&seen.0))?;
        Ok(seen)
    }

    pub fn sink(&self) -> sink::Collector {
        sink::collect(&self.0)
    }

    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub fn texts(&self) -> Vec<String> {
        self.events().iter().map(text).collect()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}
