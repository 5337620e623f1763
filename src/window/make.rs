//! A window from its options.
//!
//! - `checks` — whether the options are valid.
//! - `choice` — which plan it has, and why.

mod checks;
mod choice;

use super::analysis::{WindowTime, analyse};
use super::emission::{Emission, ScopeName};
use super::failing::FailingGroups;
use super::kind::WindowRules;
use super::node::{
    Answering, Batch, CurrentEvent, Emitter, Storage, StorageParts, TimeColumn, Verification,
    Window, WindowClock,
};
use super::options::{Emit, Plan, TimeDomain, WindowOptions};
use super::outline::{Facts, GroupIds, WindowOutline};
use super::watermark::Watermark;
use crate::error::Result;
use crate::store::{Asker, Database, RowHold, Table, Type};
use crate::time::format_duration;
use std::sync::Arc;

use checks::{check_clock, check_keys, check_kind, check_verify, emit_of, time_column};
use choice::PlanChoice;

impl Window {
    /// A window with these options.
    ///
    /// # Errors
    /// A table or column that is not declared, a size that the time column cannot represent, options
    /// that contradict each other, a query that the database refuses, and a plan that does not support
    /// it, with the reason.
    pub fn new(database: &Database, options: &WindowOptions) -> Result<Self> {
        let table = database.table(&options.table)?;
        let time = match &options.time {
            Some(column) => Some(time_column(&table, column)?),
            None => None,
        };
        check_kind(options, &table, time)?;
        check_clock(options)?;
        check_verify(options)?;
        let emit = emit_of(options)?;
        // As the user wrote it, so that errors refer to that.
        let query = database.prepare_for(Asker::Window, &options.query)?;
        check_keys(options, &query)?;
        let by_time = options.time.as_deref();
        let window_time = WindowTime {
            column: by_time.filter(|_| options.kind.goes_by_time()),
            size: options.kind.age(),
        };
        let analysis = analyse(database.dialect(), &options.query, &table, window_time)?;
        let bound = analysis.bound.clone().ok().flatten();
        let whole_seconds = time.is_none_or(|at| table.columns()[at].kind == Type::Integer);
        let rules = WindowRules::new(options.kind, bound, whole_seconds);
        let exact = database.is_exact(&table)?;
        let choice = PlanChoice {
            database,
            options,
            emit,
            table: &table,
            query: &query,
            analysis: &analysis,
            rules: &rules,
            exact,
        };
        let chosen = choice.choose()?;
        let plan = chosen.explanation.plan;
        let storage = storage(database, options, &table, exact, plan)?;
        let scope = scope(database, options, &table, emit);
        let claimed = scope.as_ref().map(|scope| scope.claimed.clone());
        let emission = Emission::new(emit, claimed, options.kind.is_session());
        let outline = WindowOutline {
            database: database.clone(),
            table: table.clone(),
            rules: rules.clone(),
            clock: options.clock,
            time: options.time.clone(),
            columns: query.columns().to_vec(),
            groups: GroupIds::of(&analysis, options, query.columns()),
            state: chosen.shape,
            needs_stored: !storage.may_skip(),
            facts: Facts::default(),
        };
        let column = time.map(|index| {
            let name = table.columns()[index].name.clone();
            let shown = format!("{}.{name}", table.name());
            TimeColumn { index, name, shown }
        });
        let name = options.name.clone();
        let watermark = Watermark::new(options.lateness, options.idle);
        Ok(Window {
            database: database.clone(),
            connection: None,
            name: name.unwrap_or_else(|| format!("over {}", table.name())),
            rules,
            clock: WindowClock::new(options.clock, column, watermark),
            storage,
            answering: Answering {
                emit,
                plan,
                queries: chosen.queries,
                incremental: chosen.incremental,
                uses_event: !query.fields().is_empty(),
                failing: FailingGroups::default(),
            },
            verification: Verification::new(options.verify, chosen.beside),
            explanation: chosen.explanation,
            batch: Batch::default(),
            emitter: Emitter::new(emission),
            current: CurrentEvent::default(),
            outline: Arc::new(outline),
            scope,
            accepts_loss: false,
            former: None,
        })
    }
}

/// The storage of a window: registers which rows of the table it needs, and which tables it uses.
fn storage(
    database: &Database,
    options: &WindowOptions,
    table: &Arc<Table>,
    exact: bool,
    plan: Plan,
) -> Result<Storage> {
    let time = match &options.time {
        Some(column) if options.kind.goes_by_time() => {
            let retention = options.kind.retention(options.clock);
            Some(database.retain_by_time(table.name(), column, retention)?)
        }
        _ => None,
    };
    let count = match options.kind.count() {
        Some(rows) => {
            let reads = plan != Plan::Incremental;
            Some(database.retain_by_count(table.name(), rows, reads)?)
        }
        None => None,
    };
    let hold = RowHold { time, count };
    let may_skip = database.is_memory()
        && plan == Plan::Incremental
        && !options.store
        && options.verify == 0.0;
    Ok(Storage::new(StorageParts {
        table: Arc::clone(table),
        exact,
        may_skip,
        used: database.name_tables(table.name(), &options.query),
        hold,
    }))
}

/// The name under which a window keeps what it emits: its own, or one made of its table and its query.
fn scope(
    database: &Database,
    options: &WindowOptions,
    table: &Table,
    emit: Emit,
) -> Option<ScopeName> {
    if database.is_memory() {
        return None;
    }
    let wanted = options.name.clone().unwrap_or_else(|| {
        let hash = xxhash_rust::xxh3::xxh3_64(options.query.as_bytes());
        format!("{}:{hash:016x}:{emit}", table.name())
    });
    Some(ScopeName {
        claimed: database.claim_scope(&wanted),
        wanted: wanted.into(),
    })
}

impl WindowOptions {
    /// The clock, for people to read.
    fn shown_clock(&self) -> String {
        if self.clock == TimeDomain::System {
            return "system time".to_owned();
        }
        let mut shown = "event time".to_owned();
        if !self.lateness.is_zero() {
            shown += &format!(", lateness {}", format_duration(self.lateness));
        }
        if let Some(idle) = self.idle {
            shown += &format!(
                "; a link without events for {} does not hold back the watermark",
                format_duration(idle)
            );
        }
        shown
    }
}
