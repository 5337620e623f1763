//! The private runtime of an asynchronous client.
//!
//! The invariant: it has no thread of its own and runs only while its node waits, so a client does
//! nothing and takes nothing while its node is busy elsewhere.

use crate::error::{Error, Result};
use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// The number of task polls after which the future of the node is polled: without it, a server
/// that sends without end would keep its client reading.
const TURNS: u32 = 4;

/// Runs what a client waits for on the thread of its node.
pub(in crate::connect) struct ClientRuntime(Option<Runtime>);

impl ClientRuntime {
    /// A runtime for the client that errors call so: "a NATS client".
    pub fn new(client: &str) -> Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .event_interval(TURNS)
            .build();
        let error = |error| Error::io(format!("the runtime of {client}"), &error);
        runtime.map(Some).map(ClientRuntime).map_err(error)
    }

    /// Waits for the future, which must have a time limit of its own.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let runtime = self.0.as_ref().expect("it is there until the drop");
        runtime.block_on(work)
    }

    /// Waits for the future up to a time limit. Returns `None` after the limit.
    pub fn run_within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        self.run(async { tokio::time::timeout(limit, work).await.ok() })
    }
}

impl Drop for ClientRuntime {
    fn drop(&mut self) {
        // The look-up of a name may hang; it is not waited for.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
