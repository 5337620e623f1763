//! What a script may use: memory, time, and the libraries that touch nothing outside.

use super::failure::{chunk, raise};
use crate::error::Error;
use crate::time::{format_duration, monotonic};
use mlua::{HookTriggers, Lua, LuaOptions, StdLib, VmState};
use std::time::Duration;

/// How long a script may take to load.
pub(super) const LOAD_LIMIT: Duration = Duration::from_secs(5);
/// How much memory a script may use, in bytes (256 MiB).
pub(super) const MEMORY_LIMIT: usize = 256 << 20;
/// The time is looked at after so many instructions.
const INSTRUCTIONS: u32 = 10_000;

/// A fresh VM with the libraries that touch nothing outside it.
pub(super) fn vm() -> mlua::Result<Lua> {
    let libraries =
        StdLib::COROUTINE | StdLib::TABLE | StdLib::STRING | StdLib::UTF8 | StdLib::MATH;
    let lua = Lua::new_with(libraries, LuaOptions::default())?;
    lua.set_memory_limit(MEMORY_LIMIT)?;
    // They read files; `load` takes text alone.
    for name in ["dofile", "loadfile"] {
        lua.globals().raw_set(name, mlua::Nil)?;
    }
    lua.load(
        "local load = load\n\
         return function(chunk, name, _, ...) return load(chunk, name, 't', ...) end",
    )
    .set_name("=load")
    .eval::<mlua::Function>()
    .and_then(|load| lua.globals().raw_set("load", load))?;
    for name in ["io", "os", "debug", "package"] {
        lua.globals().raw_set(name, absent(&lua, name)?)?;
    }
    Ok(lua)
}

/// A library that is not there, and says so when it is used.
fn absent(lua: &Lua, library: &'static str) -> mlua::Result<mlua::Table> {
    let table = lua.create_table()?;
    let meta = lua.create_table()?;
    let refuse = move |lua: &Lua, (_, name): (mlua::Value, mlua::Value)| -> mlua::Result<()> {
        let name = name.to_string().unwrap_or_default();
        let error = format!("{library}.{name} is not available to this script");
        Err(raise(lua, Error::data(error)))
    };
    meta.raw_set("__index", lua.create_function(refuse)?)?;
    table.set_metatable(Some(meta))?;
    Ok(table)
}

/// Runs `call` within [`LOAD_LIMIT`].
pub(super) fn within_time<T>(lua: &Lua, call: impl FnOnce() -> mlua::Result<T>) -> mlua::Result<T> {
    let until = monotonic() + LOAD_LIMIT;
    let every = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
    lua.set_global_hook(every, move |_, debug| {
        if monotonic() < until {
            return Ok(VmState::Continue);
        }
        let mut error = Error::data(format!(
            "load time budget {} exceeded",
            format_duration(LOAD_LIMIT)
        ));
        if let Some(line) = debug.current_line() {
            error = error.at(format!("{}:{line}", chunk(&debug.source())));
        }
        Err(mlua::Error::external(error))
    })?;
    let result = call();
    lua.remove_global_hook();
    result
}
