//! What the functions of the module work on, and what all VMs of one runtime have in common: a script that is
//! loaded again gets a new VM.

use super::args::Args;
use super::branches::{BranchJoin, branch_joins};
use super::function::Host;
use super::limits::ScriptLimits;
use super::notes::Notes;
use super::prelude::Helpers;
use super::recipe::{self, Recipe};
use crate::error::{Error, Result, did_you_mean, quote};
use crate::network::{Draft, Made, Network};
use crate::node::Sink;
use crate::sink::Recorder;
use crate::store::Database;
use crate::window::Explanation;
use serde_json::Value;
use std::cell::{OnceCell, RefCell, RefMut};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// What a native function does.
pub(super) type Run = dyn Fn(&BuildContext, &Args) -> Result<Value>;

/// What the VMs of one runtime have in common.
#[derive(Default)]
pub(super) struct Shared {
    /// What stands in for sinks that leave the process, where they are not to be run.
    pub recorder: OnceCell<Recorder>,
    /// The functions of the host, by name, in the order in which they were added.
    pub exports: RefCell<Vec<(String, Rc<Run>)>>,
    /// The directories of the user's own helpers.
    pub preludes: RefCell<Vec<PathBuf>>,
    pub notes: RefCell<Notes>,
}

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
    pub fn make(&self, args: &Args, run: impl FnOnce() -> Result<Value>) -> Result<Value> {
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
