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
use super::branches::{BranchJoin, branch_joins};
use super::budget::Budget;
use super::failure::{self, raise};
use super::function::Host;
use super::limits::ScriptLimits;
use super::prelude::{self, Helpers};
use super::recipe::{self, Recipe};
use super::shared::{Notes, Shared};
use super::signature::Signature;
use super::value::{describe, null, to_lua};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::network::{Draft, Made, Network};
use crate::node::Sink;
use crate::sink::Recorder;
use crate::store::Database;
use crate::window::Explanation;
use mlua::{Function, Lua, MultiValue, Table};
use serde_json::Value;
use std::cell::{OnceCell, RefCell, RefMut};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// What the functions work on: the network, the database, and the draft of the script that runs.
pub(super) struct BuildContext {
    pub network: Network,
    pub database: Database,
    pub limits: ScriptLimits,
    /// What functions need to leave the VM; set when that is complete.
    pub host: OnceCell<Host>,
    /// The user's own helpers, for nodes to have them too.
    pub helpers: RefCell<Vec<Arc<Helpers>>>,
    /// What the VMs of this runtime have in common.
    pub shared: Rc<Shared>,
    draft: RefCell<Option<Draft>>,
    /// The recipes of what the script that runs has made so far.
    recipes: RefCell<Vec<Recipe>>,
    /// Those of what it had made before, where it is loaded again.
    former: RefCell<Vec<Recipe>>,
}

impl BuildContext {
    pub fn new(
        network: Network,
        database: Database,
        limits: ScriptLimits,
        shared: Rc<Shared>,
    ) -> Self {
        BuildContext {
            network,
            database,
            limits,
            host: OnceCell::new(),
            helpers: RefCell::default(),
            shared,
            draft: RefCell::new(None),
            recipes: RefCell::default(),
            former: RefCell::default(),
        }
    }

