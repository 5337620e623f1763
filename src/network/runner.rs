//! A node of any kind, as the engine calls it.

use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Node, Pipeline, ReadStatus, Sink, Source};
use std::time::Duration;

/// Source, pipeline or sink: decides which links are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeKind {
    /// Sends only.
    Source,
    /// Receives and sends.
    Pipeline,
    /// Receives only; its ports `errors` and `dropped` still send.
    Sink,
}

impl NodeKind {
    /// The kind as one word.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeKind::Source => "source",
            NodeKind::Pipeline => "pipeline",
            NodeKind::Sink => "sink",
        }
    }
}

/// A node of any kind. One implementation for each kind, generic over the node, so that the loop
/// over a batch is compiled together with the node's code.
pub(crate) trait Runner: Send {
    fn kind(&self) -> NodeKind;
    fn node(&mut self) -> &mut dyn Node;
    /// Feeds `events` from `*index` on; on return `*index` is that of the event that failed.
    fn feed<'a>(
        &mut self,
        events: &'a [Event],
        index: &mut usize,
        cx: &mut Context<'a>,
    ) -> Result<()>;
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus>;
}

pub(crate) struct Reads<S>(pub S);

pub(crate) struct Processes<P>(pub P);

pub(crate) struct Writes<S>(pub S);

impl<S: Source> Runner for Reads<S> {
    fn kind(&self) -> NodeKind {
        NodeKind::Source
    }
    fn node(&mut self) -> &mut dyn Node {
        &mut self.0
    }
    fn feed<'a>(&mut self, _: &'a [Event], _: &mut usize, _: &mut Context<'a>) -> Result<()> {
        Err(Error::data("a source takes no events"))
    }
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        self.0.read(cx, wait)
    }
}

impl<P: Pipeline> Runner for Processes<P> {
    fn kind(&self) -> NodeKind {
        NodeKind::Pipeline
    }
    fn node(&mut self) -> &mut dyn Node {
        &mut self.0
    }
    fn feed<'a>(
        &mut self,
        events: &'a [Event],
        index: &mut usize,
        cx: &mut Context<'a>,
    ) -> Result<()> {
        each(events, index, cx, |event, cx| self.0.process(event, cx))
    }
    fn read(&mut self, _: &mut Context<'_>, _: Duration) -> Result<ReadStatus> {
        Ok(ReadStatus::End)
    }
}

impl<S: Sink> Runner for Writes<S> {
    fn kind(&self) -> NodeKind {
        NodeKind::Sink
    }
    fn node(&mut self) -> &mut dyn Node {
        &mut self.0
    }
    fn feed<'a>(
        &mut self,
        events: &'a [Event],
        index: &mut usize,
        cx: &mut Context<'a>,
    ) -> Result<()> {
        each(events, index, cx, |event, cx| self.0.write(event, cx))
    }
    fn read(&mut self, _: &mut Context<'_>, _: Duration) -> Result<ReadStatus> {
        Ok(ReadStatus::End)
    }
}

/// Feeds events from `index` on, up to where so much was emitted that it is to leave first.
#[inline]
fn each<'a>(
    events: &'a [Event],
    index: &mut usize,
    cx: &mut Context<'a>,
    mut take: impl FnMut(&Event, &mut Context<'a>) -> Result<()>,
) -> Result<()> {
    while let Some(event) = events.get(*index) {
        cx.begin(event, *index);
        take(event, cx)?;
        let much = cx.end()?;
        *index += 1;
        if much {
            break;
        }
    }
    Ok(())
}

/// A source, pipeline or sink, as the successor of a node of the same kind. `K` shows the compiler which of
/// the three it is; it is inferred where a type is one of them only.
pub trait Successor<K>: private::IntoRunner<K> {}

impl<K, N: private::IntoRunner<K>> Successor<K> for N {}

pub(crate) mod private {
    use super::{Processes, Reads, Runner, Writes};
    use crate::node::{Pipeline, Sink, Source};

    /// What a runner runs.
    pub trait IntoRunner<K> {
        #[doc(hidden)]
        fn into_runner(self) -> BoxedRunner;
    }

    /// A runner, which is not public.
    #[expect(missing_debug_implementations, reason = "never seen by users")]
    pub struct BoxedRunner(pub(crate) Box<dyn Runner>);

    #[derive(Debug)]
    pub enum OfSource {}
    #[derive(Debug)]
    pub enum OfPipeline {}
    #[derive(Debug)]
    pub enum OfSink {}

    impl<N: Source + 'static> IntoRunner<OfSource> for N {
        fn into_runner(self) -> BoxedRunner {
            BoxedRunner(Box::new(Reads(self)))
        }
    }

    impl<N: Pipeline + 'static> IntoRunner<OfPipeline> for N {
        fn into_runner(self) -> BoxedRunner {
            BoxedRunner(Box::new(Processes(self)))
        }
    }

    impl<N: Sink + 'static> IntoRunner<OfSink> for N {
        fn into_runner(self) -> BoxedRunner {
            BoxedRunner(Box::new(Writes(self)))
        }
    }
}
