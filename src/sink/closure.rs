//! Closures as sinks.

use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Sink};
use std::sync::{Arc, Mutex, PoisonError};

/// A closure that takes each event: see [`handler`].
pub struct Handler<F>(F);

opaque_debug!(Handler<F>);

/// A sink from a closure. An error rejects the event; so does a panic.
///
/// ```
/// use tributary::sink;
///
/// let _printer = sink::handler(|e| {
///     println!("{}", e.payload().text().unwrap_or("?"));
///     Ok(())
/// });
/// ```
pub fn handler<F>(f: F) -> Handler<F>
where
    F: FnMut(&Event) -> Result<()> + Send,
{
    Handler(f)
}

impl<F: Send> Node for Handler<F> {}

impl<F> Sink for Handler<F>
where
    F: FnMut(&Event) -> Result<()> + Send,
{
    #[inline]
    fn write(&mut self, event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        (self.0)(event)
    }
}

/// A sink that keeps what it gets: see [`collect`].
pub struct Collector(Arc<Mutex<Vec<Event>>>);

opaque_debug!(Collector);

/// A sink that adds every event to a list, for tests. The copies it keeps are detached from their
/// acks. The mutex is that of the standard library, since it is the caller's.
pub fn collect(events: &Arc<Mutex<Vec<Event>>>) -> Collector {
    Collector(events.clone())
}

impl Node for Collector {}

impl Sink for Collector {
    fn write(&mut self, event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event.detached());
        Ok(())
    }
}
