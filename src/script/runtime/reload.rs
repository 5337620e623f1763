//! Loads a script again: what it makes otherwise than before is changed in the network, the rest goes on.

use super::{Runtime, Script};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::network::{ChangePlan, Draft, Simulation};
use crate::script::recipe::Recipe;
use std::path::Path;

/// Where a draft comes from, and whether and where it is applied.
enum Target<'a> {
    Network,
    /// What is lost where nodes are replaced is accepted.
    NetworkWithLoss,
    Simulation(&'a mut Simulation),
    /// The plan is made, and nothing else.
    Nothing,
}

/// How a script is loaded again.
///
/// ```
/// use tributary::script::ReloadOptions;
///
/// let options = ReloadOptions::new().accept_loss();
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
pub struct ReloadOptions {
    dry_run: bool,
    accept_loss: bool,
}

impl ReloadOptions {
    /// The plan is made and applied, if nothing is lost by it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The plan is made, and nothing is changed.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    #[cfg(feature = "admin")]
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// A node is replaced also where its successor lacks something, so that what it emits is incomplete for a
    /// while.
    #[must_use]
    pub fn accept_loss(mut self) -> Self {
        self.accept_loss = true;
        self
    }
}

impl Runtime {
    /// Loads a script again, in a fresh VM, and changes the network into what it makes now, as a whole or not at
    /// all. A node stays as it is where the call that makes it has not changed: the function, its
    /// arguments, the functions among them with what they capture and the helpers that they call, and the
    /// secrets that are filled in. Where it has changed, the new node takes the place of the old one, and its
    /// state where it [continues](crate::Node::continues) it. What the script does not make any more is
    /// removed. Nodes and links of other scripts and of the host are not touched. A script that was not
    /// executed before is added.
    ///
    /// ```
    /// use tributary::{Network, Runtime};
    ///
    /// let network = Network::new();
    /// let runtime = Runtime::new(&network)?;
    /// let text = |limit: &str| format!(r#"
    ///     local tb = require("tributary")
    ///     tb.create_ticker("ticker", "1s")
    ///     tb.create_ratelimit("limit", "{limit}")
    ///     tb.create_discarder("nowhere")
    ///     tb.chain("ticker", "limit", "nowhere")
    /// "#);
    /// runtime.run_text("net.lua", text("2s"))?;
    /// let plan = runtime.reload_text("net.lua", text("5s"))?;
    /// assert_eq!(plan.to_string(), "keep 2 nodes\nkeep 2 links\nreplace with state node limit (net.lua:4)\n");
    /// # Ok::<(), tributary::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Runtime::run`]; a node that another script uses and this one does not make any more; a node
    /// that does not open: then the network is as before.
    pub fn reload(&self, path: impl AsRef<Path>) -> Result<ChangePlan> {
        self.again(|fresh| fresh.compile(path), Target::Network)
    }

    /// The same for a script that is at hand; `name` is that under which it was executed.
    ///
    /// # Errors
    /// Those of [`Runtime::reload`].
    pub fn reload_text(&self, name: &str, text: impl Into<String>) -> Result<ChangePlan> {
        self.again(|fresh| fresh.compile_text(name, text), Target::Network)
    }

    /// The same with options.
    ///
    /// # Errors
    /// Those of [`Runtime::reload`].
    pub fn reload_with(
        &self,
        path: impl AsRef<Path>,
        options: &ReloadOptions,
    ) -> Result<ChangePlan> {
        let target = if options.dry_run {
            Target::Nothing
        } else if options.accept_loss {
            Target::NetworkWithLoss
        } else {
            Target::Network
        };
        self.again(|fresh| fresh.compile(path), target)
    }

    /// What [`reload`](Self::reload) would change. Nothing is changed; new nodes are made and not opened.
    ///
    /// # Errors
    /// Those of [`Runtime::reload`], apart from those of opening.
    pub fn plan(&self, path: impl AsRef<Path>) -> Result<ChangePlan> {
        self.reload_with(path, &ReloadOptions::new().dry_run())
    }

    /// Loads a script again into a simulation of the network, without time passing: from this file, in place of
    /// the script `name`.
    ///
    /// # Errors
    /// Those of [`Runtime::reload`] and [`Simulation::change`].
    pub fn reload_in(
        &self,
        simulation: &mut Simulation,
        name: &str,
        path: impl AsRef<Path>,
    ) -> Result<ChangePlan> {
        let target = Target::Simulation(simulation);
        let load = |fresh: &Runtime| {
            let mut script = fresh.compile(path)?;
            name.clone_into(&mut script.name);
            Ok(script)
        };
        self.again(load, target)
    }

