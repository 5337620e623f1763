//! The VM of one node: the function that arrived there, and calls of it within their limits.

use super::capture::Host;
use super::known::Known;
use super::module;
use super::portable::Portable;
use super::reads::only_reads;
use super::view::{Handle, fetch, made};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::event::Event;
use crate::network::StatsHandle;
use crate::script::chunks::host_chunk;
use crate::script::failure::{self, raise};
use crate::script::limits::ScriptLimits;
use crate::script::prelude::Helpers;
use crate::script::sandbox::Vm;
use crate::time::Timestamp;
use mlua::{AnyUserData, FromLuaMulti, Function, IntoLuaMulti, Lua, MultiValue, Table, Value};
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::rc::Rc;
use std::sync::Arc;

/// The work of going through a table, which may have been emptied: its places are still there.
const TABLE: usize = 1 << 14;

/// At least one of so many failures for want of memory is looked into.
const MOST_PATIENCE: u32 = 256;

/// What a node is made of, on any thread.
pub(in crate::script) struct Spec {
    /// The node's name.
    pub node: String,
    /// Where in the script it was made.
    pub place: Option<String>,
    pub portable: Portable,
    pub limits: ScriptLimits,
    /// The greatest payload of an event.
    pub event_bytes: usize,
    pub network: StatsHandle,
    /// The user's own helpers.
    pub helpers: Vec<Arc<Helpers>>,
}

/// What the functions of a VM and the node share.
pub(super) struct Shared {
    pub spec: Arc<Spec>,
    pub now: Cell<Timestamp>,
    /// The event in hand, without its ack.
    base: RefCell<Option<Event>>,
    out: RefCell<Vec<Event>>,
    /// About how much memory that takes: it is not the VM's.
    out_bytes: Cell<usize>,
    /// Where the metatable of events is.
    views: Cell<*const c_void>,
}

impl Shared {
    pub fn is_view(&self, table: &Table) -> bool {
        let meta = table.metatable();
        meta.is_some_and(|meta| meta.to_pointer() == self.views.get())
    }

    /// Takes an event that is emitted.
    fn push(&self, event: Event) -> Result<()> {
        let bytes = self.out_bytes.get() + event.size() + size_of::<Event>();
        let most = self.spec.limits.memory;
        if bytes > most {
            let most = failure::size(most);
            return Err(Error::data(format!(
                "emit: one call emits more than {most}"
            )));
        }
        self.out_bytes.set(bytes);
        self.out.borrow_mut().push(event);
        Ok(())
    }

    /// What an event made here is derived from.
    pub fn base(&self) -> Event {
        let base = self.base.borrow().clone();
        base.unwrap_or_else(|| Event::new("", self.now.get()))
    }
}

pub(super) struct NodeVm {
    pub vm: Vm,
    pub host: Host,
    /// What the node calls.
    pub main: Value,
    /// The functions that arrived, in order.
    pub roots: Vec<Value>,
    shared: Rc<Shared>,
    /// Whether it has no memory left, also after everything was collected, and a new one would have
    /// more.
    pub full: Cell<bool>,
    /// What it needs at least: what it held when it was made.
    floor: Cell<usize>,
    /// So many failures for want of memory are not looked into, and how many were let go since.
    patience: Cell<u32>,
    waited: Cell<u32>,
}

impl NodeVm {
    /// A VM in which the function has arrived, as this kind of node.
    pub fn new(spec: &Arc<Spec>, kind: &str) -> Result<Self> {
        let wrong = |error: mlua::Error| {
            failure::from_lua(&error, spec.portable.chunks()).at_opt(spec.place.clone())
        };
        let vm = Vm::new(spec.limits).map_err(wrong)?;
        vm.budget.set_origin(spec.place.clone());
        let shared = Rc::new(Shared {
            spec: spec.clone(),
            now: Cell::new(Timestamp::EPOCH),
            base: RefCell::new(None),
            out: RefCell::new(Vec::new()),
            out_bytes: Cell::new(0),
            views: Cell::new(std::ptr::null()),
        });
        Self::furnish(vm, shared, kind).map_err(wrong)
    }

