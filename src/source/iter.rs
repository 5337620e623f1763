//! A source that emits what an iterator gives.

use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, ReadStatus, Source};
use crate::payload::Payload;
use std::time::Duration;

/// How many events are taken from the iterator at a time.
const AT_ONCE: usize = 256;

/// A source that emits what an iterator gives, then ends: see [`from_iter`].
#[derive(Debug)]
pub struct FromIter<I>(I);

/// A source that emits a payload for each item of the iterator, then ends.
///
/// ```
/// use tributary::{Network, sink, source};
///
/// let network = Network::new();
/// network.add_source("lines", source::from_iter(["a", "b"]))?;
/// network.add_sink("out", sink::handler(|e| Ok(assert_eq!(e.payload().size(), 1))))?;
/// network.link("lines", "out")?;
/// network.start()?;
/// network.wait()?;
/// # Ok::<(), tributary::Error>(())
/// ```
pub fn from_iter<I>(items: I) -> FromIter<I::IntoIter>
where
    I: IntoIterator,
    I::Item: Into<Payload>,
    I::IntoIter: Send,
{
    FromIter(items.into_iter())
}

impl<I: Send> Node for FromIter<I> {}

impl<I> Source for FromIter<I>
where
    I: Iterator + Send,
    I::Item: Into<Payload>,
{
    fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        let now = cx.now();
        for _ in 0..AT_ONCE {
            match self.0.next() {
                Some(item) => cx.emit(Event::new(item, now)),
                None => return Ok(ReadStatus::End),
            }
        }
        Ok(ReadStatus::More)
    }
}
