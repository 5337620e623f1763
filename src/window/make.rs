//! A window from its options.
//!
//! - `checks` — whether the options are valid.
//! - `choice` — which plan it has, and why.

mod checks;
mod choice;

use super::analysis::{WindowTime, analyse};
use super::emission::Emission;
use super::failing::FailingGroups;
use super::kind::WindowRules;
use super::node::{
    Answering, Batch, CurrentEvent, Emitter, Storage, StorageParts, TimeColumn, Verification,
    Window, WindowClock,
};
use super::options::{Plan, TimeDomain, WindowOptions};
use super::watermark::Watermark;
use crate::error::{Error, Result};
use crate::store::{Asker, Database, Type};
use crate::time::format_duration;

use checks::{check_clock, check_keys, check_kind, emit_of, time_column};
use choice::PlanChoice;

impl Window {
    /// A window with these options.
    ///
    /// # Errors
    /// A table or column that is not declared, sizes that the time column cannot carry, options
    /// that contradict each other, a query that the database refuses, and a plan that cannot serve
    /// it, with the reason.
    pub fn new(database: &Database, options: &WindowOptions) -> Result<Self> {
        let table = database.table(&options.table)?;
        let time = match &options.time {
            Some(column) => Some(time_column(&table, column)?),
            None => None,
        };
        check_kind(options, &table, time)?;
        check_clock(options)?;
        if options.kind.is_session() && options.verify > 0.0 {
            return Err(Error::data(
                "verify does not support sessions: no query tells them apart",
            ));
        }
        if !(0.0..=1.0).contains(&options.verify) {
            return Err(Error::data(format!("bad verify {}", options.verify))
                .with_hint("verify is a share of the events, from 0 to 1"));
        }
        let emit = emit_of(options)?;
        // As the user wrote it, so that errors refer to that.
        let query = database.prepare_for(Asker::Window, &options.query)?;
        check_keys(options, &query)?;
        let by_time = options.time.as_deref();
        let by_time = by_time.filter(|_| options.kind.goes_by_time());
        let time_of_rows = WindowTime {
            column: by_time,
            size: options.kind.age(),
        };
        let analysis = analyse(database.dialect(), &options.query, &table, time_of_rows)?;
        let bound = analysis.bound.clone().ok().flatten();
        let whole_seconds = time.is_none_or(|at| table.columns()[at].kind == Type::Integer);
        let rules = WindowRules::new(options.kind, bound, whole_seconds);
        let choice = PlanChoice {
            database,
            options,
            emit,
            table: &table,
            query: &query,
            analysis: &analysis,
            rules: &rules,
            exact: database.is_exact(&table)?,
        };
        let exact = choice.exact;
        let chosen = choice.choose()?;
        let hold = match &options.time {
            Some(column) if options.kind.goes_by_time() => {
                let retention = options.kind.retention(options.clock);
                Some(database.hold(table.name(), column, retention)?)
            }
            _ => None,
        };
        let last = match options.kind.count() {
            Some(rows) => {
                let asks = chosen.explanation.plan != Plan::Incremental;
                Some(database.last(table.name(), rows, asks)?)
            }
            None => None,
        };
        let scope = options.name.clone().unwrap_or_else(|| {
            let hash = xxhash_rust::xxh3::xxh3_64(options.query.as_bytes());
            format!("{}:{hash:016x}:{emit}", table.name())
        });
        let scope = (!database.is_memory()).then(|| database.claim_scope(&scope));
        let used = database.name_tables(table.name(), &options.query)?;
        let may_skip = database.is_memory()
            && chosen.explanation.plan == Plan::Incremental
            && !options.store
            && options.verify == 0.0;
        let column = time.map(|index| {
            let name = table.columns()[index].name.clone();
            let shown = format!("{}.{name}", table.name());
            TimeColumn { index, name, shown }
        });
        let name = options.name.clone();
        let name = name.unwrap_or_else(|| format!("over {}", table.name()));
        let watermark = Watermark::new(options.lateness, options.idle);
        let emission = Emission::new(emit, scope, options.kind.is_session());
        Ok(Window {
            database: database.clone(),
            session: None,
            name,
            rules,
            clock: WindowClock::new(options.clock, column, watermark),
            storage: Storage::new(StorageParts {
                table,
                exact,
                may_skip,
                used,
                hold,
                last,
            }),
            answering: Answering {
                emit,
                plan: chosen.explanation.plan,
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
        })
    }
}

impl WindowOptions {
    /// The clock, for people to read.
    fn shown_clock(&self) -> String {
        if self.clock == TimeDomain::System {
            return "the network's".to_owned();
        }
        let mut shown = "the events'".to_owned();
        if !self.lateness.is_zero() {
            shown += &format!(", {} late", format_duration(self.lateness));
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
