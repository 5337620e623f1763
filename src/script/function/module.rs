//! The module as a node's function sees it: it speaks, and builds nothing.

use super::vm::Shared;
use crate::error::Error;
use crate::script::budget::Budget;
use crate::script::module::{guard, native, runtime};
use crate::script::{prelude, value};
use mlua::{Lua, Table};
use std::rc::Rc;

/// The module, with a name for everything that it has where scripts are loaded.
pub(super) fn create(lua: &Lua, names: &[String], shared: &Rc<Shared>) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    let own: Vec<String> = shared
        .spec
        .helpers
        .iter()
        .flat_map(|helpers| helpers.functions())
        .map(|function| function.name)
        .collect();
    for name in names.iter().filter(|name| !own.contains(name)) {
        let refused = native(lua, name, |_, _| {
            Err(Error::data(
                "only stats, now and log can be called while events flow",
            ))
        })?;
        module.raw_set(name.as_str(), refused)?;
    }
    let at = shared.clone();
    let now = native(lua, "now", move |_, args| {
        args.at_most(0)?;
        Ok(at.now.get().as_secs_f64().into())
    })?;
    let spoken = shared.clone();
    let log = native(lua, "log", move |lua, args| {
        let log = || runtime::log(args, Some(&spoken.spec.node));
        match Budget::of(lua) {
            Some(budget) => budget.aside(log),
            None => log(),
        }
    })?;
    let seen = shared.clone();
    let stats = native(lua, "stats", move |_, args| {
        match seen.spec.network.stats() {
            Some(stats) => runtime::stats(args, &stats),
            None => Err(Error::data("the network is being changed")
                .with_hint("ask again at the next event")),
        }
    })?;
    module.raw_set("now", now)?;
    module.raw_set("log", log)?;
    module.raw_set("stats", stats)?;
    module.raw_set("null", value::null())?;
    prelude::load(lua, &module)?;
    for helpers in &shared.spec.helpers {
        helpers.load(lua, &module)?;
    }
    guard(lua, &module)?;
    Ok(module)
}