    fn furnish(vm: Vm, shared: Rc<Shared>, kind: &str) -> mlua::Result<Self> {
        let (lua, spec) = (&vm.lua, shared.spec.clone());
        // The user's own helpers are executed there.
        let module = vm.budget.within("load", spec.limits.load_time, || {
            module::create(lua, spec.portable.functions(), &shared)
        })?;
        let given = module.clone();
        let require = lua.create_function(move |lua, name: Value| match &name {
            Value::String(name) if *name == "tributary" => Ok(given.clone()),
            other => {
                let name = other.to_string().unwrap_or_default();
                let error = format!("no module {} while events flow", quote(name));
                let error = Error::data(error).with_hint("require it outside the function");
                Err(raise(lua, error))
            }
        })?;
        lua.globals().raw_set("require", require)?;
        let host = Host {
            lua: lua.weak(),
            upvalues: vm.upvalues.clone(),
            known: Known::new(lua, &module)?,
        };
        let roots = spec.portable.unpack(lua, &host.upvalues, &host.known)?;
        let reads = kind == "map" && only_reads(&spec.portable, 0);
        // These never send the data on as the function has left it.
        let compares = !reads && !matches!(kind, "filter" | "route" | "handler");
        let kinds = kinds(&vm, &shared, compares)?;
        let make: Function = kinds.raw_get(kind)?;
        let mut given = roots.clone();
        if kind == "map" {
            given.push(Value::Boolean(reads));
        }
        let main = make.call(MultiValue::from_vec(given))?;
        Ok(NodeVm {
            host,
            main,
            roots,
            shared,
            full: Cell::new(false),
            floor: Cell::new(vm.lua.used_memory()),
            patience: Cell::new(0),
            waited: Cell::new(0),
            vm,
        })
    }

    /// The event as its function gets it.
    pub fn handle(&self, event: &Event) -> Result<AnyUserData> {
        let handle = self.vm.lua.create_userdata(Handle(event.detached()));
        handle.map_err(|error| self.failure(&error))
    }

    /// Calls a function about this event, or about none.
    pub fn call<R: FromLuaMulti>(
        &self,
        function: &Function,
        args: impl IntoLuaMulti,
        event: Option<&Event>,
        now: Timestamp,
    ) -> Result<R> {
        self.shared.now.set(now);
        // What an answer that was refused has left.
        self.shared.out.borrow_mut().clear();
        self.shared.out_bytes.set(0);
        *self.shared.base.borrow_mut() = event.map(Event::detached);
        let (lua, limits) = (&self.vm.lua, self.shared.spec.limits);
        let called = self.vm.budget.within("call", limits.call_time, || {
            lua.set_memory_limit(limits.memory)?;
            function.call(args)
        });
        // The limit is for functions; what the host does between calls is cheaper without.
        let freed = lua.set_memory_limit(0);
        freed.map_err(|error| self.failure(&error))?;
        called.map_err(|error| {
            self.shared.out.borrow_mut().clear();
            self.failure(&error)
        })
    }

    /// Calls a function of ours, which needs no limits, between the calls of others.
    pub fn direct<R: FromLuaMulti>(
        &self,
        function: &Function,
        args: impl IntoLuaMulti,
    ) -> Result<R> {
        function.call(args).map_err(|error| self.failure(&error))
    }

    /// What was emitted in the last call.
    pub fn take_out(&self) -> Vec<Event> {
        std::mem::take(&mut *self.shared.out.borrow_mut())
    }

    /// The event that a function has returned; to make it is a call of its own.
    pub fn made(&self, value: &Value) -> Result<Event> {
        let (lua, budget) = (&self.vm.lua, &self.vm.budget);
        let table = || budget.charge(lua, TABLE);
        let limit = self.shared.spec.limits.call_time;
        let made = budget.within("call", limit, || Ok(made(value, &self.shared, &table)));
        made.map_err(|error| self.failure(&error))
            .flatten()
            .map(|(event, _)| event)
            .map_err(|error| {
                let error = error.at_opt(self.shared.spec.place.clone());
                error.within("the function's answer")
            })
    }

    /// Makes copies of values that were taken out of another VM.
    pub fn unpack(&self, portable: &Portable) -> Result<Vec<Value>> {
        // They did fit before.
        let freed = self.vm.lua.set_memory_limit(0);
        freed.map_err(|error| self.failure(&error))?;
        let made = portable.unpack(&self.vm.lua, &self.host.upvalues, &self.host.known);
        made.map_err(|error| self.failure(&error))
    }

