//! What a change comes to: which nodes and links of a script stay, and which are replaced, added or removed.

use super::draft::Draft;
use super::graph::{Edge, Graph, NodeInfo};
use super::id::NodeId;
use super::running::Running;
use crate::node::Loss;
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::fmt;

/// What becomes of a node or a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeAction {
    /// It goes on as it is.
    Keep,
    /// A new one takes its place, and continues with its state.
    ReplaceWithState,
    /// A new one takes its place, and begins with nothing.
    Replace,
    /// It is new.
    Add,
    /// It ends.
    Remove,
}

impl ChangeAction {
    /// All of them, in the order in which a plan lists them.
    const ALL: [ChangeAction; 5] = [
        ChangeAction::Keep,
        ChangeAction::ReplaceWithState,
        ChangeAction::Replace,
        ChangeAction::Add,
        ChangeAction::Remove,
    ];

    /// The action in words.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeAction::Keep => "keep",
            ChangeAction::ReplaceWithState => "replace with state",
            ChangeAction::Replace => "replace",
            ChangeAction::Add => "add",
            ChangeAction::Remove => "remove",
        }
    }
}

impl fmt::Display for ChangeAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of one node or link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedChange {
    /// What becomes of it.
    pub action: ChangeAction,
    /// The name of a node; a link as `from -> to`.
    pub name: String,
    /// Where it is written, as `file:line`; of something that is removed, where it was written.
    pub place: Option<String>,
    /// What is lost by it. The change is refused unless the loss is accepted.
    pub loss: Option<Loss>,
}

/// What a change of one script comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangePlan {
    /// Its nodes.
    pub nodes: Vec<PlannedChange>,
    /// Its links.
    pub links: Vec<PlannedChange>,
}

impl ChangePlan {
    /// Whether everything stays as it is.
    pub fn is_empty(&self) -> bool {
        let mut all = self.nodes.iter().chain(&self.links);
        all.all(|change| change.action == ChangeAction::Keep)
    }

    /// How many nodes have this action.
    pub fn count(&self, action: ChangeAction) -> usize {
        let nodes = self.nodes.iter();
        nodes.filter(|change| change.action == action).count()
    }

    /// What the draft changes of what belongs to this script, in a network that is
    /// `running` or was not started.
    pub(super) fn of(
        before: &Graph,
        draft: &mut Draft,
        running: Option<&Running>,
        (unit, now): (&str, Timestamp),
    ) -> ChangePlan {
        let outline = |id| running.and_then(|running| running.outline(id));
        let replaced = draft.replaced(&outline, now);
        let after = draft.graph();
        // Links that follow from an error policy are there as soon as the network runs.
        let after = if running.is_some() {
            &after.settled(|_| false)
        } else {
            after
        };
        let is_of = |of: &Option<std::sync::Arc<str>>| of.as_deref() == Some(unit);
        let node = |action, info: &NodeInfo| PlannedChange {
            action,
            name: info.name.to_string(),
            place: info.place.clone(),
            loss: None,
        };
        let link = |action, edge: &Edge| PlannedChange {
            action,
            name: edge.to_string(),
            place: edge.place.clone(),
            loss: None,
        };
        let known: BTreeSet<NodeId> = before.nodes().map(|(id, _)| id).collect();
        let mut plan = ChangePlan::default();
        for (id, info) in after.nodes().filter(|(_, info)| is_of(&info.unit)) {
            let replaced = replaced.iter().find(|replaced| replaced.id == id);
            let action = match replaced {
                Some(replaced) if replaced.continues => ChangeAction::ReplaceWithState,
                Some(_) => ChangeAction::Replace,
                None if known.contains(&id) => ChangeAction::Keep,
                None => ChangeAction::Add,
            };
            plan.nodes.push(PlannedChange {
                loss: replaced.and_then(|replaced| replaced.loss.clone()),
                ..node(action, info)
            });
        }
        let gone = before.nodes().filter(|(id, _)| !after.has_node(*id));
        let gone = gone.map(|(_, info)| node(ChangeAction::Remove, info));
        plan.nodes.extend(gone);
        for (id, edge) in after.edges().filter(|(_, edge)| is_of(&edge.unit)) {
            let action = if before.has_edge(id) {
                ChangeAction::Keep
            } else {
                ChangeAction::Add
            };
            plan.links.push(link(action, edge));
        }
        let gone = before.edges().filter(|(id, _)| !after.has_edge(*id));
        let gone = gone.map(|(_, edge)| link(ChangeAction::Remove, edge));
        plan.links.extend(gone);
        plan
    }
}

/// One line for each action: its nodes, or how many are kept.
impl fmt::Display for ChangePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing changed");
        }
        let parts = [("node", &self.nodes), ("link", &self.links)];
        for action in ChangeAction::ALL {
            for (what, changes) in parts {
                let of = changes.iter().filter(|change| change.action == action);
                let of: Vec<_> = of.collect();
                if action == ChangeAction::Keep {
                    match of.len() {
                        0 => {}
                        1 => writeln!(f, "keep 1 {what}")?,
                        count => writeln!(f, "keep {count} {what}s")?,
                    }
                    continue;
                }
                for change in of {
                    write!(f, "{action} {what} {}", change.name)?;
                    if let Some(place) = &change.place {
                        write!(f, " ({place})")?;
                    }
                    match &change.loss {
                        Some(loss) => writeln!(f, ": {loss}")?,
                        None => writeln!(f)?,
                    }
                }
            }
        }
        Ok(())
    }
}
