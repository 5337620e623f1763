//! A function with a state, one or one for each key, and with timers.
//!
//! With a key, a call that fails leaves the state of its key as it was before; a state without a key
//! stays as the call left it.
//!
//! - `states` — the states on their way to another VM: a new one of the node, or that of its successor.

mod states;

use super::home::Home;
use super::vm::{NodeVm, Spec, callable, code, of};
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::node::{Context, Handover, Node, Pipeline};
use crate::payload::parse_json;
use crate::script::value::{describe, to_data};
use crate::time::{Timestamp, format_duration};
use mlua::{Function, Table, Value};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use states::{GivenStates, PIECES, move_some, states};

const KIND: &str = "process";

/// Where the functions stand among the roots; timers follow.
const PROCESS: usize = 1;
const FINISH: usize = 2;
const TIMERS: usize = 3;

/// A function that is called at every interval.
#[derive(Clone)]
pub(in crate::script) struct Timer {
    pub every: Duration,
    due: Option<Timestamp>,
}

impl Timer {
    pub fn new(every: Duration) -> Self {
        Timer { every, due: None }
    }
}

/// A pipeline that calls functions with a state.
pub(in crate::script) struct Process {
    home: Home,
    /// The fields that make the key.
    fields: Vec<String>,
    /// The keys that have a state, as JSON, and how many there may be.
    keys: BTreeSet<Box<str>>,
    max_keys: usize,
    timers: Vec<Timer>,
    /// States that it has taken, and that are not in its VM yet.
    taken: Option<Box<GivenStates>>,
}

/// What a call is about, where it is no event.
struct About<'a> {
    what: &'static str,
    detail: Json,
    function: &'a Function,
}

impl Process {
    pub fn new(spec: Spec, fields: Vec<String>, max_keys: usize, timers: Vec<Timer>) -> Self {
        Process {
            home: Home::new(spec),
            fields,
            keys: BTreeSet::new(),
            max_keys,
            timers,
            taken: None,
        }
    }

    /// The key of an event: its text, and what the functions get.
    fn key(&self, event: &Event) -> Result<Option<(String, Json)>> {
        let Some(first) = self.fields.first() else {
            return Ok(None);
        };
        let object = event.payload().object()?;
        let value = |field: &String| {
            object.get(field).cloned().ok_or_else(|| {
                Error::data(format!("no field {} to take the key from", quote(field)))
            })
        };
        let key = match self.fields.len() {
            1 => value(first)?,
            _ => Json::Array(self.fields.iter().map(value).collect::<Result<_>>()?),
        };
        Ok(Some((key.to_string(), key)))
    }

    fn call(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let key = self.key(event)?;
        if let Some((text, _)) = &key
            && self.keys.len() >= self.max_keys
            && !self.keys.contains(text.as_str())
        {
            let error = format!("{} other keys have a state already", self.max_keys);
            let hint = "a function that returns false ends one; the option max_keys allows more";
            return Err(Error::data(error).with_hint(hint));
        }
        let vm = self.home.vm()?;
        let calls = calls(&vm)?;
        let process = get(&calls, "process")?;
        let handle = vm.handle(event)?;
        let (name, shown) = lua_key(&vm, key.as_ref())?;
        let args = (root(&vm, PROCESS)?, handle, name, shown);
        let called = vm.call::<(u8, Value)>(&process, args, Some(event), cx.now());
        let made = self.after(&vm, &calls, key, called)?;
        made.into_iter().for_each(|made| cx.emit(of(event, made)));
        Ok(())
    }

    /// Calls a function that gets no event, for every key; a call that fails leaves by `errors`.
    fn call_all(&mut self, vm: &NodeVm, about: &About<'_>, cx: &mut Context<'_>) -> Result<()> {
        let calls = calls(vm)?;
        let other = get(&calls, "other")?;
        let mut last: Option<Box<str>> = None;
        let mut once = self.fields.is_empty();
        loop {
            let key = match &last {
                None if std::mem::take(&mut once) => None,
                last => {
                    let from = last.as_deref().map_or(Unbounded, Excluded);
                    let Some(next) = self.keys.range::<str, _>((from, Unbounded)).next() else {
                        return Ok(());
                    };
                    let text = next.to_string();
                    let key = parse_json(text.as_bytes())?;
                    Some((text, key))
                }
            };
            last = key.as_ref().map(|(text, _)| text.as_str().into());
            let shown = key.as_ref().map(|(_, key)| key.clone());
            let (name, lua) = lua_key(vm, key.as_ref())?;
            let called =
                vm.call::<(u8, Value)>(&other, (about.function, name, lua), None, cx.now());
            match self.after(vm, &calls, key, called) {
                Ok(made) => made.into_iter().for_each(|made| cx.emit(made)),
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => {
                    let mut payload = json!({ about.what: about.detail });
                    if let Some(key) = shown {
                        payload["key"] = key;
                    }
                    cx.reject(Event::new(payload, cx.now()), error);
                }
            }
        }
    }

