//! A function as a sink.

use super::home::Home;
use super::vm::{Spec, callable};
use crate::error::Result;
use crate::event::Event;
use crate::node::{Context, Node, Sink};

const KIND: &str = "handler";

/// A sink that calls a function with each event.
pub(in crate::script) struct Handler {
    home: Home,
}

impl Handler {
    pub fn new(spec: Spec) -> Self {
        Handler {
            home: Home::new(spec),
        }
    }
}

impl Node for Handler {
    fn open(&mut self) -> Result<()> {
        self.home.open(KIND)
    }
}

impl Sink for Handler {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let vm = self.home.vm()?;
        let handle = vm.handle(event)?;
        let called = vm.call::<()>(callable(&vm.main)?, handle, Some(event), cx.now());
        if vm.full.get() {
            self.home.renew(KIND)?;
        }
        called
    }
}
