//! The runtime: compiles scripts and executes them against a network.

mod export;

use super::branches::BranchJoin;
use super::function::{Host, Known};
use super::limits::ScriptLimits;
use super::module::{self, BuildContext};
use super::prelude::Helpers;
use super::require::{self, Modules};
use super::sandbox::Vm;
use super::unit::Unit;
use super::{failure, meant, source};
use crate::error::Result;
use crate::network::Network;
use crate::sink::Recorder;
use crate::store::Database;
use crate::window::Explanation;
use mlua::chunk::ChunkMode;
use mlua::{FromLuaMulti, Function, Lua, Table};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

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
    /// Where `require` looks.
    directory: Option<PathBuf>,
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
        let build = BuildContext::new(network.clone(), database.clone(), limits.check()?);
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
        script.directory = path.parent().map(Path::to_owned);
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
            directory: None,
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
        let declared = self.build.database.mark();
        self.build.begin();
        self.modules.begin(&script.name, script.directory.clone());
        let (budget, limit) = (&self.vm.budget, self.vm.limits.load_time);
        budget.set_origin(Some(script.name.clone()));
        let ran = budget.within("load", limit, || script.function.call::<R>(()));
        let draft = self.build.end();
        let applied = match (ran, draft) {
            (Err(error), _) => {
                let error = self.vm.failure(&error, &self.modules.chunks());
                Err(meant::explained(error, &script.name, &script.text))
            }
            (Ok(values), Some(draft)) => {
                let applied = self.build.network.apply(draft);
                applied
                    .map(|()| values)
                    .map_err(|error| error.at(&script.name))
            }
            (Ok(values), None) => Ok(values),
        };
        if applied.is_err() {
            self.build.database.reset(declared);
        } else {
            self.build.note_unit(&script.name, &script.text);
        }
        applied
    }

    /// The scripts that were executed, in this order; of one that was executed again the last version.
    pub fn units(&self) -> Vec<Unit> {
        self.build.units.borrow().clone()
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
        let _ = self.build.recorder.set(recorder.clone());
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
        let helpers = Helpers::read(directory.as_ref())?;
        let added = self.call("load", self.vm.limits.load_time, |lua| {
            module::add_helpers(lua, &self.module, &self.build, helpers)
        });
        added.map_err(|error| error.at(directory.as_ref().display().to_string()))
    }
}