    /// What a call has emitted; where it failed, the state is put back.
    fn after(
        &mut self,
        vm: &NodeVm,
        calls: &Table,
        key: Option<(String, Json)>,
        called: Result<(u8, Value)>,
    ) -> Result<Vec<Event>> {
        match called {
            Ok((code::MADE, value)) => {
                vm.take_out();
                vm.direct::<()>(&get(calls, "restore")?, ())?;
                let got = describe(&value);
                let error =
                    format!("the function must return nothing or false, and returned {got}");
                Err(Error::data(error).at_opt(self.home.spec().place.clone()))
            }
            Ok((verdict, _)) => {
                if let Some((text, _)) = key {
                    match verdict {
                        code::ENDED => drop(self.keys.remove(text.as_str())),
                        _ if self.keys.contains(text.as_str()) => {}
                        _ => drop(self.keys.insert(text.into_boxed_str())),
                    }
                }
                Ok(vm.take_out())
            }
            Err(error) => {
                vm.direct::<()>(&get(calls, "restore")?, ())?;
                if vm.full.get() {
                    self.renew(vm)?;
                }
                Err(error)
            }
        }
    }

    /// Makes a new VM, with the states of the keys. They move in pieces, and each is let go where
    /// it was: so both VMs together hold little more than one may.
    fn renew(&mut self, old: &NodeVm) -> Result<()> {
        let new = NodeVm::new(self.home.spec(), KIND)?;
        if !self.fields.is_empty() {
            let (from, to) = (states(old)?, states(&new)?);
            let mut moving = self.keys.iter();
            let mut lost = Vec::new();
            let mut freed = 0;
            loop {
                let moved = move_some(old, &new, &from, &to, &mut moving, &mut lost)?;
                if moved == 0 {
                    break;
                }
                freed += moved;
                if freed > self.home.spec().limits.memory / PIECES {
                    freed = 0;
                    old.collect();
                }
            }
            for (key, error) in lost {
                let (node, key_shown) = (&self.home.spec().node, quote(&*key));
                log::warn!("node {node}: the state of key {key_shown} is lost: {error}");
                self.keys.remove(&*key);
            }
            new.settle();
        }
        self.home.enter(new);
        Ok(())
    }
}

fn lua_key(vm: &NodeVm, key: Option<&(String, Json)>) -> Result<(Value, Value)> {
    let wrong = |error: mlua::Error| Error::data(error.to_string());
    let lua = &vm.vm.lua;
    match key {
        None => Ok((Value::Boolean(false), Value::Nil)),
        Some((text, key)) => Ok((
            Value::String(lua.create_string(text).map_err(wrong)?),
            to_data(lua, key).map_err(wrong)?,
        )),
    }
}

fn calls(vm: &NodeVm) -> Result<Table> {
    let missing = || Error::data("the functions did not arrive at their node");
    vm.main.as_table().cloned().ok_or_else(missing)
}

fn get(calls: &Table, name: &str) -> Result<Function> {
    calls
        .raw_get(name)
        .map_err(|error| Error::data(error.to_string()))
}

fn root(vm: &NodeVm, at: usize) -> Result<Function> {
    callable(vm.roots.get(at).unwrap_or(&Value::Nil)).cloned()
}

impl Node for Process {
    fn open(&mut self) -> Result<()> {
        self.home.open(KIND)?;
        self.unpack_taken()
    }

    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        match self.give_states() {
            Ok(given) => Some(given),
            Err(error) => {
                let node = &self.home.spec().node;
                log::warn!("node {node}: its states are not handed over: {error}");
                None
            }
        }
    }

    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        self.take_states(state.downcast::<GivenStates>()?)
            .map_err(|given| given as Handover)
    }

    /// The first wake is at once: that is when the timers begin to run.
    fn wake(&self) -> Option<Timestamp> {
        let due = |timer: &Timer| timer.due.unwrap_or(Timestamp::EPOCH);
        self.timers.iter().map(due).min()
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let now = cx.now();
        for at in 0..self.timers.len() {
            let every = self.timers[at].every;
            let next = now.saturating_add(every);
            match self.timers[at].due {
                Some(due) if due <= now => {
                    let vm = self.home.vm()?;
                    let about = About {
                        what: "every",
                        detail: format_duration(every).into(),
                        function: &root(&vm, TIMERS + at)?,
                    };
                    let later = due.saturating_add(every);
                    // Set first: a call that fails is not made again at once.
                    self.timers[at].due = Some(if later > now { later } else { next });
                    self.call_all(&vm, &about, cx)?;
                }
                // A clock that was set back.
                Some(due) if due > next => self.timers[at].due = Some(next),
                Some(_) => {}
                None => self.timers[at].due = Some(next),
            }
        }
        Ok(())
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let vm = self.home.vm()?;
        let Ok(function) = root(&vm, FINISH) else {
            return Ok(());
        };
        let about = About {
            what: "finish",
            detail: true.into(),
            function: &function,
        };
        self.call_all(&vm, &about, cx)
    }
}

impl Pipeline for Process {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        self.call(event, cx)
    }
}

#[cfg(test)]
mod tests;
