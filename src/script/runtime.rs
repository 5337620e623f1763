//! The runtime: compiles scripts and executes them against a network.

mod export;
mod reload;

pub use reload::ReloadOptions;

use super::branches::BranchJoin;
use super::build_context::{BuildContext, Shared};
use super::function::{Host, Known};
use super::limits::ScriptLimits;
use super::module;
use super::prelude::Helpers;
use super::recipe::Recipe;
use super::require::{self, Modules};
use super::sandbox::Vm;
use super::unit::Unit;
use super::{failure, meant, source};
use crate::error::{Error, Result};
use crate::network::{Draft, Network};
use crate::sink::Recorder;
use crate::store::Database;
use crate::time::{Clock as _, SystemClock};
use crate::window::Explanation;
use mlua::chunk::ChunkMode;
use mlua::{FromLuaMulti, Function, Lua, Table};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// Runs Lua scripts that build a network.
///
/// A script takes effect as a whole or not at all: when it fails half-way, the network and the
/// declared tables are as they were. On a running network its nodes start when it has ended.
///
/// ```
/// use tributary::{Network, Runtime};
///
/// let network = Network::new();
/// let runtime = Runtime::new(&network)?;
/// runtime.run_text(
///     "net.lua",
///     r#"
///     local tb = require("tributary")
///     tb.create_ticker("ticker", "500ms")
///     tb.create_discarder("nowhere")
///     tb.link("ticker", "nowhere")
///     "#,
/// )?;
/// assert!(network.is_connected("ticker", "nowhere"));
/// # Ok::<(), tributary::Error>(())
/// ```
pub struct Runtime {
    vm: Vm,
    module: Table,
    build: Rc<BuildContext>,
    modules: Rc<Modules>,
}

opaque_debug!(Runtime);

/// A script that was compiled and not executed yet.
pub struct Script {
    name: String,
    text: String,
    /// Its file, if it is one; `require` looks in its directory.
    path: Option<PathBuf>,
    function: Function,
}

opaque_debug!(Script, name);

impl Runtime {
    /// A runtime over this network, whose tables are in memory.
    ///
    /// # Errors
    /// No memory for a VM.
    pub fn new(network: &Network) -> Result<Self> {
        Self::with_database(network, &Database::open("sqlite::memory:")?)
    }

    /// A runtime over this network and this database.
    ///
    /// # Errors
    /// No memory for a VM.
    pub fn with_database(network: &Network, database: &Database) -> Result<Self> {
        Self::with_limits(network, database, ScriptLimits::default())
    }

    /// A runtime whose scripts, and the nodes that they write in Lua, have these limits.
    ///
    /// # Errors
    /// Limits in which nothing fits.
    pub fn with_limits(
        network: &Network,
        database: &Database,
        limits: ScriptLimits,
    ) -> Result<Self> {
        Self::sharing(network, database, limits, Rc::default())
    }

    /// A runtime with a VM of its own, and the rest in common with others.
    fn sharing(
        network: &Network,
        database: &Database,
        limits: ScriptLimits,
        shared: Rc<Shared>,
    ) -> Result<Self> {
        let limits = limits.check()?;
        let build = BuildContext::new(network.clone(), database.clone(), limits, shared);
        let build = Rc::new(build);
        let modules = Rc::new(Modules::default());
        let made = Vm::new(limits).and_then(|vm| {
            let module = module::create(&vm.lua, &build)?;
            let require = require::create(&vm.lua, &module, &modules)?;
            vm.lua.globals().raw_set("require", require)?;
            let host = Host {
                lua: vm.lua.weak(),
                upvalues: vm.upvalues.clone(),
                known: Known::new(&vm.lua, &module)?,
            };
            Ok((vm, module, host))
        });
        let (vm, module, host) = made.map_err(|error| failure::from_lua(&error, &[]))?;
        // It is set once, here.
        let _ = build.host.set(host);
        Ok(Runtime {
            vm,
            module,
            build,
            modules,
        })
    }

    /// Compiles a script file, without running it.
    ///
    /// # Errors
    /// A file that cannot be read, a mistake in its grammar: the message names file, line and
    /// column and shows the line.
    pub fn compile(&self, path: impl AsRef<Path>) -> Result<Script> {
        let path = path.as_ref();
        let mut script = self.compile_text(&path.display().to_string(), source::read(path)?)?;
        script.path = Some(path.to_owned());
        Ok(script)
    }

