//! A function that is called with each event: map, filter, flat map, route.

use super::home::Home;
use super::vm::{Spec, callable, code, of};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Node, Pipeline};
use crate::script::value::describe;
use mlua::Value;

/// What the function's answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::script) enum Kind {
    /// The event that goes on, or nil.
    Map,
    /// Whether it goes on.
    Filter,
    /// Nothing: it emits.
    FlatMap,
    /// One function for each of these ports: whether it goes there.
    Route(Vec<String>),
}

/// The port of what no route takes.
const UNMATCHED: &str = "unmatched";

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Kind::Map => "map",
            Kind::Filter => "filter",
            Kind::FlatMap => "flat_map",
            Kind::Route(_) => "route",
        }
    }

    fn expected(&self) -> &'static str {
        match self {
            Kind::Map => "an event, a table, a string or nil",
            Kind::Filter | Kind::Route(_) => "a boolean or nil",
            Kind::FlatMap => "nothing, since it emits",
        }
    }
}

/// A pipeline that calls a function with each event.
pub(in crate::script) struct Each {
    home: Home,
    kind: Kind,
    /// Events for which the function has answered, and for which it has returned nothing.
    answered: u64,
    dropped: u64,
    warned: bool,
}

/// After so many events a map that has dropped every one is named while it still runs.
const MANY: u64 = 10_000;

impl Each {
    pub fn new(spec: Spec, kind: Kind) -> Self {
        Each {
            home: Home::new(spec),
            kind,
            answered: 0,
            dropped: 0,
            warned: false,
        }
    }

    fn call(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let vm = self.home.vm()?;
        let handle = vm.handle(event)?;
        let (verdict, value): (u8, Value) =
            vm.call(callable(&vm.main)?, handle, Some(event), cx.now())?;
        self.answered += 1;
        self.dropped += u64::from(verdict == code::DROP);
        match (&self.kind, verdict) {
            (Kind::Route(ports), code::PASS) => route(ports, &value, cx)?,
            (_, code::PASS) => cx.pass(),
            (_, code::DROP) => cx.drop_event(self.kind.name()),
            (Kind::Map, code::MADE) if value.is_table() || value.is_string() => {
                cx.emit(of(event, vm.made(&value)?));
            }
            (_, code::MADE) => {
                let (expected, got) = (self.kind.expected(), describe(&value));
                let error = format!("the function must return {expected}, and returned {got}");
                return Err(Error::data(error).at_opt(self.home.spec().place.clone()));
            }
            _ => {}
        }
        for made in vm.take_out() {
            cx.emit(of(event, made));
        }
        Ok(())
    }
}

impl Each {
    /// Warns once of a map that has dropped every event: to drop some is what nil is for, to drop all
    /// is a `return` that was forgotten.
    fn warn_of_nothing(&mut self) {
        let (all, spec) = (self.answered, self.home.spec());
        if self.kind != Kind::Map || self.warned || all == 0 || self.dropped < all {
            return;
        }
        self.warned = true;
        let place = spec.place.as_ref().map(|place| format!(" ({place})"));
        log::warn!(
            "node {}{}: the function returned nothing for any of {all} events, so all were dropped; \
             a map returns the event that goes on",
            spec.node,
            place.unwrap_or_default()
        );
    }
}

fn route(ports: &[String], open: &Value, cx: &mut Context<'_>) -> Result<()> {
    let open = open.as_integer().unwrap_or(0);
    if open == 0 {
        return cx.pass_to(UNMATCHED);
    }
    for (at, port) in ports.iter().enumerate() {
        if open >> at & 1 == 1 {
            cx.pass_to(port)?;
        }
    }
    Ok(())
}

impl Node for Each {
    fn open(&mut self) -> Result<()> {
        self.home.open(self.kind.name())
    }

    fn finish(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.warn_of_nothing();
        Ok(())
    }

    fn ports(&self) -> Vec<String> {
        match &self.kind {
            Kind::Route(ports) => {
                let all = ports.iter().cloned();
                all.chain([UNMATCHED.to_owned()]).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Pipeline for Each {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let called = self.call(event, cx);
        if self.dropped == MANY {
            self.warn_of_nothing();
        }
        if called.is_err() && self.home.vm()?.full.get() {
            self.home.renew(self.kind.name())?;
        }
        called
    }
}
