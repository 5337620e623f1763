//! The choice of a plan, and why.

use crate::error::{Error, Result};
use crate::store::{Asker, Database, Query, Table};
use crate::window::analysis::{Analysis, GroupedQuery, Reason, RestrictedSql, StateShape};
use crate::window::explain::Explanation;
use crate::window::kind::WindowRules;
use crate::window::options::{Emit, Plan, WindowOptions};
use crate::window::state::StateOptions;
use crate::window::strategy::Queries;
use crate::window::strategy::full::{FullQuery, WithKeys};
use crate::window::strategy::incremental::{IncrementalState, StateSource};
use crate::window::strategy::keyed::KeyedQuery;
use std::sync::Arc;

/// Why the values of a table may compare in another way than in the state.
const ELSEWHERE: &str = "a table was not created by tributary: its types, collations or triggers may \
                         differ";

/// What the choice of a plan depends on.
pub(super) struct PlanChoice<'a> {
    pub database: &'a Database,
    pub options: &'a WindowOptions,
    pub emit: Emit,
    pub table: &'a Arc<Table>,
    pub query: &'a Query,
    pub analysis: &'a Analysis,
    pub rules: &'a WindowRules,
    /// Whether the tables are as this crate creates them.
    pub exact: bool,
}

pub(super) struct ChosenPlan {
    pub queries: Queries,
    pub incremental: Option<IncrementalState>,
    /// What that is, in a form that can be compared with that of another window.
    pub shape: Option<StateShape>,
    /// A state that is only used for verification.
    pub beside: Option<IncrementalState>,
    pub explanation: Explanation,
}

