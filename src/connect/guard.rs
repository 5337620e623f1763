//! What stands between the engine and a connector: no error passes with a secret in it.

use super::secret::Secrets;
use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Read, Sink, Source};
use crate::time::Timestamp;
use std::time::Duration;

/// A connector whose errors are looked through for its secrets.
pub(super) struct Guard<N: ?Sized> {
    pub inner: Box<N>,
    pub secrets: Secrets,
}

impl<N: ?Sized> Guard<N> {
    fn run<T>(&mut self, call: impl FnOnce(&mut N) -> Result<T>) -> Result<T> {
        call(&mut self.inner).map_err(|error| self.secrets.scrub_error(error))
    }
}

impl<N: Node + ?Sized> Node for Guard<N> {
    fn open(&mut self) -> Result<()> {
        self.run(|node| node.open())
    }

    fn ports(&self) -> Vec<String> {
        self.inner.ports()
    }

    fn claims(&self) -> Vec<Claim> {
        self.inner.claims()
    }

    fn batch_size(&self) -> usize {
        self.inner.batch_size()
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.run(|node| node.commit(cx))
    }

    fn rollback(&mut self) {
        self.inner.rollback();
    }

    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        self.run(|node| node.settle(token, outcome, cx))
    }

    fn wake(&self) -> Option<Timestamp> {
        self.inner.wake()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.run(|node| node.tick(cx))
    }

    fn holds(&self) -> bool {
        self.inner.holds()
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.run(|node| node.finish(cx))
    }
}

impl<N: Source + ?Sized> Source for Guard<N> {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<Read> {
        self.run(|node| node.read(cx, wait))
    }
}

impl<N: Sink + ?Sized> Sink for Guard<N> {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        self.run(|node| node.write(event, cx))
    }
}
