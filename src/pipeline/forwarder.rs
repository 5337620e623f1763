//! The pipeline that does nothing.

use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};

/// Lets every event pass as it is.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no settings")]
pub struct Forwarder;

impl Node for Forwarder {}

impl Pipeline for Forwarder {
    #[inline]
    fn process(&mut self, _event: &Event, cx: &mut Context<'_>) -> Result<()> {
        cx.pass();
        Ok(())
    }
}
