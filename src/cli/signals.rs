//! Ctrl-C and SIGTERM: the first one drains, the second one aborts.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{SigId, flag, low_level};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tributary::{Error, ErrorKind, Network, Result};

/// How often signals are looked at while the network is waited for.
const POLL: Duration = Duration::from_millis(50);

/// Ends a network when it is time to.
pub struct Watch(Signals);

/// The same while the network starts, which a node that does not open can hold up.
pub struct Starting {
    signals: Signals,
    impatient: Vec<SigId>,
}

/// Why a wait was over.
enum Over {
    Ended(Result<()>),
    Signal,
    Time,
}

impl Starting {
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
            let mut impatient = Vec::new();
            for signal in [SIGINT, SIGTERM] {
                // In this order, so that the first one only sets the flag.
                let end = flag::register_conditional_shutdown(signal, aborted, once.clone())?;
                impatient.extend([end, flag::register(signal, once.clone())?]);
            }
            let signals = Signals::new([SIGINT, SIGTERM])?;
            Ok(Starting { signals, impatient })
        };
        listen().map_err(|error| Error::io("cannot listen to signals", &error))
    }

    fn wait(&mut self, network: &Network, limit: Option<Duration>) -> Over {
        let mut left = limit;
        loop {
            if self.0.pending().next().is_some() {
                return Over::Signal;
            }
            let wait = left.map_or(POLL, |left| left.min(POLL));
            if let Some(ended) = network.wait_timeout(wait) {
                return Over::Ended(ended);
            }
            left = left.map(|left| left - wait);
            if left.is_some_and(|left| left.is_zero()) {
                return Over::Time;
            }
        }
    }

    /// Waits until the network has ended: by itself, or drained within `drain` after `run_for` is
    /// over or a signal has come.
    pub fn end(
        mut self,
        network: &Network,
        run_for: Option<Duration>,
        drain: Duration,
    ) -> Result<()> {
        if let Over::Ended(ended) = self.wait(network, run_for) {
            return ended;
        }
        log::info!("stopping: what is under way is drained, a further signal aborts");
        network.request_stop();
        match self.wait(network, Some(drain)) {
            Over::Ended(ended) => ended,
            Over::Time => network.stop_within(Duration::ZERO),
            Over::Signal => {
                let aborted = network.stop_within(Duration::ZERO);
                let aborted = aborted.err().map(|error| format!(": {}", error.message()));
                let message = format!("aborted by a second signal{}", aborted.unwrap_or_default());
                Err(Error::new(ErrorKind::DrainTimeout, message))
            }
        }
    }
}
