//! The watchdog: the last resort against a call that does not return.
//!
//! What calls foreign code within a limit of time has a [`Pulse`]. One thread of the process looks at
//! all of them. A call that is still under way long after its limit is given up, within twice the limit:
//! the node on whose thread it runs has failed, its links are closed, and its thread is left behind. A
//! call on any other thread cannot be given up; it is reported to the host ([`on_overrun`]).
//!
//! A pulse is two stores for each call and no clock. The watchdog takes the time: a call that was
//! under way at two looks has lasted as long as lies between them. A look that comes late, since the
//! process was stopped or had no processor, counts no more than twice the pause that was meant.

use super::running::NodeThread;
use crate::error::{Error, ErrorKind};
use crate::time::{format_duration, monotonic};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once, Weak};
use std::time::Duration;

/// A call is given up no earlier than so long after its limit: on a busy machine a thread may have no
/// processor for a while.
const LEAST_GRACE: Duration = Duration::from_millis(500);

/// Otherwise after this part of its limit beyond it: what is done about it takes time too.
const GRACE: f64 = 0.75;

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// So often a call is looked at between its limit and the moment at which it is given up.
const LOOKS: u32 = 4;

/// Gets the calls that cannot be given up.
type Overrun = Arc<dyn Fn(&Error) + Send + Sync>;

#[derive(Default)]
struct Watched {
    pulses: Vec<(Weak<Pulse>, Seen)>,
    overrun: Option<Overrun>,
}

static WATCHED: Mutex<Watched> = Mutex::new(Watched {
    pulses: Vec::new(),
    overrun: None,
});
static ADDED: Condvar = Condvar::new();

fn watched() -> MutexGuard<'static, Watched> {
    WATCHED.lock()
}

/// Has this function called, on the thread of the watchdog, for each call that is given up
/// on a thread that is not a node's: scripts that are loaded, functions that are called in a
/// simulation or a test. Such a call cannot be ended from outside. A program that has nothing else to
/// do than that call may report the error and exit; where nothing is set, the error is logged.
///
/// The functions of nodes need no such handler: their node fails, and its thread is left behind.
pub fn on_overrun(handler: impl Fn(&Error) + Send + Sync + 'static) {
    watched().overrun = Some(Arc::new(handler));
}

/// What the watchdog sees of one caller, which makes one call at a time.
pub(crate) struct Pulse {
    /// Odd while a call is under way.
    beat: AtomicU64,
    about: Mutex<About>,
    /// The node on whose thread the caller is.
    node: Option<NodeThread>,
}

struct About {
    what: &'static str,
    limit: Duration,
    /// Where the call was last seen, and where the caller comes from.
    place: Option<String>,
    origin: Option<String>,
}

/// What the watchdog saw last of a pulse.
#[derive(Default)]
struct Seen {
    beat: u64,
    /// By the watchdog's own clock: when it last looked, and when it last saw another beat.
    looked: Option<Duration>,
    since: Duration,
    given_up: bool,
}

impl Pulse {
    /// The pulse of a caller on this thread, which the watchdog looks at from now on; calls are not
    /// expected to have shorter limits than this.
    pub fn new(shortest: Duration) -> Arc<Self> {
        let pulse = Arc::new(Pulse {
            beat: AtomicU64::new(0),
            about: Mutex::new(About {
                what: "call",
                limit: shortest,
                place: None,
                origin: None,
            }),
            node: NodeThread::of_this_thread(),
        });
        watched()
            .pulses
            .push((Arc::downgrade(&pulse), Seen::default()));
        ADDED.notify_one();
        begin();
        pulse
    }

    fn about(&self) -> MutexGuard<'_, About> {
        self.about.lock()
    }

    /// What the next calls are, and how long each may take.
    pub fn expect(&self, what: &'static str, limit: Duration) {
        let mut about = self.about();
        (about.what, about.limit) = (what, limit);
    }

    /// Where in a script the caller is.
    pub fn set_place(&self, place: Option<String>) {
        self.about().place = place;
    }

    /// The script that the caller comes from, for calls of which no place is known.
    pub fn set_origin(&self, origin: Option<String>) {
        self.about().origin = origin;
    }

    /// Only the caller's own thread writes this: `beat` is its own count, odd while it is in a call.
    #[inline]
    pub fn set(&self, beat: u64) {
        self.beat.store(beat, Ordering::Relaxed);
    }

    /// How long a call is let go on beyond its limit.
    fn grace(limit: Duration) -> Duration {
        // A limit may be as long as there is.
        let grace = Duration::try_from_secs_f64(limit.as_secs_f64() * GRACE);
        grace.unwrap_or(Duration::MAX).max(LEAST_GRACE)
    }

    /// How long the watchdog may pause with this pulse among those that it looks at.
    fn pause(&self) -> Duration {
        Self::grace(self.about().limit) / LOOKS
    }

    /// What is wrong with this pulse when it is looked at at this time.
    fn look(&self, seen: &mut Seen, now: Duration) -> Option<Error> {
        let beat = self.beat.load(Ordering::Relaxed);
        // A call of a new pulse has lasted no longer than since the first look.
        let before = seen.looked.replace(now).unwrap_or(now);
        if beat != seen.beat || beat.is_multiple_of(2) {
            *seen = Seen {
                beat,
                looked: Some(now),
                // It may have begun right after the look before this one.
                since: before,
                given_up: false,
            };
            return None;
        }
        let about = self.about();
        let most = about.limit.saturating_add(Self::grace(about.limit));
        if seen.given_up || now.saturating_sub(seen.since) < most {
            return None;
        }
        seen.given_up = true;
        let (what, limit) = (about.what, format_duration(about.limit));
        let error = format!("{what} time budget {limit} exceeded, and it does not return");
        let error = Error::data(error).at_opt(about.place.clone());
        Some(error.at_opt(about.origin.clone()))
    }
}

