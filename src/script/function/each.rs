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
}

impl Each {
    pub fn new(spec: Spec, kind: Kind) -> Self {
        Each {
            home: Home::new(spec),
            kind,
        }
    }

    fn call(&self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let vm = self.home.vm()?;
        let handle = vm.handle(event)?;
        let (said, value): (u8, Value) =
            vm.call(callable(&vm.main)?, handle, Some(event), cx.now())?;
        match (&self.kind, said) {
            (Kind::Route(ports), code::PASS) => route(ports, &value, cx)?,
            (_, code::PASS) => cx.pass(),
            (_, code::DROP) => cx.drop(self.kind.name()),
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
        if called.is_err() && self.home.vm()?.full.get() {
            self.home.renew(self.kind.name())?;
        }
        called
    }
}
