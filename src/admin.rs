//! A running network that shows itself: a page, metrics, health, an API.
//!
//! [`Admin::serve`] starts one thread with an HTTP server ([`connect`](crate::connect) has the same one for
//! posted events). It reads what the engine counts anyway and copies of events ([taps](crate::network::Tap)):
//! no node waits for it, however many clients ask and however slowly they read.
//!
//! The parts: `access` (who may ask), `routes` (what is where), `api` (JSON), `metrics` (the text format of
//! Prometheus), `taps` (streams of events), `changes` (what clients want to have changed), `page` (the HTML page), `serving` (the thread), `client` (for the
//! command line). To add a question, add a line in `routes` and a function in `api`.
//!
//! ```
//! use tributary::admin::{Admin, AdminOptions};
//! use tributary::{Network, sink, source};
//!
//! let network = Network::new();
//! network.add_source("numbers", source::from_iter(["1", "2"]))?;
//! network.add_sink("sink", sink::handler(|_| Ok(())))?;
//! network.link("numbers", "sink")?;
//! let admin = Admin::serve(&network, &AdminOptions::new("127.0.0.1:0"))?;
//! println!("http://127.0.0.1:{}/", admin.port());
//! network.start()?;
//! network.wait()?;
//! # Ok::<(), tributary::Error>(())
//! ```

mod access;
mod api;
mod changes;
mod client;
mod metrics;
mod page;
mod routes;
mod serving;
mod taps;

#[cfg(feature = "cli")]
pub(crate) use changes::reload_logged;
pub(crate) use client::{Client, Reply, refusal};
#[cfg(feature = "cli")]
pub(crate) use taps::tap_line;

use crate::connect::Listening;
use crate::error::{Error, ErrorKind, Result, quote};
use crate::network::{Network, WeakNetwork};
use crate::script::{Runtime, Unit};
use crate::window::Explanation;
use access::Access;
use changes::{Asked, Change};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where a network is shown, and to whom.
///
/// On a loopback address anyone on the machine may read; changes need the token. On any other address
/// everything needs the token, apart from the page itself and the two questions of health.
#[derive(Debug, Clone)]
pub struct AdminOptions {
    address: String,
    token: Option<String>,
}

impl AdminOptions {
    /// `host:port`; with port 0 the system chooses one.
    pub fn new(address: impl Into<String>) -> Self {
        AdminOptions {
            address: address.into(),
            token: None,
        }
    }

    /// The token that clients send as `Authorization: Bearer`: `${env:NAME}`, `${file:path}`, or the token
    /// itself.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }
}

/// So many changes may wait to be made.
const MOST_CHANGES: usize = 16;

/// What is shown.
#[derive(Default)]
struct Shown {
    network: Mutex<Option<WeakNetwork>>,
    described: Mutex<Described>,
    /// A client has asked for a stop.
    stop: AtomicBool,
    /// The server is to end.
    ends: AtomicBool,
    /// Where changes go that clients ask for, from the first time on that the host has looked for them.
    changes: Mutex<Option<SyncSender<Asked>>>,
}

/// What scripts have made.
#[derive(Default)]
struct Described {
    units: Vec<Unit>,
    windows: Vec<(String, Explanation)>,
}

impl Shown {
    fn network(&self) -> Option<Network> {
        self.network.lock().as_ref()?.upgrade()
    }

    fn described(&self) -> MutexGuard<'_, Described> {
        self.described.lock()
    }

    /// Asks the host for a change; its answer comes by the channel.
    fn ask(&self, change: Change) -> Result<Receiver<Result<Value>>> {
        let (reply, answer) = mpsc::sync_channel(1);
        let changes = self.changes.lock();
        let sent = changes
            .as_ref()
            .map(|changes| changes.try_send(Asked { change, reply }));
        match sent {
            Some(Ok(())) => Ok(answer),
            Some(Err(_)) => Err(Error::data("too many changes wait already")),
            None => Err(Error::new(
                ErrorKind::Config,
                "scripts of this process cannot be loaded again",
            )),
        }
    }
}

/// The server of a network. It ends when this is dropped.
pub struct Admin {
    shown: Arc<Shown>,
    port: u16,
    thread: Option<JoinHandle<()>>,
    changes: Mutex<Option<Receiver<Asked>>>,
}

opaque_debug!(Admin, port);

impl Admin {
    /// Shows this network. It is not kept alive.
    ///
    /// # Errors
    /// Those of [`Admin::listen`].
    pub fn serve(network: &Network, options: &AdminOptions) -> Result<Self> {
        let admin = Self::listen(options)?;
        admin.show(network);
        Ok(admin)
    }

    /// Listens before there is a network: until [`show`](Self::show) it is alive and not ready.
    ///
    /// # Errors
    /// An address that is in use, or is not this machine's; one that is not on the loopback without a token;
    /// a token that cannot stand in a header.
    pub fn listen(options: &AdminOptions) -> Result<Self> {
        let about = || format!("the admin address {}", quote(&options.address));
        let token = options.token.as_deref().map(crate::connect::token);
        let token = token.transpose()?;
        let listening = Listening::at(&options.address).map_err(|error| match error.hint() {
            Some(_) => error,
            None => error.within(about()),
        })?;
        if !listening.is_local && token.is_none() {
            let error = format!("{}: any host could read it", about());
            let error = Error::new(ErrorKind::Config, error);
            return Err(error.with_hint("give a token (--admin-token), or listen at 127.0.0.1"));
        }
        let access = Access::new(&listening, token);
        let port = listening.port;
        let shown = Arc::<Shown>::default();
        let thread = serving::start(listening.listener, access, shown.clone())?;
        Ok(Admin {
            shown,
            port,
            thread: Some(thread),
            changes: Mutex::default(),
        })
    }

    /// Shows this network from now on.
    pub fn show(&self, network: &Network) {
        *self.shown.network.lock() = Some(network.downgrade());
    }

    /// Shows what the scripts of this runtime have made: its units, and the plans of its windows.
    pub fn describe(&self, runtime: &Runtime) {
        *self.shown.described() = Described {
            units: runtime.units(),
            windows: runtime.explanations(),
        };
    }

    /// Makes the changes that clients have asked for (to load scripts again, load others, remove what one has
    /// made), and waits up to `wait` for the first. To be called again and again by the thread that has the
    /// runtime; clients are refused until it was called once. Returns how many changes were made or refused.
    pub fn make_changes(&self, runtime: &Runtime, wait: Duration) -> usize {
        let mut changes = self.changes.lock();
        let asked = changes.get_or_insert_with(|| {
            let (sender, asked) = mpsc::sync_channel(MOST_CHANGES);
            *self.shown.changes.lock() = Some(sender);
            asked
        });
        let (mut next, mut count) = (asked.recv_timeout(wait), 0);
        while let Ok(Asked { change, reply }) = next {
            let made = change.make(runtime);
            if let Err(error) = &made {
                log::warn!("the change was refused, and the network is as before: {error}");
            }
            self.describe(runtime);
            let _ = reply.send(made);
            count += 1;
            next = asked.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
        count
    }

    /// The port at which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether a client has asked the network to stop. It was asked to; a host that bounds the time for
    /// draining looks here.
    pub fn stop_requested(&self) -> bool {
        self.shown.stop.load(Ordering::Relaxed)
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.shown.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends within a tenth of a second.
            let _ = thread.join();
        }
    }
}
