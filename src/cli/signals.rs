//! Signals: the first one drains; a further SIGINT or SIGTERM aborts.
//!
//! SIGUSR1 and SIGUSR2 drain too, so that nothing under way is lost with them, but they never abort. Nor does
//! SIGHUP: where the process has a terminal, that terminal was closed, and the network drains; otherwise a
//! service manager has sent it, to have the scripts loaded again. One of these three that was ignored at the start
//! (`nohup`) stays ignored.

use crate::{Error, ErrorKind, Network, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::{SigId, flag, low_level};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How often signals are looked at while the network is waited for.
const POLL: Duration = Duration::from_millis(50);

/// The signals that abort a network that is being drained.
const ABORT: [i32; 2] = [SIGINT, SIGTERM];

/// The signals that only drain, and may be ignored.
const DRAIN: [i32; 3] = [SIGHUP, SIGUSR1, SIGUSR2];

/// Which signals were ignored when the process was started, as a bit set; the system shows it in
/// `/proc`. Where it does not, none is.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

/// Whether the process has a terminal, which sends SIGHUP when it is closed.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Ends a network when it is time to.
pub struct Watch(Signals);

/// What is done while a network runs.
pub trait Meanwhile {
    /// Called again and again; returns whether the network is to end.
    fn turn(&mut self) -> bool;

    /// Loads the scripts again: a service manager has sent SIGHUP.
    fn reload(&mut self);
}

/// The same while the network starts, which a node that does not open can hold up.
pub struct Starting {
    signals: Signals,
    impatient: Vec<SigId>,
}

/// Why a wait was over.
enum Over {
    Ended(Result<()>),
    /// After so long.
    Signal(Duration),
    Time,
}

impl Starting {
    /// Whether a signal has come.
    pub fn is_over(&mut self) -> bool {
        self.signals.pending().next().is_some()
    }

    /// From here on [`Watch::end`] looks at the signals.
    pub fn started(self) -> Watch {
        for id in self.impatient {
            low_level::unregister(id);
        }
        Watch(self.signals)
    }
}

impl Watch {
    /// Begins to listen: from here on a first signal does not end the process by itself. Until the
    /// network has started, when this is not looked at, a second one does.
    pub fn begin() -> Result<Starting> {
        let aborted = i32::from(ErrorKind::DrainTimeout.exit_code());
        let listen = || {
            let once = Arc::new(AtomicBool::new(false));
            let ignored = ignored();
            let drain = DRAIN
                .into_iter()
                .filter(|signal| ignored >> (signal - 1) & 1 == 0);
            let mut impatient = Vec::new();
            for signal in ABORT {
                // In this order, so that the first one only sets the flag.
                let end = flag::register_conditional_shutdown(signal, aborted, once.clone())?;
                impatient.extend([end, flag::register(signal, once.clone())?]);
            }
            let signals = Signals::new(ABORT.into_iter().chain(drain))?;
            Ok(Starting { signals, impatient })
        };
        listen().map_err(|error| Error::io("cannot listen to signals", &error))
    }

    /// Waits for the end of the network, this time, or one of the signals that `heeded` names. Those
    /// that have come together count as one.
    fn wait(
        &mut self,
        network: &Network,
        limit: Option<Duration>,
        heeded: fn(i32) -> bool,
        mut meanwhile: Option<&mut dyn Meanwhile>,
    ) -> Over {
        let (mut left, mut waited) = (limit, Duration::ZERO);
        let reloads = meanwhile.is_some() && !has_terminal();
        loop {
            let come: Vec<i32> = self.0.pending().filter(|signal| heeded(*signal)).collect();
            if come.iter().any(|signal| *signal != SIGHUP || !reloads) {
                return Over::Signal(waited);
            }
            if let Some(meanwhile) = &mut meanwhile {
                if !come.is_empty() {
                    meanwhile.reload();
                }
                if meanwhile.turn() {
                    return Over::Time;
                }
            }
            let wait = left.map_or(POLL, |left| left.min(POLL));
            if let Some(ended) = network.wait_timeout(wait) {
                return Over::Ended(ended);
            }
            waited += wait;
            left = left.map(|left| left - wait);
            if left.is_some_and(|left| left.is_zero()) {
                return Over::Time;
            }
        }
    }

    /// Waits until the network has ended: by itself, or drained within `drain` after `run_for` is
    /// over, a signal has come, or [`Meanwhile::turn`] returns true.
    pub fn end(
        mut self,
        network: &Network,
        run_for: Option<Duration>,
        drain: Duration,
        meanwhile: Option<&mut dyn Meanwhile>,
    ) -> Result<()> {
        let waited = self.wait(network, run_for, |_| true, meanwhile);
        if let Over::Ended(ended) = waited {
            return ended;
        }
        log::info!("stopping: what is under way is drained, a further SIGINT or SIGTERM aborts");
        network.request_stop();
        match self.wait(network, Some(drain), |signal| ABORT.contains(&signal), None) {
            Over::Ended(ended) => ended,
            Over::Time => network.give_up(drain),
            Over::Signal(waited) => {
                let aborted = network.give_up(waited);
                let aborted = aborted.err().map(|error| format!(": {}", error.message()));
                let message = format!("aborted by a second signal{}", aborted.unwrap_or_default());
                Err(Error::new(ErrorKind::DrainTimeout, message))
            }
        }
    }
}

/// A write beyond a limit on the size of files (`ulimit -f`) is an error from here on, which is waited
/// for as a full disk is. Otherwise the signal would end the process.
pub fn survive_file_limits() {
    if let Err(error) = flag::register(SIGXFSZ, Arc::default()) {
        log::warn!("a limit on the size of files will end the process: {error}");
    }
}
