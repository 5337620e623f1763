//! The table `tributary` that scripts get from `require("tributary")`.
//!
//! Each file here holds the functions of one subject. A function is an `Export`: its name, its
//! arguments and one line about it, which `tributary functions` prints, and what it does.

mod connect;
mod durable;
mod functions;
mod graph;
mod letters;
mod lines;
mod nodes;
pub(super) mod runtime;
mod sql;
mod timing;

use super::args::Args;
use super::budget::Budget;
use super::build_context::{BuildContext, Run};
use super::failure::{self, raise};
use super::prelude::{self, Helpers};
use super::signature::Signature;
use super::value::{describe, null, to_lua};
use crate::error::{Error, Result, did_you_mean, quote};
use mlua::{Function, Lua, MultiValue, Table};
use serde_json::Value;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// A native function.
struct Export {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&BuildContext, &Args) -> Result<Value>,
}

fn natives() -> impl Iterator<Item = &'static Export> {
    let subjects = [
        runtime::EXPORTS,
        connect::EXPORTS,
        functions::EXPORTS,
        graph::EXPORTS,
        durable::EXPORTS,
        letters::EXPORTS,
        lines::EXPORTS,
        nodes::EXPORTS,
        sql::EXPORTS,
        timing::EXPORTS,
    ];
    subjects.into_iter().flatten()
}

/// Every function of the module, native ones and helpers, by name.
pub(crate) fn functions() -> Vec<Signature> {
    let native = natives().map(|export| Signature {
        name: export.name.to_owned(),
        arguments: export.arguments.to_owned(),
        about: export.about.to_owned(),
    });
    let mut all: Vec<Signature> = native.chain(prelude::functions()).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Every helper in the files of this directory, by name.
///
/// # Errors
/// A directory or a file that cannot be read.
pub(crate) fn functions_in(directory: impl AsRef<Path>) -> Result<Vec<Signature>> {
    let mut all = Helpers::read(directory.as_ref())?.functions();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Makes the module: native functions, helpers, and an error for everything else.
pub(super) fn create(lua: &Lua, build: &Rc<BuildContext>) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    for export in natives() {
        let run = Rc::new(export.run);
        add(lua, &module, build, export.name, run, Waits::Yes)?;
    }
    prelude::load(lua, &module)?;
    for helper in prelude::functions() {
        make_whole(lua, &module, build, &helper.name)?;
    }
    module.raw_set("null", null())?;
    guard(lua, &module)?;
    Ok(module)
}

/// Makes a helper take effect as a whole or not at all.
fn make_whole(lua: &Lua, module: &Table, build: &Rc<BuildContext>, name: &str) -> mlua::Result<()> {
    let inner: Function = module.raw_get(name)?;
    let build = build.clone();
    let whole = lua.create_function(move |lua, values: MultiValue| {
        Budget::charge_arguments(lua, &values);
        build.whole(|| inner.call::<MultiValue>(values))
    })?;
    module.raw_set(name, whole)
}

/// Adds the user's own helpers.
pub(super) fn add_helpers(
    lua: &Lua,
    module: &Table,
    build: &Rc<BuildContext>,
    helpers: Helpers,
) -> mlua::Result<()> {
    let there: Vec<String> = module
        .pairs::<String, mlua::Value>()
        .flatten()
        .map(|p| p.0)
        .collect();
    helpers.load(lua, module)?;
    let added: Vec<(String, mlua::Value)> = module.pairs().flatten().collect();
    for (name, value) in added {
        if value.is_function() && !there.contains(&name) {
            make_whole(lua, module, build, &name)?;
        }
    }
    build.helpers.borrow_mut().push(Arc::new(helpers));
    Ok(())
}

/// Makes what is not in the module an error, which suggests what may have been meant.
pub(super) fn guard(lua: &Lua, module: &Table) -> mlua::Result<()> {
    let meta = lua.create_table()?;
    let unknown = |lua: &Lua, (module, name): (Table, mlua::Value)| -> mlua::Result<()> {
        let mlua::Value::String(name) = &name else {
            let error = format!("tributary has no {}", describe(&name));
            return Err(raise(lua, Error::data(error)));
        };
        let name = name.to_string_lossy();
        let there: Vec<String> = module
            .pairs::<String, mlua::Value>()
            .flatten()
            .map(|p| p.0)
            .collect();
        let error = Error::data(format!("tributary has no function {}", quote(&name)));
        let hint = did_you_mean(&name, there.iter().map(String::as_str));
        Err(raise(lua, error.with_hint_opt(hint)))
    };
    meta.raw_set("__index", lua.create_function(unknown)?)?;
    meta.raw_set("__metatable", false)?;
    module.set_metatable(Some(meta))
}

/// A function of a module, with what it was called with.
pub(super) fn native(
    lua: &Lua,
    name: &str,
    run: impl Fn(&Lua, &Args) -> Result<Value> + 'static,
) -> mlua::Result<Function> {
    let called = name.to_owned();
    lua.create_function(move |lua, values: MultiValue| {
        let values = values.into_vec();
        Budget::charge_arguments(lua, &values);
        let args = Args::new(&called, values);
        let value = run(lua, &args).map_err(|error| raise(lua, error))?;
        to_lua(lua, &value).map_err(|error| match error.downcast_ref::<Error>() {
            Some(ours) => raise(lua, ours.clone()),
            None => error,
        })
    })
}

/// Whether a function may wait for others, such as databases, for whom it has limits of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    Yes,
    No,
}

/// Adds a function to the module.
pub(super) fn add(
    lua: &Lua,
    module: &Table,
    build: &Rc<BuildContext>,
    name: &str,
    run: Rc<Run>,
    waits: Waits,
) -> mlua::Result<()> {
    let build = build.clone();
    let function = native(lua, name, move |lua, args| {
        let place = failure::place(lua);
        let budget = Budget::of(lua);
        if let Some(budget) = &budget {
            budget.set_place(place.clone());
        }
        if let Ok(mut draft) = build.draft() {
            draft.set_place(place);
        }
        let call = || build.whole(|| build.make(args, || run(&build, args)));
        match budget {
            Some(budget) if waits == Waits::Yes => budget.aside(call),
            _ => call(),
        }
    })?;
    module.raw_set(name, function)
}
