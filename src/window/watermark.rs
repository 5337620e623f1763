//! The clock of events: how far the stream has come.
//!
//! Each link has come as far as the latest row that it brought; the window has come as far as the
//! link that lags most, less the lateness that is allowed. How far a link has come that has brought
//! nothing yet, nobody knows: until all have spoken nothing is late. A link that has been silent for
//! too long holds nothing back; while all are silent the watermark goes on with the network's clock.
//! It never goes back.

use crate::time::Timestamp;
use std::time::Duration;

/// The number under which events count that came by no link.
const OUTSIDE: usize = usize::MAX;

/// The watermark of a window.
#[derive(Clone)]
pub(super) struct Watermark {
    lateness: Duration,
    idle: Option<Duration>,
    links: Vec<Link>,
    /// When the window was opened first, by the network's clock.
    opened: Option<Timestamp>,
    current: Option<Timestamp>,
    /// The least time of all rows, which stands for the watermark until there is one.
    least: Option<Timestamp>,
    /// The network's instant when it was computed last, and the links that had brought nothing.
    seen: Timestamp,
    waiting: Vec<usize>,
}

#[derive(Clone)]
struct Link {
    number: usize,
    /// The latest time that it brought.
    latest: Timestamp,
    /// When it brought something last, by the network's clock.
    heard: Timestamp,
}

impl Watermark {
    pub fn new(lateness: Duration, idle: Option<Duration>) -> Self {
        Watermark {
            lateness,
            idle,
            links: Vec::new(),
            opened: None,
            current: None,
            least: None,
            seen: Timestamp::from_secs(0),
            waiting: Vec::new(),
        }
    }

    /// The window is open, or its state is made anew; `latest` is the latest row that it has
    /// already.
    pub fn open(&mut self, now: Timestamp, latest: Option<Timestamp>) {
        self.opened.get_or_insert(now);
        self.raise(latest.map(|latest| latest.before(self.lateness)));
    }

    fn raise(&mut self, to: Option<Timestamp>) {
        self.current = self.current.max(to);
    }

    /// Whether it asks how long links have been silent.
    pub fn uses_system_time(&self) -> bool {
        self.idle.is_some()
    }

    /// Where it is, as far as is known.
    pub fn current(&self) -> Option<Timestamp> {
        let least = self.least.map(|least| least.before(self.lateness));
        self.current.or(least)
    }

    /// A row has come by a link. How far the silence before it went counts first, so that no row
    /// depends on whether anything was to be done during that silence.
    pub fn observe(
        &mut self,
        link: Option<usize>,
        open: &[usize],
        time: Timestamp,
        now: Timestamp,
    ) {
        if self.uses_system_time() && now > self.seen {
            self.refresh(open, now);
        }
        self.least = Some(self.least.map_or(time, |least| least.min(time)));
        let number = link.unwrap_or(OUTSIDE);
        match self.links.iter_mut().find(|link| link.number == number) {
            // Nothing is known that was not: links that come or end are told by a tick.
            Some(link) if self.idle.is_none() && time <= link.latest => return,
            Some(link) => {
                link.latest = link.latest.max(time);
                link.heard = now;
            }
            None => self.links.push(Link {
                number,
                latest: time,
                heard: now,
            }),
        }
        self.refresh(open, now);
    }

    /// Computes it anew, for links that are open and the network's instant.
    pub fn refresh(&mut self, open: &[usize], now: Timestamp) {
        if self.links.is_empty() {
            return;
        }
        let mut least: Option<Timestamp> = None;
        let mut hold = |at: Timestamp| least = Some(least.map_or(at, |least| least.min(at)));
        for link in &self.links {
            let ended = link.number != OUTSIDE && !open.contains(&link.number);
            if !ended && !self.is_idle(link.heard, now) {
                hold(link.latest);
            }
        }
        let links = &self.links;
        let waiting = |number: &&usize| !links.iter().any(|link| link.number == **number);
        self.waiting.clear();
        self.waiting.extend(open.iter().filter(waiting));
        self.seen = now;
        if !self.waiting.is_empty() && !self.is_idle(self.opened.unwrap_or(now), now) {
            return;
        }
        let reached = match least {
            Some(least) => least.before(self.lateness),
            None => self.carried_on(now),
        };
        self.raise(Some(reached));
    }

    fn is_idle(&self, heard: Timestamp, now: Timestamp) -> bool {
        self.idle.is_some_and(|idle| now >= heard.after(idle))
    }

    /// The latest time and when it was heard of last.
    fn latest(&self) -> Option<(Timestamp, Timestamp)> {
        let latest = self.links.iter().map(|link| link.latest).max()?;
        let heard = self.links.iter().map(|link| link.heard).max()?;
        Some((latest, heard))
    }

    /// Where it is while every link is silent, or has ended.
    fn carried_on(&self, now: Timestamp) -> Timestamp {
        match (self.latest(), self.idle) {
            (Some((latest, heard)), Some(_)) => {
                let silent = now.since(heard.min(now));
                latest.before(self.lateness).after(silent)
            }
            (Some((latest, _)), None) => latest.before(self.lateness),
            (None, _) => now,
        }
    }

    /// When, by the network's clock, it may reach an instant without another row: when the next
    /// link falls silent, or, when all are, when that much time has passed.
    pub fn reaches(&self, instant: Timestamp) -> Option<Timestamp> {
        let idle = self.idle?;
        let (latest, heard) = self.latest()?;
        let unheard = !self.waiting.is_empty();
        let falls_silent = self
            .links
            .iter()
            .map(|link| link.heard)
            .chain(self.opened.filter(|_| unheard))
            .map(|since| since.after(idle))
            .filter(|at| *at > self.seen)
            .min();
        falls_silent.or_else(|| {
            let from = latest.before(self.lateness);
            let left = if instant > from {
                instant.since(from)
            } else {
                Duration::ZERO
            };
            Some(heard.after(left))
        })
    }
}
