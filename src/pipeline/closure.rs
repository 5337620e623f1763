//! Closures as pipelines.

use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};

/// The verdict of an interceptor on an event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes on as it is; nothing is cloned.
    Pass,
    /// It is dropped, with the reason `interceptor`.
    Drop,
    /// This one goes on in its place; make it with [`Event::derive`].
    Replace(Event),
}

impl From<bool> for Verdict {
    /// `true` passes, `false` drops.
    fn from(pass: bool) -> Self {
        if pass { Verdict::Pass } else { Verdict::Drop }
    }
}

impl From<Event> for Verdict {
    fn from(event: Event) -> Self {
        Verdict::Replace(event)
    }
}

impl From<Option<Event>> for Verdict {
    fn from(event: Option<Event>) -> Self {
        event.map_or(Verdict::Drop, Verdict::Replace)
    }
}

/// A closure that passes, drops or replaces each event: see [`interceptor`].
pub struct Interceptor<F>(F);

opaque_debug!(Interceptor<F>);

/// A pipeline from a closure that decides for each event whether it passes, is dropped or is replaced
/// (1 → 0..1): a [`Verdict`], a `bool`, an [`Event`] or an `Option<Event>`.
///
/// ```
/// use tributary::pipeline;
///
/// let _only_short = pipeline::interceptor(|e| Ok(e.payload().size() < 100));
/// let _wrapped = pipeline::interceptor(|e| {
///     Ok(e.derive(serde_json::json!({"was": e.payload().json()?})))
/// });
/// ```
pub fn interceptor<F, V>(f: F) -> Interceptor<F>
where
    F: FnMut(&Event) -> Result<V> + Send,
    V: Into<Verdict>,
{
    Interceptor(f)
}

impl<F: Send> Node for Interceptor<F> {}

impl<F, V> Pipeline for Interceptor<F>
where
    F: FnMut(&Event) -> Result<V> + Send,
    V: Into<Verdict>,
{
    #[inline]
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        match (self.0)(event)?.into() {
            Verdict::Pass => cx.pass(),
            Verdict::Drop => cx.drop_event("interceptor"),
            Verdict::Replace(event) => cx.emit(event),
        }
        Ok(())
    }
}

/// A closure that makes any number of events of each: see [`injector`].
pub struct Injector<F>(F);

opaque_debug!(Injector<F>);

/// A pipeline from a closure that returns the events that go on in the place of each event
/// (1 → n). Make them with [`Event::derive`], so that they share its time, meta and ack.
///
/// ```
/// use tributary::pipeline;
///
/// let _words = pipeline::injector(|e| {
///     let text = e.payload().text().unwrap_or_default();
///     Ok(text.split(' ').map(|word| e.derive(word)).collect::<Vec<_>>())
/// });
/// ```
pub fn injector<F, I>(f: F) -> Injector<F>
where
    F: FnMut(&Event) -> Result<I> + Send,
    I: IntoIterator<Item = Event>,
{
    Injector(f)
}

impl<F: Send> Node for Injector<F> {}

impl<F, I> Pipeline for Injector<F>
where
    F: FnMut(&Event) -> Result<I> + Send,
    I: IntoIterator<Item = Event>,
{
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        (self.0)(event)?
            .into_iter()
            .for_each(|event| cx.emit(event));
        Ok(())
    }
}
