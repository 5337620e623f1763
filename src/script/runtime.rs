//! The runtime: compiles scripts and executes them against a network.

use super::args::Args;
use super::module::{self, Run, Session};
use super::{failure, limits, source};
use crate::error::{Error, Result, quote};
use crate::network::Network;
use crate::node::{Pipeline, Sink, Source};
use crate::store::Database;
use crate::window::Explanation;
use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, Table};
use serde_json::Value;
use std::path::Path;
use std::rc::Rc;

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
    lua: Lua,
    module: Table,
    session: Rc<Session>,
}

/// A script that was compiled and not executed yet.
pub struct Script {
    name: String,
    function: Function,
}

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
        let session = Rc::new(Session::new(network.clone(), database.clone()));
        let made = limits::vm().and_then(|lua| {
            let module = module::create(&lua, &session)?;
            let given = module.clone();
            let require = lua.create_function(move |lua, name: mlua::Value| match &name {
                mlua::Value::String(name) if *name == "tributary" => Ok(given.clone()),
                other => {
                    let name = other.to_string().unwrap_or_default();
                    let error = format!("no module {}: there is \"tributary\"", quote(name));
                    Err(failure::raise(lua, Error::data(error)))
                }
            })?;
            lua.globals().raw_set("require", require)?;
            Ok((lua, module))
        });
        let (lua, module) = made.map_err(|error| failure::from_lua(&error, "prelude"))?;
        Ok(Runtime {
            lua,
            module,
            session,
        })
    }

    /// Compiles a script file, without running it.
    ///
    /// # Errors
    /// A file that cannot be read, a mistake in its grammar: the message names file, line and
    /// column and shows the line.
    pub fn compile(&self, path: impl AsRef<Path>) -> Result<Script> {
        let path = path.as_ref();
        self.compile_text(&path.display().to_string(), source::read(path)?)
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
            .lua
            .load(&text)
            .set_name(format!("={name}"))
            .set_mode(ChunkMode::Text);
        let function = chunk
            .into_function()
            .map_err(|error| failure::syntax(&self.lua, &error, name, &text))?;
        Ok(Script {
            name: name.to_owned(),
            function,
        })
    }

    /// Executes a compiled script: what it builds is taken into the network, as a whole or not at
    /// all.
    ///
    /// # Errors
    /// Whatever the script raises, with its line; a node that does not open, on a running network.
    pub fn execute(&self, script: &Script) -> Result<()> {
        let declared = self.session.database.mark();
        self.session.begin();
        let ran = limits::within_time(&self.lua, || script.function.call::<()>(()));
        let draft = self.session.end();
        let applied = match (ran, draft) {
            (Err(error), _) => Err(failure::from_lua(&error, &script.name)),
            (Ok(()), Some(draft)) => {
                let applied = self.session.network.apply(draft);
                applied.map_err(|error| error.at(&script.name))
            }
            (Ok(()), None) => Ok(()),
        };
        if applied.is_err() {
            self.session.database.reset(declared);
        }
        applied
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
        &self.session.network
    }

    /// The database in which scripts declare tables.
    pub fn database(&self) -> &Database {
        &self.session.database
    }

    /// How one window keeps its answer up to date.
    ///
    /// # Errors
    /// A node that does not exist, or is no window that a script has made.
    pub fn explain(&self, node: &str) -> Result<Explanation> {
        self.session.explanation(node)
    }

    /// How the windows that scripts have made keep their answers up to date, by node, in the order
    /// of their making.
    pub fn explanations(&self) -> Vec<(String, Explanation)> {
        self.session.explanations()
    }

    /// Adds a function to the module `tributary`, or replaces one. It gets what it was called with
    /// and returns a value.
    ///
    /// ```
    /// use tributary::{Network, Runtime};
    ///
    /// let runtime = Runtime::new(&Network::new())?;
    /// runtime.export("add", |args| Ok((args.integer(1)? + args.integer(2)?).into()))?;
    /// runtime.run_text("sum.lua", r#"assert(require("tributary").add(1, 2) == 3)"#)?;
    /// # Ok::<(), tributary::Error>(())
    /// ```
    ///
    /// # Errors
    /// No memory.
    pub fn export(
        &self,
        name: &str,
        function: impl Fn(&Args) -> Result<Value> + 'static,
    ) -> Result<()> {
        self.add(
            name,
            Rc::new(move |_: &Session, args: &Args| function(args)),
        )
    }

    /// Adds a function `name(node, …)` that makes a source.
    ///
    /// # Errors
    /// No memory.
    pub fn export_source<S: Source + 'static>(
        &self,
        name: &str,
        make: impl Fn(&Args) -> Result<S> + 'static,
    ) -> Result<()> {
        self.add(
            name,
            Rc::new(move |session: &Session, args: &Args| {
                session.draft()?.add_source(&args.string(1)?, make(args)?)?;
                Ok(true.into())
            }),
        )
    }

    /// Adds a function `name(node, …)` that makes a pipeline: an interceptor, an injector, a
    /// window, a filter. The closure gets all arguments; the first one is the node's name.
    ///
    /// ```
    /// use tributary::{Network, Runtime, pipeline};
    ///
    /// let runtime = Runtime::new(&Network::new())?;
    /// runtime.export_pipeline("create_shorter", |args| {
    ///     let limit = args.integer(2)? as usize;
    ///     Ok(pipeline::interceptor(move |e| Ok(e.payload().size() < limit)))
    /// })?;
    /// runtime.run_text("net.lua", r#"require("tributary").create_shorter("short", 100)"#)?;
    /// assert!(runtime.network().node_exists("short"));
    /// # Ok::<(), tributary::Error>(())
    /// ```
    ///
    /// # Errors
    /// No memory.
    pub fn export_pipeline<P: Pipeline + 'static>(
        &self,
        name: &str,
        make: impl Fn(&Args) -> Result<P> + 'static,
    ) -> Result<()> {
        self.add(
            name,
            Rc::new(move |session: &Session, args: &Args| {
                session
                    .draft()?
                    .add_pipeline(&args.string(1)?, make(args)?)?;
                Ok(true.into())
            }),
        )
    }

    /// Adds a function `name(node, …)` that makes a sink.
    ///
    /// # Errors
    /// No memory.
    pub fn export_sink<S: Sink + 'static>(
        &self,
        name: &str,
        make: impl Fn(&Args) -> Result<S> + 'static,
    ) -> Result<()> {
        self.add(
            name,
            Rc::new(move |session: &Session, args: &Args| {
                session.draft()?.add_sink(&args.string(1)?, make(args)?)?;
                Ok(true.into())
            }),
        )
    }

    fn add(&self, name: &str, run: Rc<Run>) -> Result<()> {
        module::add(&self.lua, &self.module, &self.session, name, run)
            .map_err(|error| failure::from_lua(&error, name))
    }
}
