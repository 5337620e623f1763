//! VMs: a fresh one has the libraries that touch nothing outside it, and its limits.
//!
//! What a library must not do here is written in `lua/host/sandbox.lua`. The library `debug` is
//! loaded for the host, which moves functions with it ([`Upvalues`]); scripts do not see it.

use super::budget::Budget;
use super::chunks::host_chunk;
use super::failure::{self, raise};
use super::limits::ScriptLimits;
use super::patterns;
use crate::error::{Error, ErrorKind};
use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value};
use std::io::Write;
use std::rc::Rc;

/// A VM with its limits.
pub(super) struct Vm {
    /// Whether the host is called after each round of the collector.
    watch: Function,
    pub lua: Lua,
    pub budget: Rc<Budget>,
    pub limits: ScriptLimits,
    pub upvalues: Upvalues,
    /// The library's own, for the host: it looks at nothing.
    pub setmetatable: Function,
}

/// Reading and writing what functions have captured.
#[derive(Clone)]
pub(super) struct Upvalues {
    pub get: Function,
    pub set: Function,
    pub id: Function,
    pub join: Function,
}

impl Drop for Vm {
    fn drop(&mut self) {
        // While it is closed, what is finalised must not call the host. Neither fails without a limit.
        let _ = self.lua.set_memory_limit(0);
        let _ = self.watch.call::<()>(false);
    }
}

impl Vm {
    /// A fresh VM.
    pub fn new(limits: ScriptLimits) -> mlua::Result<Self> {
        let mut libraries = StdLib::COROUTINE
            | StdLib::TABLE
            | StdLib::STRING
            | StdLib::UTF8
            | StdLib::MATH
            | StdLib::DEBUG;
        if limits.allow_os {
            libraries |= StdLib::OS | StdLib::IO;
        }
        // `pcall` of the binding, which lets panics pass, aborts where a function gives many values.
        // Ours lets them pass too: `look` gets what was raised, and a panic goes on there.
        let options = LuaOptions::new().catch_rust_panics(true);
        // SAFETY: what is unsafe is the library `debug` in the hands of a script, and loading
        // modules in C. Scripts get `debug` only where a person has allowed them the system; the
        // host calls four functions of it with functions and numbers that it has checked; there is
        // no `package`.
        #[expect(
            unsafe_code,
            reason = "the host needs the library `debug`: see the comment above"
        )]
        let lua = unsafe { Lua::unsafe_new_with(libraries, options) };
        lua.set_memory_limit(limits.memory)?;
        let globals = lua.globals();
        let debug: Table = globals.raw_get("debug")?;
        let upvalues = Upvalues {
            get: debug.raw_get("getupvalue")?,
            set: debug.raw_get("setupvalue")?,
            id: debug.raw_get("upvalueid")?,
            join: debug.raw_get("upvaluejoin")?,
        };
        let setmetatable = globals.raw_get("setmetatable")?;
        let budget = Budget::install(&lua, limits.call_time.min(limits.load_time))?;
        let natives = natives(&lua, &budget, limits)?;
        let watch: Function =
            host_chunk(&lua, "sandbox", include_str!("../../lua/host/sandbox.lua"))
                .call(natives)?;
        let patterns = patterns::natives(&lua, &budget, limits.memory)?;
        host_chunk(
            &lua,
            "patterns",
            include_str!("../../lua/host/patterns.lua"),
        )
        .call::<()>(patterns)?;
        let mut gone = vec!["package"];
        if !limits.allow_os {
            gone.extend(["io", "os", "debug"]);
            // They read files; `load` takes text alone.
            for name in ["dofile", "loadfile"] {
                globals.raw_set(name, absent_function(&lua, name)?)?;
            }
        }
        for name in gone {
            globals.raw_set(name, absent(&lua, name)?)?;
        }
        let printed = budget.clone();
        let memory = limits.memory;
        let print = lua.create_function(move |lua, values| print(lua, &printed, memory, values))?;
        globals.raw_set("print", print)?;
        watch.call::<()>(true)?;
        Ok(Vm {
            watch,
            lua,
            budget,
            limits,
            upvalues,
            setmetatable,
        })
    }

    /// What went wrong, as one of our errors; `chunks` are the names of the scripts, of which the
    /// first stands for what has no line.
    pub fn failure(&self, error: &mlua::Error, chunks: &[String]) -> Error {
        if failure::is_memory(error) {
            let limit = failure::size(self.limits.memory);
            let place = failure::user_line(error, chunks).or_else(|| self.budget.last_place());
            return Error::data(format!("memory limit of {limit} exceeded"))
                .at_opt(place)
                .at_opt(chunks.first().cloned());
        }
        failure::from_lua(error, chunks)
    }
}