impl PlanChoice<'_> {
    /// Chooses the plan that is asked for, or the best one that supports the query.
    ///
    /// # Errors
    /// No plan that does, or not the one that is asked for; SQL that the database refuses.
    pub fn choose(&self) -> Result<ChosenPlan> {
        let kind = self.options.kind;
        let grouped = self.grouped();
        self.check_emit(&grouped)?;
        let whole = kind.sql(&self.analysis.whole);
        let whole = self.database.prepare_for(Asker::Window, whole)?;
        let by_group = grouped.as_ref().ok().copied();
        let queries = self.queries(whole.clone(), by_group)?;
        let incremental = self.incremental(&grouped);
        let mut refused = Vec::new();
        if let Err(why) = &incremental {
            refused.push((Plan::Incremental, why.clone()));
        }
        if let Err(why) = self.keyed(&grouped) {
            refused.push((Plan::Keyed, why));
        }
        if let Some(why) = kind.needs_state() {
            refused.push((Plan::Requery, why.to_owned()));
        }
        if let (true, Err(why)) = (kind.is_session(), &incremental) {
            return Err(Error::data(format!(
                "sessions need the plan incremental, which does not support this query: {why}"
            )));
        }
        let plan = self.plan(&refused)?;
        let incremental = incremental.ok().filter(|_| plan == Plan::Incremental);
        let beside = match plan {
            Plan::Keyed if self.options.verify > 0.0 => self.state(&grouped, false).ok(),
            _ => None,
        };
        let mut indexes = Vec::new();
        if let (Plan::Keyed, Some(grouped)) = (plan, by_group) {
            indexes.clone_from(&grouped.index);
            for (table, columns) in &indexes {
                self.database.want_index(table, columns);
            }
        }
        let why = match (self.options.plan, plan) {
            (Some(_), _) => "it was requested",
            (None, Plan::Incremental) => "nothing is read again",
            (None, Plan::Keyed) => "only the groups that an event touches are queried again",
            (None, Plan::Requery) => "no better plan supports this query",
        };
        let shape = match (&incremental, &grouped, &self.analysis.incremental) {
            (Some(_), Ok(grouped), Ok(query)) => Some(StateShape::of(grouped, query)),
            _ => None,
        };
        Ok(ChosenPlan {
            queries,
            incremental,
            shape,
            beside,
            explanation: Explanation {
                plan,
                why: why.to_owned(),
                refused,
                kind,
                clock: self.options.shown_clock(),
                emit: self.emit,
                verify: self.verify(plan),
                stored: self.stored(plan).to_owned(),
                sql: self.sql(plan, &whole),
                indexes,
            },
        })
    }

    /// The plan that is asked for, or the best one that is not refused.
    fn plan(&self, refused: &[(Plan, Reason)]) -> Result<Plan> {
        let refusal = |plan: Plan| refused.iter().find(|(refused, _)| *refused == plan);
        let Some(forced) = self.options.plan else {
            let best = [Plan::Incremental, Plan::Keyed].into_iter();
            let mut best = best.filter(|plan| refusal(*plan).is_none());
            return Ok(best.next().unwrap_or(Plan::Requery));
        };
        if let Some((_, why)) = refusal(forced) {
            return Err(
                Error::data(format!("plan {forced} does not support this query: {why}"))
                    .with_hint("plan = \"auto\" chooses the best plan that does"),
            );
        }
        if forced == Plan::Requery && self.options.verify > 0.0 {
            return Err(Error::data(
                "verify has nothing to compare with plan = \"requery\", which always runs the \
                 whole query",
            )
            .with_hint("remove one of them"));
        }
        Ok(forced)
    }

    /// The SQL that is run under a plan: its purpose, and the text.
    fn sql(&self, plan: Plan, whole: &Query) -> Vec<(String, String)> {
        if let (Plan::Incremental, Ok(query)) = (plan, &self.analysis.incremental) {
            let computed = query.computed.iter().map(|row| ("of a row", &row.sql));
            let group = query.group.iter().map(|group| ("of a group", &group.sql));
            let load = [("to rebuild the state", &query.load.sql)];
            let all = computed.chain(group).chain(load);
            return all
                .map(|(purpose, sql)| (purpose.to_owned(), sql.clone()))
                .collect();
        }
        let mut sql = vec![("query".to_owned(), whole.sql().to_owned())];
        if let (Plan::Keyed, Ok(grouped)) = (plan, &self.analysis.grouped) {
            let keyed = self.options.kind.sql(&grouped.keyed);
            sql.push(("for a group".to_owned(), keyed.to_owned()));
        }
        sql
    }

    /// The queries of the plans `requery` and `keyed`.
    fn queries(&self, whole: Query, grouped: Option<&GroupedQuery>) -> Result<Queries> {
        let prepare = |sql: &RestrictedSql| {
            let sql = self.options.kind.sql(sql);
            self.database.prepare_for(Asker::Plan, sql)
        };
        let columns = self.options.keys.clone();
        let Some(grouped) = grouped else {
            return Ok(Queries {
                full: FullQuery::new(whole, None, columns),
                keyed: None,
            });
        };
        let with_keys = WithKeys {
            query: prepare(&grouped.whole)?,
            keys: grouped.keys.len(),
        };
        Ok(Queries {
            full: FullQuery::new(whole, Some(with_keys), columns),
            keyed: Some(KeyedQuery::new(prepare(&grouped.keyed)?, grouped)),
        })
    }

    /// What is compared with the answer of the whole query.
    fn verify(&self, plan: Plan) -> Option<String> {
        let events = match self.options.verify {
            0.0 => return None,
            1.0 => "at every event".to_owned(),
            share => format!("on a share of {share} of the events"),
        };
        Some(match plan {
            Plan::Incremental => format!("the whole answer, {events}"),
            Plan::Keyed => format!("the groups that an event touches, {events}"),
            Plan::Requery => "nothing: every answer comes from the whole query".to_owned(),
        })
    }

    /// Whether rows are stored, and why.
    fn stored(&self, plan: Plan) -> &'static str {
        match self.options {
            _ if plan != Plan::Incremental => "stored: the query reads them",
            _ if !self.database.is_memory() => {
                "stored: the state is rebuilt from them after a restart"
            }
            options if options.store => "stored: that was requested (store = true)",
            options if options.verify > 0.0 => "stored: the answer is verified with them",
            _ => "not stored, unless another node uses the table when the network starts",
        }
    }

    fn grouped(&self) -> Result<&GroupedQuery, Reason> {
        self.analysis.grouped.as_ref().map_err(Clone::clone)
    }

    /// Refuses what cannot be emitted without knowing the groups.
    fn check_emit(&self, grouped: &Result<&GroupedQuery, Reason>) -> Result<()> {
        let Err(why) = grouped else {
            return Ok(());
        };
        let has_keys = !self.options.keys.is_empty();
        match self.emit {
            Emit::Touched => Err(Error::data(format!(
                "emit = \"touched\" needs the groups that an event touches, which are not known: \
                 {why}"
            ))
            .with_hint("emit = \"changes\" does not need them")),
            Emit::Enter | Emit::Leave if !has_keys => Err(Error::data(format!(
                "emit = \"{}\" needs keys that tell the groups apart: {why}",
                self.emit
            ))
            .with_hint("set keys = {\"column\", ...}, with columns of the answer")),
            _ => Ok(()),
        }
    }

    fn keyed(&self, grouped: &Result<&GroupedQuery, Reason>) -> Result<(), Reason> {
        let grouped = grouped.clone()?;
        if let Some(why) = self.options.kind.needs_state() {
            return Err(why.to_owned());
        }
        if grouped.keys.is_empty() {
            return Err("the query has one group, without keys".to_owned());
        }
        match self.emit {
            Emit::All => Err("emit = \"all\" needs the whole answer for every event".to_owned()),
            Emit::Close => {
                Err("emit = \"close\" needs the whole answer when a window closes".to_owned())
            }
            Emit::Touched => Ok(()),
            _ if self.options.shared => {
                Err("other processes write to the table (shared = true)".to_owned())
            }
            _ if grouped.foreign => Err(
                "a joined table is not one of the window: groups change without an event"
                    .to_owned(),
            ),
            _ if !self.exact => Err(ELSEWHERE.to_owned()),
            _ if self.analysis.clock => {
                Err("the query uses a clock: groups change without an event".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn incremental(
        &self,
        grouped: &Result<&GroupedQuery, Reason>,
    ) -> Result<IncrementalState, Reason> {
        self.state(grouped, self.options.shared)
    }

    /// The state of the groups. Where the table is shared, others write to it unnoticed, and there is
    /// none.
    fn state(
        &self,
        grouped: &Result<&GroupedQuery, Reason>,
        shared: bool,
    ) -> Result<IncrementalState, Reason> {
        let grouped = (*grouped.clone()?).clone();
        if !self.options.kind.closes() {
            self.analysis.bound.clone()?;
        }
        let query = self.analysis.incremental.clone()?;
        if !self.exact {
            return Err(ELSEWHERE.to_owned());
        }
        if shared {
            return Err("other processes write to the table (shared = true)".to_owned());
        }
        if !self.query.fields().is_empty() {
            return Err("the query has fields of the event as parameters".to_owned());
        }
        let state_options = StateOptions {
            track_changes: self.emit.remembers() || self.emit == Emit::All,
            track_slack: self.options.verify > 0.0,
        };
        IncrementalState::new(StateSource {
            database: self.database,
            table: self.table.clone(),
            grouped,
            query,
            columns: self.query.columns(),
            rules: self.rules.clone(),
            state_options,
        })
        .map_err(|error| error.to_string())
    }
}