/// Starts the watchdog, once.
fn begin() {
    static BEGIN: Once = Once::new();
    BEGIN.call_once(|| {
        let thread = std::thread::Builder::new().name("tributary-watchdog".to_owned());
        if let Err(error) = thread.spawn(watch) {
            log::warn!("the watchdog's thread does not start: {error}");
        }
    });
}

fn watch() {
    // The time that the watchdog has taken itself.
    let mut now = Duration::ZERO;
    let mut watching = watched();
    loop {
        watching
            .pulses
            .retain(|(pulse, _)| pulse.strong_count() > 0);
        let pulses = watching.pulses.iter();
        let pauses = pulses.filter_map(|(pulse, _)| Some(pulse.upgrade()?.pause()));
        let pause = pauses.min().map(|pause| pause.min(LONGEST_PAUSE));
        let begun = monotonic();
        match pause {
            None => ADDED.wait(&mut watching),
            Some(pause) => {
                ADDED.wait_for(&mut watching, pause);
                now += begun.elapsed().min(pause * 2);
            }
        }
        let mut late = Vec::new();
        for (pulse, seen) in &mut watching.pulses {
            if let Some(pulse) = pulse.upgrade()
                && let Some(error) = pulse.look(seen, now)
            {
                late.push((pulse, error));
            }
        }
        if late.is_empty() {
            continue;
        }
        let overrun = watching.overrun.clone();
        drop(watching);
        for (pulse, error) in late {
            give_up(&pulse, error, overrun.as_ref());
        }
        watching = watched();
    }
}

fn give_up(pulse: &Pulse, error: Error, overrun: Option<&Overrun>) {
    match (&pulse.node, overrun) {
        (Some(node), _) => node.abandon(error.with_kind(ErrorKind::Failed)),
        (None, Some(overrun)) => overrun(&error),
        (None, None) => log::error!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_call_is_given_up_once_and_within_twice_its_limit() {
        let (pulse, mut seen) = (Pulse::new(LIMIT), Seen::default());
        pulse.expect("load", LIMIT);
        pulse.set_place(Some("s.lua:7".to_owned()));
        assert!(pulse.look(&mut seen, seconds(1.0)).is_none());
        pulse.set(1);
        assert!(pulse.look(&mut seen, seconds(1.5)).is_none());
        assert!(pulse.look(&mut seen, seconds(4.4)).is_none());
        let error = pulse.look(&mut seen, seconds(4.5)).expect("it is late");
        assert_eq!(
            error.to_string(),
            "s.lua:7: load time budget 2s exceeded, and it does not return"
        );
        assert!(pulse.look(&mut seen, seconds(9.0)).is_none());
    }

    #[test]
    fn calls_that_return_are_not_added_up() {
        let (pulse, mut seen) = (Pulse::new(LIMIT), Seen::default());
        for call in 0..10_u64 {
            pulse.set(call * 2 + 1);
            let now = seconds(call as f64 * 3.0);
            assert!(pulse.look(&mut seen, now).is_none());
        }
        pulse.set(20);
        assert!(pulse.look(&mut seen, seconds(99.0)).is_none());
    }

    #[test]
    fn the_first_call_of_a_new_pulse_has_its_time_too() {
        let (pulse, mut seen) = (Pulse::new(LIMIT), Seen::default());
        pulse.set(1);
        // The watchdog has run for long before.
        assert!(pulse.look(&mut seen, seconds(100.0)).is_none());
        assert!(pulse.look(&mut seen, seconds(101.0)).is_none());
        assert!(pulse.look(&mut seen, seconds(103.6)).is_some());
    }

    #[test]
    fn a_short_limit_has_half_a_second_of_grace() {
        let limit = Duration::from_millis(10);
        let (pulse, mut seen) = (Pulse::new(limit), Seen::default());
        pulse.set(1);
        assert!(pulse.look(&mut seen, Duration::ZERO).is_none());
        assert!(pulse.look(&mut seen, Duration::from_millis(500)).is_none());
        assert!(pulse.look(&mut seen, Duration::from_millis(511)).is_some());
    }
}
