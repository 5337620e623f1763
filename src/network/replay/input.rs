//! An input of a replay: a source that is read ahead, outside of the network.
//!
//! A line without a time stands in its place: it is refused as soon as everything before it in its
//! input was sent.

use crate::ack::{OutcomeChannel, Settled};
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::name::Port;
use crate::network::graph::NodeInfo;
use crate::network::panics::catch;
use crate::node::{Context, Frame, Output, ReadStatus, Source, Tracker};
use crate::time::{ManualClock, Timestamp, read_instant};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long a source may wait in one call: until there is something, there is nothing else to do.
const WAIT: Duration = Duration::from_secs(1);

/// What was read and not sent yet.
pub(super) enum Ahead {
    Event {
        time: Timestamp,
        port: u16,
        event: Event,
    },
    Bad {
        event: Event,
        error: Error,
    },
}

impl Ahead {
    /// Its bytes, with a line end.
    pub fn size(&self) -> u64 {
        let (Ahead::Event { event, .. } | Ahead::Bad { event, .. }) = self;
        event.payload().size() as u64 + 1
    }
}

/// Discards outcomes.
struct Discard;

impl OutcomeChannel for Discard {
    fn settled(&self, _: Settled) {}
}

pub(super) struct Input {
    node_name: String,
    /// Where the node was defined.
    place: Option<String>,
    name: String,
    field: String,
    source: Box<dyn Source>,
    frame: Frame,
    ahead: VecDeque<Ahead>,
    ended: bool,
    /// How many lines were read.
    count: u64,
}

impl Input {
    pub fn open(
        info: &NodeInfo,
        name: String,
        field: String,
        mut source: Box<dyn Source>,
    ) -> Result<Self> {
        let opened = catch(|| source.open());
        let tracker = Tracker::new(Arc::new(Discard));
        let ports: Result<Vec<Port>> = [Port::OUT, Port::ERRORS, Port::DROPPED]
            .into_iter()
            .map(Port::new)
            .collect();
        let mut frame = Frame::new(ports?, true, tracker);
        frame.skipped = Some(Vec::new());
        let input = Input {
            node_name: info.name.to_string(),
            place: info.place.clone(),
            name,
            field,
            source,
            frame,
            ahead: VecDeque::new(),
            ended: false,
            count: 0,
        };
        match opened {
            Ok(()) => Ok(input),
            Err(error) => Err(input.blamed(error)),
        }
    }

    fn blamed(&self, error: Error) -> Error {
        let error = error.within(format!("node {}", self.node_name));
        error.at_opt(self.place.clone())
    }

    /// The time of the first event that has one. Whatever is before it is kept.
    pub fn first(&mut self) -> Result<Option<Timestamp>> {
        let mut seen = 0;
        loop {
            let timed = self.ahead.iter().skip(seen).find_map(|ahead| match ahead {
                Ahead::Event { time, .. } => Some(*time),
                Ahead::Bad { .. } => None,
            });
            if timed.is_some() || self.ended {
                return Ok(timed);
            }
            seen = self.ahead.len();
            self.read()?;
        }
    }

    /// When what comes next came; an event without a time does not wait. `None` at the end.
    pub fn head(&mut self) -> Result<Option<Timestamp>> {
        while self.ahead.is_empty() && !self.ended {
            self.read()?;
        }
        Ok(self.ahead.front().map(|ahead| match ahead {
            Ahead::Event { time, .. } => *time,
            Ahead::Bad { .. } => Timestamp::from_micros(i64::MIN),
        }))
    }

    pub fn take(&mut self) -> Option<Ahead> {
        self.ahead.pop_front()
    }

    fn read(&mut self) -> Result<()> {
        // What it is given as the time is not looked at again.
        let clock = ManualClock::default();
        self.frame.begin_no_event();
        let mut cx = Context::new(&mut self.frame, &clock);
        let read = catch(|| self.source.read(&mut cx, WAIT));
        let read = read.and_then(|read| self.frame.take_fault().map(|()| read));
        self.frame.tracker.end_batch();
        let skipped = self.frame.skipped.replace(Vec::new());
        let mut skipped = skipped.into_iter().flatten().peekable();
        let mut emitted = 0;
        let mut skip_before = |emitted: usize| {
            let mut lines = 0;
            while skipped.next_if(|at| *at <= emitted).is_some() {
                lines += 1;
            }
            lines
        };
        for event in self.frame.take_fresh() {
            self.count += skip_before(emitted);
            emitted += 1;
            self.hold(Frame::OUT, event);
        }
        for output in std::mem::take(&mut self.frame.outputs) {
            self.count += skip_before(emitted);
            emitted += 1;
            match output {
                Output::New { port, event, .. } => self.hold(port, event),
                Output::Refuse { event, error, .. } => {
                    self.count += 1;
                    self.ahead.push_back(Ahead::Bad { event, error });
                }
                // A source has no event in hand.
                Output::Pass { .. } | Output::Drop { .. } | Output::Reject { .. } => {}
            }
        }
        self.count += skip_before(usize::MAX);
        self.frame.clear();
        match read {
            Ok(read) => self.ended = read == ReadStatus::End,
            Err(error) => {
                self.ended = true;
                return Err(self.blamed(error));
            }
        }
        Ok(())
    }

    fn hold(&mut self, port: u16, event: Event) {
        self.count += 1;
        self.ahead.push_back(match self.time_of(&event) {
            Ok(time) => Ahead::Event { time, port, event },
            Err(error) => {
                let error = error.at(format!("{}:{}", self.name, self.count));
                Ahead::Bad { event, error }
            }
        });
    }

    fn time_of(&self, event: &Event) -> Result<Timestamp> {
        let field = || quote(&self.field);
        match event.payload().object()?.get(&self.field) {
            Some(time) => read_instant(time).map_err(|error| error.within(field())),
            None => Err(Error::data(format!("no field {}", field()))
                .with_hint("the replay takes the time of an event from that field")),
        }
    }
}