/// What `lua/host/sandbox.lua` needs.
fn natives(lua: &Lua, budget: &Rc<Budget>, limits: ScriptLimits) -> mlua::Result<Table> {
    let natives = lua.create_table()?;
    let charged = budget.clone();
    let charge = lua.create_function(move |lua, work: f64| {
        // What is no number of bytes is more than any.
        charged.charge(lua, work as usize);
        Ok(())
    })?;
    natives.raw_set("charge", charge)?;
    let looked = budget.clone();
    let look = lua.create_function(move |lua, _: Value| {
        looked.look(lua);
        Ok(())
    })?;
    natives.raw_set("look", look)?;
    let grows = budget.clone();
    let grown = lua.create_function(move |lua, ()| grows.grown(lua))?;
    natives.raw_set("grown", grown)?;
    let refuse = lua.create_function(|lua, message: String| -> mlua::Result<()> {
        Err(raise(lua, Error::data(message)))
    })?;
    natives.raw_set("refuse", refuse)?;
    natives.raw_set("memory", limits.memory)?;
    natives.raw_set("shown", failure::size(limits.memory))?;
    Ok(natives)
}

/// `print`, to the standard output that sinks write to.
///
/// A text may be given many times, so the line may be longer than all that the VM holds.
fn print(lua: &Lua, budget: &Budget, memory: usize, values: MultiValue) -> mlua::Result<()> {
    let mut line = Vec::new();
    Budget::charge_arguments(lua, &values);
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            line.push(b'\t');
        }
        let mut add = |text: &[u8]| {
            budget.charge(lua, text.len());
            if line.len() + text.len() > memory / 2 {
                let error = format!("memory limit of {} exceeded", failure::size(memory));
                return Err(raise(lua, Error::data(error)));
            }
            line.extend_from_slice(text);
            Ok(())
        };
        match value {
            Value::String(text) => add(&text.as_bytes())?,
            other => add(other.to_string()?.as_bytes())?,
        }
    }
    line.push(b'\n');
    // A reader that takes its time holds a script back, as it does a sink.
    let written = budget.aside(|| {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&line).and_then(|()| stdout.flush())
    });
    written.map_err(|error| {
        let error = match error.kind() {
            std::io::ErrorKind::BrokenPipe => {
                Error::new(ErrorKind::Closed, "the reader of standard output is gone")
            }
            _ => Error::io("standard output", &error),
        };
        raise(lua, error.fatal())
    })
}

/// A library that is not there: its use is an error.
fn absent(lua: &Lua, library: &'static str) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let meta = lua.create_table()?;
    let refuse = move |lua: &Lua, (_, name): (Value, Value)| -> mlua::Result<()> {
        let name = name.to_string().unwrap_or_default();
        Err(raise(lua, not_available(&format!("{library}.{name}"))))
    };
    meta.raw_set("__index", lua.create_function(refuse)?)?;
    meta.raw_set("__metatable", false)?;
    table.set_metatable(Some(meta))?;
    Ok(table)
}

fn absent_function(lua: &Lua, name: &'static str) -> mlua::Result<Function> {
    lua.create_function(move |lua, _: MultiValue| -> mlua::Result<()> {
        Err(raise(lua, not_available(name)))
    })
}

fn not_available(what: &str) -> Error {
    Error::data(format!("{what} is not available to this script"))
}