    /// Compiles a script that is at hand; `name` stands for it in messages.
    ///
    /// # Errors
    /// A mistake in its grammar.
    pub fn compile_text(&self, name: &str, text: impl Into<String>) -> Result<Script> {
        let text = source::text(text.into().into_bytes()).map_err(|error| error.at(name))?;
        if text.trim().is_empty() {
            log::warn!("{name}: the script is empty");
        }
        let chunk = self
            .vm
            .lua
            .load(&text)
            .set_name(format!("={name}"))
            .set_mode(ChunkMode::Text);
        let function = chunk
            .into_function()
            .map_err(|error| failure::syntax(&self.vm.lua, &error, name, &text))?;
        Ok(Script {
            name: name.to_owned(),
            text,
            path: None,
            function,
        })
    }

    /// Executes a compiled script: what it builds is taken into the network, as a whole or not at
    /// all.
    ///
    /// # Errors
    /// Whatever the script raises, with its line; a node that does not open, on a running network.
    pub fn execute(&self, script: &Script) -> Result<()> {
        self.execute_for(script)
    }

    /// Executes a compiled script, and gives its values.
    pub(super) fn execute_for<R: FromLuaMulti>(&self, script: &Script) -> Result<R> {
        self.as_a_whole(|| {
            let draft = self.build.network.draft();
            let (values, draft, recipes) = self.build_draft(script, draft, Vec::new())?;
            let applied = self.build.network.apply(draft);
            applied.map_err(|error| error.at(&script.name))?;
            self.note_unit(script, recipes, false);
            Ok(values)
        })
    }

