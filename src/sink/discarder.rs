//! The sink that does nothing.

use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Sink};

/// Takes every event and forgets it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discarder;

impl Node for Discarder {}

impl Sink for Discarder {
    #[inline]
    fn write(&mut self, _event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}
