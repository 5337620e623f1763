//! A sink that shows that something arrives.

use super::lines::write_out;
use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Sink};

/// Prints its indicator (a dot, for example) to standard output for every event.
#[derive(Debug, Clone)]
pub struct Tester {
    indicator: String,
    buffer: Vec<u8>,
}

impl Tester {
    /// A tester that prints this.
    pub fn new(indicator: impl Into<String>) -> Self {
        Tester {
            indicator: indicator.into(),
            buffer: Vec::new(),
        }
    }
}

impl Node for Tester {
    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if self.buffer.is_empty() {
            Ok(())
        } else {
            write_out(&mut self.buffer)
        }
    }

    fn rollback(&mut self) {
        self.buffer.clear();
    }
}

impl Sink for Tester {
    fn write(&mut self, _event: &Event, _cx: &mut Context<'_>) -> Result<()> {
        self.buffer.extend(self.indicator.as_bytes());
        Ok(())
    }
}
