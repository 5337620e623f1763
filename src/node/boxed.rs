//! A boxed node is a node: for nodes whose type is known only at run time.

use super::{Context, Handover, Loss, Node, Outline, Pipeline, ReadStatus, Sink, Source};
use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::error::Result;
use crate::event::Event;
use crate::time::Timestamp;
use std::time::Duration;

impl<N: Node + ?Sized> Node for Box<N> {
    fn open(&mut self) -> Result<()> {
        (**self).open()
    }

    fn ports(&self) -> Vec<String> {
        (**self).ports()
    }

    fn claims(&self) -> Vec<Claim> {
        (**self).claims()
    }

    fn batch_size(&self) -> usize {
        (**self).batch_size()
    }

    fn commit(&mut self, cx: &mut Context<'_>) -> Result<()> {
        (**self).commit(cx)
    }

    fn rollback(&mut self) {
        (**self).rollback();
    }

    fn settle(&mut self, token: Token, outcome: Outcome, cx: &mut Context<'_>) -> Result<()> {
        (**self).settle(token, outcome, cx)
    }

    fn wake(&self) -> Option<Timestamp> {
        (**self).wake()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        (**self).tick(cx)
    }

    fn holds(&self) -> bool {
        (**self).holds()
    }

    fn close(&mut self) {
        (**self).close();
    }

    fn continues(&self) -> bool {
        (**self).continues()
    }

    fn give(&mut self) -> Option<Handover> {
        (**self).give()
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        (**self).take(state)
    }

    fn outline(&self) -> Option<Outline> {
        (**self).outline()
    }

    fn loss(&self, replaced: &Outline, now: Timestamp) -> Option<Loss> {
        (**self).loss(replaced, now)
    }

    fn accept_loss(&mut self) {
        (**self).accept_loss();
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        (**self).finish(cx)
    }
}

impl<N: Source + ?Sized> Source for Box<N> {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        (**self).read(cx, wait)
    }
}

impl<N: Pipeline + ?Sized> Pipeline for Box<N> {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        (**self).process(event, cx)
    }
}

impl<N: Sink + ?Sized> Sink for Box<N> {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        (**self).write(event, cx)
    }
}