    /// Frees what nothing refers to.
    pub fn collect(&self) {
        // That it fails changes nothing.
        let _ = self.vm.lua.gc_collect();
    }

    /// What each call may use.
    pub fn limits(&self) -> ScriptLimits {
        self.shared.spec.limits
    }

    /// What it holds now it would hold after a rebuild, too.
    pub fn settle(&self) {
        let _ = self.vm.lua.gc_collect();
        self.floor.set(self.vm.lua.used_memory());
    }

    fn failure(&self, error: &mlua::Error) -> Error {
        if failure::is_memory(error) {
            self.judge();
        }
        self.vm.failure(error, self.shared.spec.portable.chunks())
    }

    /// After a failure for want of memory: finds out whether a new VM would have more. A collection
    /// takes as long as the memory is large, and where the states of keys fill it each event may fail;
    /// so the more often nothing was found, the more rarely it is looked for.
    fn judge(&self) {
        let (lua, limit) = (&self.vm.lua, self.shared.spec.limits.memory);
        let much = |used: usize| used > limit / 4 * 3;
        if much(lua.used_memory()) {
            if self.waited.get() < self.patience.get() {
                self.waited.set(self.waited.get() + 1);
                return;
            }
            self.waited.set(0);
            // That it fails changes nothing.
            let _ = lua.gc_collect();
        }
        let used = lua.used_memory();
        let full = much(used) && used > self.floor.get() + limit / 8;
        self.full.set(full);
        self.patience.set(if much(used) && !full {
            (self.patience.get() * 2).clamp(1, MOST_PATIENCE)
        } else {
            0
        });
    }
}

/// The kinds of nodes, from their Lua half.
fn kinds(vm: &Vm, shared: &Rc<Shared>, compares: bool) -> mlua::Result<Table> {
    let lua = &vm.lua;
    let native = lua.create_table()?;
    let views = lua.create_table()?;
    shared.views.set(views.to_pointer());
    views.raw_set("__name", "event")?;
    views.raw_set("__metatable", false)?;
    native.raw_set("event", views)?;
    native.raw_set("setmetatable", &vm.setmetatable)?;
    let budget = vm.budget.clone();
    let fetch = lua.create_function(move |lua, asked| fetch(lua, &budget, asked, compares))?;
    native.raw_set("fetch", fetch)?;
    let refuse = |lua: &Lua, name: Value| -> mlua::Result<()> {
        let name = name.to_string().unwrap_or_default();
        let known = ["payload", "data", "meta", "time"];
        let hint = did_you_mean(&name, known)
            .unwrap_or_else(|| "it has payload, data, meta and time".to_owned());
        let error = Error::data(format!("an event has no {}", quote(name)));
        Err(raise(lua, error.with_hint(hint)))
    };
    native.raw_set("refuse", lua.create_function(refuse)?)?;
    let (out, budget) = (shared.clone(), vm.budget.clone());
    let emit = lua.create_function(move |lua, value: Value| {
        let table = || budget.charge(lua, TABLE);
        let made = made(&value, &out, &table).map_err(|error| raise(lua, error.within("emit")))?;
        budget.charge(lua, (made.0.payload().size() + made.1) * 4);
        out.push(made.0).map_err(|error| raise(lua, error))
    })?;
    native.raw_set("emit", emit)?;
    let metatable = |_: &Lua, value: Value| Ok(value.as_table().and_then(Table::metatable));
    native.raw_set("metatable", lua.create_function(metatable)?)?;
    host_chunk(lua, "event", include_str!("../../../lua/host/event.lua")).call(native)
}

/// What was made of an event, with the ack of that event.
pub(super) fn of(event: &Event, made: Event) -> Event {
    let (payload, time, meta, _) = made.into_parts();
    let (_, _, _, ack) = event.clone().into_parts();
    Event::from_parts(payload, time, meta, ack)
}

/// A function that must be there.
pub(super) fn callable(value: &Value) -> Result<&Function> {
    value
        .as_function()
        .ok_or_else(|| Error::data("the function did not arrive at its node"))
}

/// What the Lua half has of an event.
pub(super) mod code {
    pub const DROP: u8 = 0;
    pub const PASS: u8 = 1;
    pub const MADE: u8 = 2;
    // 3: consumed.
    pub const ENDED: u8 = 4;
}