    /// Removes everything that a script has made.
    ///
    /// # Errors
    /// A script that was not executed; a node that another script uses.
    pub fn unload(&self, name: &str) -> Result<ChangePlan> {
        let units = self.units();
        if !units.iter().any(|unit| unit.name == name) {
            let names = units.iter().map(|unit| unit.name.as_str());
            let hint = did_you_mean(name, names.clone()).unwrap_or_else(|| {
                let names: Vec<&str> = names.collect();
                format!("the scripts are {}", names.join(", "))
            });
            let error = Error::data(format!("no script {} was loaded", quote(name)));
            return Err(error.with_hint(hint));
        }
        self.as_a_whole(|| {
            let mut draft = self.build.network.draft();
            draft.set_unit(name);
            draft.begin_reload();
            let plan = self.changed(draft, name, &mut Target::Network)?;
            self.build.notes().remove_unit(name);
            Ok(plan)
        })
    }

    /// The files of the user's own helpers, as they are now.
    #[cfg(feature = "cli")]
    pub(crate) fn prelude_files(&self) -> Vec<std::path::PathBuf> {
        let preludes = self.build.shared.preludes.borrow();
        let read = preludes
            .iter()
            .filter_map(|path| std::fs::read_dir(path).ok());
        let paths = read.flatten().flatten().map(|entry| entry.path());
        let files = paths.filter(|path| path.extension().is_some_and(|it| it == "lua"));
        files.chain(preludes.iter().cloned()).collect()
    }

    /// A runtime with a VM of its own, with the helpers as they are now.
    fn fresh(&self) -> Result<Runtime> {
        let build = &self.build;
        let shared = build.shared.clone();
        let fresh = Runtime::sharing(&build.network, &build.database, build.limits, shared)?;
        for (name, run) in &*build.shared.exports.borrow() {
            fresh.add_to_module(name, run.clone())?;
        }
        for directory in &*build.shared.preludes.borrow() {
            fresh.load_prelude(directory)?;
        }
        Ok(fresh)
    }

    fn again(
        &self,
        load: impl FnOnce(&Runtime) -> Result<Script>,
        mut target: Target<'_>,
    ) -> Result<ChangePlan> {
        let fresh = self.fresh()?;
        let script = load(&fresh)?;
        if script.text.trim().is_empty() {
            // A file that is being written is empty for a moment.
            let error = Error::data("the script is empty").at(&script.name);
            return Err(error.with_hint("to remove what it has made, unload it"));
        }
        let declared = self.build.database.mark();
        let notes = self.build.notes().clone();
        let planned = self.as_a_whole(|| fresh.change_into(&script, &mut target));
        if matches!(target, Target::Nothing) {
            self.build.database.reset(declared);
            *self.build.notes() = notes;
        }
        planned
    }

    fn change_into(&self, script: &Script, target: &mut Target<'_>) -> Result<ChangePlan> {
        let former: Vec<Recipe> = self.build.notes().recipes(&script.name);
        let mut draft = match target {
            Target::Simulation(simulation) => simulation.draft(),
            _ => self.build.network.draft(),
        };
        draft.set_unit(&script.name);
        draft.begin_reload();
        let ((), draft, recipes) = self.build_draft(script, draft, former)?;
        let plan = self.changed(draft, &script.name, target);
        let plan = plan.map_err(|error| error.at(&script.name))?;
        self.note_unit(script, recipes, true);
        Ok(plan)
    }

    /// Removes what was not made again, and applies the draft.
    fn changed(&self, mut draft: Draft, unit: &str, target: &mut Target<'_>) -> Result<ChangePlan> {
        draft.end_reload()?;
        let network = &self.build.network;
        match target {
            Target::Network => {
                let plan = network.plan(&mut draft, unit);
                network.apply(draft)?;
                Ok(plan)
            }
            Target::NetworkWithLoss => {
                let plan = network.plan(&mut draft, unit);
                draft.accept_loss();
                network.apply(draft)?;
                Ok(plan)
            }
            Target::Simulation(simulation) => {
                let plan = simulation.plan(&mut draft, unit);
                simulation.apply(draft)?;
                Ok(plan)
            }
            Target::Nothing => Ok(network.plan(&mut draft, unit)),
        }
    }
}
