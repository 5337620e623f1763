//! What is kept of what scripts have made.

use super::branches::Access;
use super::recipe::Recipe;
use super::unit::Unit;
use crate::window::Explanation;

/// What is kept of what scripts have made. A script that fails leaves them as they were.
#[derive(Clone, Default)]
pub(super) struct Notes {
    /// How the windows keep their answers up to date, in the order of their making.
    pub explanations: Vec<(String, Explanation)>,
    /// What nodes that insert or ask by themselves do with tables.
    pub accesses: Vec<(String, Access)>,
    /// The scripts that were executed.
    pub units: Vec<Unit>,
    /// The recipes of their nodes, by the names of the scripts.
    pub recipes: Vec<(String, Vec<Recipe>)>,
}

impl Notes {
    /// Keeps what a node does with tables.
    pub fn add_access(&mut self, node: &str, access: Access) {
        self.accesses.retain(|(known, _)| known != node);
        self.accesses.push((node.to_owned(), access));
    }

    /// Keeps the explanation of a window.
    pub fn add_explanation(&mut self, name: &str, explanation: Explanation) {
        self.explanations.retain(|(known, _)| known != name);
        self.explanations.push((name.to_owned(), explanation));
    }

    /// Keeps a script that was executed.
    pub fn add_unit(&mut self, unit: Unit) {
        let mut units = self.units.iter_mut();
        match units.find(|known| known.name == unit.name) {
            Some(known) => *known = unit,
            None => self.units.push(unit),
        }
    }

    /// The recipes of a script.
    pub fn recipes(&self, unit: &str) -> Vec<Recipe> {
        let mut recipes = self.recipes.iter();
        let found = recipes.find(|(name, _)| name == unit);
        found
            .map(|(_, recipes)| recipes.clone())
            .unwrap_or_default()
    }

    /// Keeps the recipes of a script that was executed: instead of those that it had where it was loaded again,
    /// beside them where it was executed once more.
    pub fn add_recipes(&mut self, unit: &str, recipes: Vec<Recipe>, reloaded: bool) {
        let mut all = if reloaded {
            Vec::new()
        } else {
            self.recipes(unit)
        };
        all.extend(recipes);
        self.recipes.retain(|(name, _)| name != unit);
        if !all.is_empty() {
            self.recipes.push((unit.to_owned(), all));
        }
    }

    /// Forgets a script that was removed.
    pub fn remove_unit(&mut self, unit: &str) {
        self.units.retain(|known| known.name != unit);
        self.recipes.retain(|(name, _)| name != unit);
    }
}
