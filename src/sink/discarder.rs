//! The sink that does nothing.

use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Sink};

/// Takes every event and forgets it.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no settings")]
pub struct Discarder;

impl Node for Discarder {}

impl Sink for Discarder {
    #[inline]
    fn write(&mut self, _event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}
