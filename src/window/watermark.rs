//! The watermark: how far event time has come.
//!
//! The watermark is the least, over the links, of the latest time that came over a link, minus the
//! lateness. While a link has brought no row its time is not known: until each link has brought one,
//! nothing is late. A link that is idle for too long does not hold back the watermark; while all links
//! are idle, the watermark advances with system time. It never goes back.

use crate::time::Timestamp;
use std::time::Duration;

/// The number of the link for events that came over none.
const OUTSIDE: usize = usize::MAX;

/// The watermark of a window.
#[derive(Clone)]
pub(super) struct Watermark {
    lateness: Duration,
    idle: Option<Duration>,
    links: Vec<Link>,
    /// When the window was first opened, in system time.
    opened: Option<Timestamp>,
    current: Option<Timestamp>,
    /// The least time of all rows, which is used while there is no watermark.
    least: Option<Timestamp>,
    /// The system time when it was last computed, and the links that had brought nothing then.
    seen: Timestamp,
    waiting: Vec<usize>,
}

#[derive(Clone)]
struct Link {
    number: usize,
    /// The latest time of a row that came over it.
    latest: Timestamp,
    /// When the last row came over it, in system time.
    last_row: Timestamp,
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

    /// The window was opened, or its state rebuilt; `latest` is the time of the latest row that is
    /// stored. That counts as long as no row has come.
    pub fn open(&mut self, now: Timestamp, latest: Option<Timestamp>) {
        self.opened.get_or_insert(now);
        if self.links.is_empty() {
            self.raise(latest.map(|latest| latest.saturating_sub(self.lateness)));
        }
    }

    /// How far another one has come, with this one's lateness and time without events.
    pub fn inherit(&mut self, other: Watermark) {
        *self = Watermark {
            lateness: self.lateness,
            idle: self.idle,
            ..other
        };
    }

    fn raise(&mut self, to: Option<Timestamp>) {
        self.current = self.current.max(to);
    }

    /// Whether it depends on how long links have been idle.
    pub fn uses_system_time(&self) -> bool {
        self.idle.is_some()
    }

    /// The watermark, where there is one.
    pub fn current(&self) -> Option<Timestamp> {
        let least = self.least.map(|least| least.saturating_sub(self.lateness));
        self.current.or(least)
    }

    /// A row has come over a link. The time without rows before it counts first, so that no row depends
    /// on whether the node was woken during that time.
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
            // Nothing has changed: a link that is added or ends causes a tick.
            Some(link) if self.idle.is_none() && time <= link.latest => return,
            Some(link) => {
                link.latest = link.latest.max(time);
                link.last_row = now;
            }
            None => self.links.push(Link {
                number,
                latest: time,
                last_row: now,
            }),
        }
        self.refresh(open, now);
    }

    /// Computes it, for the links that are open and the current system time.
    pub fn refresh(&mut self, open: &[usize], now: Timestamp) {
        if self.links.is_empty() {
            return;
        }
        let mut least: Option<Timestamp> = None;
        let mut hold = |at: Timestamp| least = Some(least.map_or(at, |least| least.min(at)));
        for link in &self.links {
            let ended = link.number != OUTSIDE && !open.contains(&link.number);
            if !ended && !self.is_idle(link.last_row, now) {
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
            Some(least) => least.saturating_sub(self.lateness),
            None => self.carried_on(now),
        };
        self.raise(Some(reached));
    }

    fn is_idle(&self, last_row: Timestamp, now: Timestamp) -> bool {
        self.idle
            .is_some_and(|idle| now >= last_row.saturating_add(idle))
    }

    /// The latest time of a row, and when the last row came.
    fn latest(&self) -> Option<(Timestamp, Timestamp)> {
        let latest = self.links.iter().map(|link| link.latest).max()?;
        let last_row = self.links.iter().map(|link| link.last_row).max()?;
        Some((latest, last_row))
    }

    /// The watermark while every link is idle, or has ended.
    fn carried_on(&self, now: Timestamp) -> Timestamp {
        match (self.latest(), self.idle) {
            (Some((latest, last_row)), Some(_)) => {
                let idle_for = now.since(last_row.min(now));
                latest
                    .saturating_sub(self.lateness)
                    .saturating_add(idle_for)
            }
            (Some((latest, _)), None) => latest.saturating_sub(self.lateness),
            (None, _) => now,
        }
    }

    /// When, in system time, it may reach an instant without another row: when the next link becomes
    /// idle, or, when all are, when that much time has passed.
    pub fn reaches(&self, instant: Timestamp) -> Option<Timestamp> {
        let idle = self.idle?;
        let (latest, last_row) = self.latest()?;
        let waits = !self.waiting.is_empty();
        let becomes_idle = self
            .links
            .iter()
            .map(|link| link.last_row)
            .chain(self.opened.filter(|_| waits))
            .map(|since| since.saturating_add(idle))
            .filter(|at| *at > self.seen)
            .min();
        becomes_idle.or_else(|| {
            let from = latest.saturating_sub(self.lateness);
            let left = if instant > from {
                instant.since(from)
            } else {
                Duration::ZERO
            };
            Some(last_row.saturating_add(left))
        })
    }
}
