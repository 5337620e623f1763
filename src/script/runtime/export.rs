//! Functions of the host in the module `tributary`.

use super::Runtime;
use crate::error::Result;
use crate::network::Draft;
use crate::node::{Pipeline, Sink, Source};
use crate::script::args::Args;
use crate::script::build_context::{BuildContext, Run};
use crate::script::failure;
use crate::script::module::{self, Waits};
use serde_json::Value;
use std::rc::Rc;

impl Runtime {
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
            Rc::new(move |_: &BuildContext, args: &Args| function(args)),
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
        self.export_node(name, make, |draft, node, made| {
            draft.add_source(node, made).map(|_| ())
        })
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
        self.export_node(name, make, |draft, node, made| {
            draft.add_pipeline(node, made).map(|_| ())
        })
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
        self.export_node(name, make, |draft, node, made| {
            draft.add_sink(node, made).map(|_| ())
        })
    }

    /// Adds a function `name(node, …)` that makes a node and adds it to the draft of the script.
    fn export_node<N: 'static>(
        &self,
        name: &str,
        make: impl Fn(&Args) -> Result<N> + 'static,
        add: impl Fn(&mut Draft, &str, N) -> Result<()> + 'static,
    ) -> Result<()> {
        let run = move |build: &BuildContext, args: &Args| {
            let (node, made) = (args.string(1)?, make(args)?);
            add(&mut *build.draft()?, &node, made)?;
            Ok(true.into())
        };
        self.add(name, Rc::new(run))
    }

    pub(in crate::script) fn add(&self, name: &str, run: Rc<Run>) -> Result<()> {
        let mut exports = self.build.shared.exports.borrow_mut();
        exports.push((name.to_owned(), run.clone()));
        drop(exports);
        self.add_to_module(name, run)
    }

    pub(super) fn add_to_module(&self, name: &str, run: Rc<Run>) -> Result<()> {
        module::add(
            &self.vm.lua,
            &self.module,
            &self.build,
            name,
            run,
            Waits::No,
        )
        .map_err(|error| failure::from_lua(&error, &[name.to_owned()]))
    }
}