    /// What is kept of what scripts have made.
    pub fn notes(&self) -> RefMut<'_, Notes> {
        self.shared.notes.borrow_mut()
    }

    /// What stands in for sinks that leave the process, where they are not to be run.
    pub fn recorder(&self) -> Option<&Recorder> {
        self.shared.recorder.get()
    }

    /// The queries that join what several branches insert.
    pub fn branch_joins(&self) -> Vec<BranchJoin> {
        let mut accesses = self.notes().accesses.clone();
        // A script that failed has left none of its nodes.
        accesses.retain(|(name, _)| self.network.node_exists(name));
        let mut joins = branch_joins(&accesses, &self.network.edges());
        let nodes = self.network.nodes();
        for join in &mut joins {
            let node = nodes.iter().find(|node| node.name.to_string() == join.node);
            join.place = node.and_then(|node| node.place.clone());
        }
        joins
    }

    /// Adds a sink that leaves the process: what stands in for it, where sinks are recorded.
    pub fn add_sink(&self, name: &str, target: &str, sink: impl Sink + 'static) -> Result<()> {
        let mut draft = self.draft()?;
        match self.recorder() {
            Some(recorder) => draft.add_sink(name, recorder.sink(name, target)).map(drop),
            None => draft.add_sink(name, sink).map(drop),
        }
    }

    /// How the windows keep their answers up to date.
    pub fn explanations(&self) -> Vec<(String, Explanation)> {
        let mut explanations = self.notes().explanations.clone();
        // A script that failed has left none of its nodes.
        explanations.retain(|(name, _)| match self.draft() {
            Ok(draft) => draft.node_exists(name),
            Err(_) => self.network.node_exists(name),
        });
        explanations
    }

    /// How this window does.
    ///
    /// # Errors
    /// A node that does not exist, or is no window that a script has made.
    pub fn explanation(&self, name: &str) -> Result<Explanation> {
        let explanations = self.explanations();
        if let Some((_, found)) = explanations.iter().find(|(known, _)| known == name) {
            return Ok(found.clone());
        }
        let names = explanations.iter().map(|(name, _)| name.as_str());
        let hint = did_you_mean(name, names.clone()).unwrap_or_else(|| match explanations.len() {
            0 => "no script has made a window".to_owned(),
            _ => format!("the windows are {}", names.collect::<Vec<_>>().join(", ")),
        });
        Err(Error::data(format!("no window {}", quote(name))).with_hint(hint))
    }

    /// What functions need to leave the VM.
    pub fn host(&self) -> Result<&Host> {
        let missing = || Error::data("functions cannot move before the runtime is complete");
        self.host.get().ok_or_else(missing)
    }

    /// A script begins, which changes this draft; `former` are the recipes of what it had made before, where
    /// it is loaded again.
    pub fn begin(&self, draft: Draft, former: Vec<Recipe>) {
        *self.draft.borrow_mut() = Some(draft);
        *self.former.borrow_mut() = former;
        self.recipes.borrow_mut().clear();
    }

    /// The script has ended: what it has made.
    pub fn end(&self) -> Option<(Draft, Vec<Recipe>)> {
        self.former.borrow_mut().clear();
        let draft = self.draft.borrow_mut().take()?;
        let mut recipes = self.recipes.take();
        // Those of calls that were undone.
        recipes.retain(|recipe| draft.has(&recipe.made));
        Some((draft, recipes))
    }

    fn note(&self, recipe: Recipe) {
        let mut recipes = self.recipes.borrow_mut();
        recipes.retain(|known| !known.made.iter().any(|made| recipe.made.contains(made)));
        recipes.push(recipe);
    }

    /// Calls a function that may make nodes. One that had made the same when the script was loaded before is
    /// not called again: what it had made stays.
    fn make(&self, args: &Args, run: impl FnOnce() -> Result<Value>) -> Result<Value> {
        let Some(begun) = self.draft.borrow().as_ref().map(Draft::savepoint) else {
            return run();
        };
        let former = self.former.borrow();
        let mut digest = None;
        if former.iter().any(|made| made.function == args.called()) {
            digest = self.digest(args);
        }
        let same =
            |recipe: &&Recipe| Some(recipe.digest) == digest && recipe.function == args.called();
        if let Some(recipe) = former.iter().find(same) {
            let mut draft = self.draft()?;
            if draft.had_made(&recipe.made) {
                draft.keep(&recipe.made);
                self.note(recipe.clone());
                return Ok(recipe.value.clone());
            }
        }
        drop(former);
        let value = run()?;
        let draft = self.draft()?;
        let made = draft.made_since(begun);
        if made.iter().any(|made| matches!(made, Made::Node(_)))
            && let Some(digest) = digest.or_else(|| self.digest(args))
        {
            self.note(Recipe {
                function: args.called().to_owned(),
                digest,
                made: made.to_vec(),
                value: value.clone(),
            });
        }
        Ok(value)
    }

    fn digest(&self, args: &Args) -> Option<u128> {
        let helpers = self.helpers.borrow();
        let helpers: Vec<u8> = helpers
            .iter()
            .flat_map(|h| h.digest().to_le_bytes())
            .collect();
        recipe::digest(
            self.host.get()?,
            args,
            xxh3_128(&helpers),
            self.limits.memory,
        )
    }

    /// Makes a call that takes effect as a whole or not at all, also in a script that goes on
    /// after its error.
    pub fn whole<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let declared = self.database.mark();
        let begun = self.draft.borrow().as_ref().map(Draft::savepoint);
        let done = call();
        if done.is_err() {
            self.database.reset(declared);
            if let (Some(draft), Some(savepoint)) = (&mut *self.draft.borrow_mut(), begun) {
                draft.roll_back(savepoint);
            }
        }
        done
    }

    /// The draft of the script that runs.
    pub fn draft(&self) -> Result<RefMut<'_, Draft>> {
        RefMut::filter_map(self.draft.borrow_mut(), Option::as_mut)
            .map_err(|_| Error::data("the network can only be changed while a script is executed"))
    }
}

/// What a native function does.
pub(super) type Run = dyn Fn(&BuildContext, &Args) -> Result<Value>;

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
        if let Some(draft) = &mut *build.draft.borrow_mut() {
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