    /// Leaves the declared tables and what is kept of scripts as they were where this fails.
    fn as_a_whole<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let declared = self.build.database.mark();
        let notes = self.build.notes().clone();
        let done = work();
        if done.is_err() {
            self.build.database.reset(declared);
            *self.build.notes() = notes;
        }
        done
    }

    /// Runs a script, which changes this draft; where it is loaded again, `former` are the recipes that it had.
    fn build_draft<R: FromLuaMulti>(
        &self,
        script: &Script,
        mut draft: Draft,
        former: Vec<Recipe>,
    ) -> Result<(R, Draft, Vec<Recipe>)> {
        draft.set_unit(&script.name);
        self.build.begin(draft, former);
        let directory = script.path.as_deref().and_then(Path::parent);
        self.modules
            .begin(&script.name, directory.map(Path::to_owned));
        let (budget, limit) = (&self.vm.budget, self.vm.limits.load_time);
        budget.set_origin(Some(script.name.clone()));
        let ran = budget.within("load", limit, || script.function.call::<R>(()));
        let built = self.build.end();
        match (ran, built) {
            (Err(error), _) => {
                let error = self.vm.failure(&error, &self.modules.chunks());
                Err(meant::explained(error, &script.name, &script.text))
            }
            (Ok(values), Some((draft, recipes))) => Ok((values, draft, recipes)),
            (Ok(_), None) => Err(Error::data("the script has no draft").at(&script.name)),
        }
    }

    /// Keeps a script that was executed.
    fn note_unit(&self, script: &Script, recipes: Vec<Recipe>, reloaded: bool) {
        let required = self.modules.files();
        let mut digest = xxh3_64(script.text.as_bytes());
        for (_, other) in &required {
            digest = digest.rotate_left(1) ^ other;
        }
        let own = script.path.iter().cloned();
        let mut notes = self.build.notes();
        notes.add_recipes(&script.name, recipes, reloaded);
        notes.add_unit(Unit {
            name: script.name.clone(),
            version: format!("{digest:016x}"),
            files: own
                .chain(required.into_iter().map(|(path, _)| path))
                .collect(),
            loaded: SystemClock.now(),
            text: script.text.as_str().into(),
        });
    }

    /// The scripts that were executed, in this order; of one that was executed again the last version.
    pub fn units(&self) -> Vec<Unit> {
        self.build.notes().units.clone()
    }

    /// How long a call of a function may take.
    pub(super) fn call_time(&self) -> Duration {
        self.vm.limits.call_time
    }

    /// Compiles and executes a script file.
    ///
    /// # Errors
    /// Those of [`Runtime::compile`] and [`Runtime::execute`].
    pub fn run(&self, path: impl AsRef<Path>) -> Result<()> {
        self.execute(&self.compile(path)?)
    }

    /// Compiles and executes a script that is at hand.
    ///
    /// # Errors
    /// Those of [`Runtime::compile_text`] and [`Runtime::execute`].
    pub fn run_text(&self, name: &str, text: impl Into<String>) -> Result<()> {
        self.execute(&self.compile_text(name, text)?)
    }

    /// The network that scripts build.
    pub fn network(&self) -> &Network {
        &self.build.network
    }

    /// The database in which scripts declare tables.
    pub fn database(&self) -> &Database {
        &self.build.database
    }

    /// Has the sinks of scripts that leave the process recorded in place of run: files, sockets,
    /// programs, brokers, services, files of dead letters. The sources of connectors send nothing, file
    /// sources read without their checkpoint, and a queue keeps no file. What is written to the database
    /// of this runtime, and to standard output, is written. It goes for scripts that are executed later.
    ///
    /// ```
    /// use tributary::{Network, Runtime, sink::Recorder};
    ///
    /// let (network, recorder) = (Network::new(), Recorder::new());
    /// let runtime = Runtime::new(&network)?;
    /// runtime.record_sinks(&recorder);
    /// runtime.run_text("net.lua", r#"
    ///     local tb = require("tributary")
    ///     tb.create_generator("three", function(emit, n) emit({ n = n }) return n < 3 end)
    ///     tb.create_sink("post", "tcp://127.0.0.1:1")
    ///     tb.link("three", "post")
    /// "#)?;
    /// network.start()?;
    /// network.wait()?;
    /// assert_eq!(recorder.recorded(), [("post".into(), "tcp://127.0.0.1:1".into(), 3)]);
    /// # Ok::<(), tributary::Error>(())
    /// ```
    pub fn record_sinks(&self, recorder: &Recorder) {
        // The first one stays.
        let _ = self.build.shared.recorder.set(recorder.clone());
    }

    /// How one window keeps its answer up to date.
    ///
    /// # Errors
    /// A node that does not exist, or is no window that a script has made.
    pub fn explain(&self, node: &str) -> Result<Explanation> {
        self.build.explanation(node)
    }

    /// How the windows that scripts have made keep their answers up to date, by node, in the order
    /// of their making.
    pub fn explanations(&self) -> Vec<(String, Explanation)> {
        self.build.explanations()
    }

    /// The queries that join what several branches insert, of which a live run makes pairs twice or
    /// not at all.
    pub(crate) fn branch_joins(&self) -> Vec<BranchJoin> {
        self.build.branch_joins()
    }

    /// Makes the module a global of this name.
    pub(super) fn give_module(&self, name: &str) -> Result<()> {
        let given = self.vm.lua.globals().raw_set(name, &self.module);
        given.map_err(|error| self.vm.failure(&error, &[]))
    }

    /// Calls into the VM outside a script, within this time.
    pub(super) fn call<T>(
        &self,
        what: &'static str,
        limit: Duration,
        call: impl FnOnce(&Lua) -> mlua::Result<T>,
    ) -> Result<T> {
        self.vm
            .budget
            .set_origin(self.modules.chunks().into_iter().next());
        let called = self.vm.budget.within(what, limit, || call(&self.vm.lua));
        called.map_err(|error| self.vm.failure(&error, &self.modules.chunks()))
    }

    /// Adds helpers of one's own: each `*.lua` of the directory is a chunk that gets the module and
    /// adds functions to it. They are there in the functions of nodes too.
    ///
    /// ```lua
    /// local tb = ...
    ///
    /// --- drops what is smaller than this
    /// function tb.create_at_least(name, field, least)
    ///     return tb.create_filter_fn(name, function(e) return e.data[field] >= least end)
    /// end
    /// ```
    ///
    /// # Errors
    /// A directory that cannot be read, whatever the files raise, a function that is there already.
    pub fn add_prelude(&self, directory: impl AsRef<Path>) -> Result<()> {
        self.load_prelude(directory.as_ref())?;
        let mut preludes = self.build.shared.preludes.borrow_mut();
        preludes.push(directory.as_ref().to_owned());
        Ok(())
    }

    fn load_prelude(&self, directory: &Path) -> Result<()> {
        let helpers = Helpers::read(directory)?;
        let added = self.call("load", self.vm.limits.load_time, |lua| {
            module::add_helpers(lua, &self.module, &self.build, helpers)
        });
        added.map_err(|error| error.at(directory.display().to_string()))
    }
}
