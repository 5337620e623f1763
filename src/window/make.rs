//! From what a window is told to the window: checks, and the choice of the plan.

use super::emission::Emission;
use super::explain::Explanation;
use super::incremental::Incremental;
use super::node::{Moment, Verify, Window};
use super::options::{Emit, Extent, Now, Plan, WindowOptions};
use super::plan::{self, Grouped, Reading, Reason};
use super::requery::{Form, Requery};
use super::span::Span;
use super::state::Keeping;
use super::watermark::Watermark;
use crate::error::{Error, Result, did_you_mean, quote};
use crate::store::{Asker, Database, Query, RowReader, Table, Type};
use crate::time::format_duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// In so many windows a row may be at once: it is in each of them by itself.
const MOST_WINDOWS: u128 = 10_000;

impl Window {
    /// A window as these options have it.
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
        check_extent(options, &table, time)?;
        check_clock(options)?;
        if let (Extent::Session(_), true) = (options.extent, options.verify > 0.0) {
            return Err(Error::data(
                "verify does not serve sessions: no query tells them apart",
            ));
        }
        if !(0.0..=1.0).contains(&options.verify) {
            return Err(Error::data(format!("bad verify {}", options.verify))
                .with_hint("it is a share of the events, from 0 to 1"));
        }
        let emit = emit_of(options)?;
        // As it was written: whatever is wrong is said of that.
        let query = database.prepare_for(Asker::Window, &options.query)?;
        check_keys(options, &query)?;
        let by_time = match options.extent {
            Extent::Count(_) => None,
            _ => options.time.as_deref(),
        };
        let reading = plan::read_within(
            database.dialect(),
            &options.query,
            &table,
            by_time,
            options.size(),
        )?;
        let bound = reading.bound.clone().ok().flatten();
        let whole_seconds = time.is_none_or(|at| table.columns()[at].kind == Type::Integer)
            || options.extent_in_seconds();
        let span = Span::new(options.extent, bound, whole_seconds);
        let choice = Choice {
            database,
            options,
            emit,
            table: &table,
            query: &query,
            reading: &reading,
            span: &span,
            exact: database.is_exact(&table)?,
        };
        let exact = choice.exact;
        let chosen = choice.choose()?;
        let hold = match (&options.time, options.extent) {
            (Some(column), Extent::Sliding(size) | Extent::Hopping { size, .. }) => {
                // How far the clock of the events has come, nobody knows before the window does.
                let size = Some(size).filter(|_| options.clock == Now::System);
                Some(database.hold(table.name(), column, size)?)
            }
            (Some(column), Extent::Session(_)) => {
                Some(database.hold(table.name(), column, None)?)
            }
            _ => None,
        };
        let last = match options.extent {
            Extent::Count(rows) => {
                let asks = chosen.explanation.plan != Plan::Incremental;
                Some(database.last(table.name(), rows, asks)?)
            }
            _ => None,
        };
        let scope = options.name.clone().unwrap_or_else(|| {
            let hash = xxhash_rust::xxh3::xxh3_64(options.query.as_bytes());
            format!("{}:{hash:016x}", table.name())
        });
        let scope = (!database.is_memory()).then_some(scope);
        let used = database.name_tables(table.name(), &options.query)?;
        let may_keep = database.is_memory()
            && chosen.explanation.plan == Plan::Incremental
            && !options.store
            && options.verify == 0.0;
        Ok(Window {
            database: database.clone(),
            time,
            span,
            clock: options.clock,
            emit,
            plan: chosen.explanation.plan,
            requery: chosen.requery,
            incremental: chosen.incremental,
            watermark: Watermark::new(options.lateness, options.idle),
            watermark_before: Watermark::new(options.lateness, options.idle),
            emission: Emission::new(emit, scope, matches!(options.extent, Extent::Session(_))),
            hold,
            last,
            verify: Verify::new(options.verify, chosen.beside),
            explanation: chosen.explanation,
            asks: !query.fields().is_empty(),
            stored: true,
            exact,
            may_keep,
            used,
            latest: None,
            arrivals: VecDeque::new(),
            version: None,
            reader: Arc::new(RowReader::new(Arc::clone(&table))),
            table,
            session: None,
            touched: Vec::new(),
            moment: Moment::default(),
            before: Moment::default(),
        })
    }
}

impl WindowOptions {
    /// How long a window that slides is.
    fn size(&self) -> Option<Duration> {
        match self.extent {
            Extent::Sliding(size) => Some(size),
            _ => None,
        }
    }

    /// The clock, told to a person.
    fn told_clock(&self) -> String {
        if self.clock == Now::System {
            return "the network's".to_owned();
        }
        let mut told = "the events'".to_owned();
        if !self.lateness.is_zero() {
            told += &format!(", {} late", format_duration(self.lateness));
        }
        if let Some(idle) = self.idle {
            told += &format!(
                "; a link that is silent for {} holds nothing back",
                format_duration(idle)
            );
        }
        told
    }

    fn extent_in_seconds(&self) -> bool {
        match self.extent {
            Extent::Sliding(size) => size.subsec_nanos() == 0,
            _ => false,
        }
    }
}

fn time_column(table: &Table, column: &str) -> Result<usize> {
    let (at, declared) = table.expect_column(column)?;
    if let Type::Text(_) = declared.kind {
        return Err(Error::data(format!(
            "{}.{column} is text, so it cannot be the time of a window",
            table.name()
        ))
        .with_hint("a time column holds unix seconds, as integer or real"));
    }
    Ok(at)
}

fn check_extent(options: &WindowOptions, table: &Table, time: Option<usize>) -> Result<()> {
    let carry = |what: &str, size: Duration| {
        let shown = quote(format_duration(size));
        if size.is_zero() {
            return Err(Error::data(format!(
                "bad window {what} {shown}: it must be longer"
            )));
        }
        let Some(at) = time else {
            return Err(
                Error::data("a window that goes by time needs a time column")
                    .with_hint("time = \"column\" names the column of the table"),
            );
        };
        let column = &table.columns()[at];
        if column.kind == Type::Integer && size.subsec_nanos() != 0 {
            return Err(Error::data(format!(
                "bad window {what} {shown}: column resolution is 1 s"
            ))
            .with_hint(format!("the {what} is a whole number of seconds")));
        }
        Ok(())
    };
    match options.extent {
        Extent::Sliding(size) => carry("size", size),
        Extent::Session(gap) => carry("gap", gap),
        Extent::Hopping { size, slide } => {
            carry("size", size)?;
            carry("slide", slide)?;
            if slide > size {
                return Err(Error::data(format!(
                    "bad window slide {}: it is longer than the size {}",
                    quote(format_duration(slide)),
                    quote(format_duration(size))
                ))
                .with_hint("rows between two windows would be in none"));
            }
            let windows = size.as_micros() / slide.as_micros().max(1);
            if windows > MOST_WINDOWS {
                return Err(Error::data(format!(
                    "bad window slide {}: a row would be in {windows} windows of {} at once, the most is {MOST_WINDOWS}",
                    quote(format_duration(slide)),
                    quote(format_duration(size))
                ))
                .with_hint("let windows begin less often, or have one that slides: size without slide"));
            }
            Ok(())
        }
        Extent::Count(0) => Err(Error::data("bad window count 0")),
        Extent::Count(_) if table.key_columns().is_empty() => Err(Error::data(format!(
            "a window of the last rows needs a key, table {} has none",
            quote(table.name())
        ))),
        Extent::Count(_) => Ok(()),
    }
}

fn check_clock(options: &WindowOptions) -> Result<()> {
    let by_events = options.clock == Now::Event;
    if by_events && options.time.is_none() {
        return Err(Error::data("the clock of the events needs a time column"));
    }
    let hint = "clock = \"event\" goes by the events' own time";
    if !by_events && !options.lateness.is_zero() {
        return Err(Error::data(
            "lateness is for the clock of the events, this window goes by the system's",
        )
        .with_hint(hint));
    }
    if !by_events && options.idle.is_some() {
        return Err(Error::data(
            "idle is for the clock of the events, this window goes by the system's",
        )
        .with_hint(hint));
    }
    Ok(())
}

fn emit_of(options: &WindowOptions) -> Result<Emit> {
    let bounded = options.extent.is_bounded();
    match options.emit {
        None if bounded => Ok(Emit::Close),
        None => Ok(Emit::All),
        Some(Emit::Close) if !bounded => Err(Error::data(format!(
            "emit = \"close\" needs windows that end, this one has none: {}",
            options.extent
        ))
        .with_hint("slide = size makes tumbling windows")),
        Some(emit) => match (options.extent, emit) {
            (Extent::Session(_), Emit::Close | Emit::Touched) => Ok(emit),
            (Extent::Session(_), _) => Err(Error::data(format!(
                "emit = \"{emit}\" does not serve sessions, which begin anew when a row joins two"
            ))
            .with_hint("emit = \"close\" or \"touched\" does")),
            _ => Ok(emit),
        },
    }
}

fn check_keys(options: &WindowOptions, query: &Query) -> Result<()> {
    let known = || query.columns().iter().map(String::as_str);
    match options
        .keys
        .iter()
        .find(|key| !known().any(|known| known == *key))
    {
        None => Ok(()),
        Some(key) => {
            let hint = did_you_mean(key, known());
            let all = || format!("its columns are {}", known().collect::<Vec<_>>().join(", "));
            let error = format!("key {} is no column of the answer", quote(key));
            Err(Error::data(error).with_hint(hint.unwrap_or_else(all)))
        }
    }
}

/// Why the values of a table are not trusted to compare as ours do.
const ELSEWHERE: &str = "a table was made elsewhere, with types, collations or triggers of its own";

/// Why sessions have one plan.
const SESSIONS: &str = "where sessions begin and end is kept as running state";

/// What the choice of a plan goes by.
struct Choice<'a> {
    database: &'a Database,
    options: &'a WindowOptions,
    emit: Emit,
    table: &'a Arc<Table>,
    query: &'a Query,
    reading: &'a Reading,
    span: &'a Span,
    /// Whether the tables are as we make them.
    exact: bool,
}

struct Chosen {
    requery: Requery,
    incremental: Option<Incremental>,
    /// What only judges differences.
    beside: Option<Incremental>,
    explanation: Explanation,
}

impl Choice<'_> {
    fn choose(&self) -> Result<Chosen> {
        let form = match self.options.extent.is_bounded() {
            true => Form::Bounded,
            false => Form::Sliding,
        };
        let grouped = self.grouped();
        self.check_emit(&grouped)?;
        let whole = form.of(&self.reading.whole);
        let whole = self.database.prepare_for(Asker::Window, whole)?;
        let by_group = grouped.as_ref().ok().copied();
        let columns = self.options.keys.clone();
        let requery = Requery::new(self.database, whole.clone(), by_group, columns, form)?;
        let incremental = self.incremental(&grouped);
        let keyed = self.keyed(&grouped);
        let mut refused = Vec::new();
        let mut note = |plan: Plan, why: &Result<(), Reason>| {
            if let Err(why) = why {
                refused.push((plan, why.clone()));
            }
        };
        note(
            Plan::Incremental,
            &incremental.as_ref().map(|_| ()).map_err(Clone::clone),
        );
        note(Plan::Keyed, &keyed);
        if let Extent::Session(_) = self.options.extent {
            note(Plan::Requery, &Err(SESSIONS.to_owned()));
        }
        if let (Extent::Session(_), Err(why)) = (self.options.extent, &incremental) {
            return Err(Error::data(format!(
                "sessions are kept as running state, which this query does not allow: {why}"
            )));
        }
        let plan = match self.options.plan {
            Some(forced) => {
                if let Some((_, why)) = refused.iter().find(|(plan, _)| *plan == forced) {
                    return Err(Error::data(format!(
                        "plan {forced} cannot serve this query: {why}"
                    ))
                    .with_hint("plan = \"auto\" takes the best that can"));
                }
                if forced == Plan::Requery && self.options.verify > 0.0 {
                    return Err(Error::data(
                        "verify has nothing to compare under plan requery, whose answers are those \
                         of the whole query",
                    )
                    .with_hint("leave one of the two away"));
                }
                forced
            }
            None if incremental.is_ok() => Plan::Incremental,
            None if keyed.is_ok() => Plan::Keyed,
            None => Plan::Requery,
        };
        let incremental = incremental.ok().filter(|_| plan == Plan::Incremental);
        let beside = match plan {
            Plan::Keyed if self.options.verify > 0.0 => self.state(&grouped, false).ok(),
            _ => None,
        };
        let why = match (self.options.plan, plan) {
            (Some(_), _) => "it was asked for",
            (None, Plan::Incremental) => "nothing is read again",
            (None, Plan::Keyed) => "only the groups that an event touches are read again",
            (None, Plan::Requery) => "nothing better serves this query",
        };
        let mut sql = vec![("query".to_owned(), whole.sql().to_owned())];
        let mut indexes = Vec::new();
        if let (Plan::Keyed, Some(grouped)) = (plan, by_group) {
            sql.push(("for a group".to_owned(), form.of(&grouped.keyed).to_owned()));
            indexes.clone_from(&grouped.index);
            for (table, columns) in &indexes {
                self.database.want_index(table, columns);
            }
        }
        if let (Some(_), Ok(plan)) = (&incremental, &self.reading.incremental) {
            sql.truncate(0);
            for computed in &plan.computed {
                sql.push(("of a row".to_owned(), computed.sql.clone()));
            }
            if let Some(group) = &plan.group {
                sql.push(("of a group".to_owned(), group.sql.clone()));
            }
            sql.push(("to make the state anew".to_owned(), plan.load.sql.clone()));
        }
        Ok(Chosen {
            requery,
            incremental,
            beside,
            explanation: Explanation {
                plan,
                why: why.to_owned(),
                refused,
                extent: self.options.extent,
                clock: self.options.told_clock(),
                emit: self.emit,
                verify: self.verify(plan),
                stored: self.stored(plan).to_owned(),
                sql,
                indexes,
            },
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
            Plan::Requery => "nothing: every answer is that of the whole query".to_owned(),
        })
    }

    /// Whether rows are stored, and why.
    fn stored(&self, plan: Plan) -> &'static str {
        match self.options {
            _ if plan != Plan::Incremental => "stored: the query reads them",
            _ if !self.database.is_memory() => {
                "stored: the state is made from them after a restart"
            }
            options if options.store => "stored: that was asked for",
            options if options.verify > 0.0 => "stored: the answer is compared with theirs",
            _ => "not stored, unless another node names the table by the time the network starts",
        }
    }

    fn grouped(&self) -> Result<&Grouped, Reason> {
        self.reading.grouped.as_ref().map_err(Clone::clone)
    }

    /// Refuses what cannot be emitted without knowing the groups.
    fn check_emit(&self, grouped: &Result<&Grouped, Reason>) -> Result<()> {
        let Err(why) = grouped else {
            return Ok(());
        };
        let has_keys = !self.options.keys.is_empty();
        match self.emit {
            Emit::Touched => Err(Error::data(format!(
                "emit = \"touched\" needs to know the groups that an event touches: {why}"
            ))
            .with_hint("emit = \"changes\" goes by the answer alone")),
            Emit::Enter | Emit::Leave if !has_keys => Err(Error::data(format!(
                "emit = \"{}\" needs keys by which to tell groups apart: {why}",
                self.emit
            ))
            .with_hint("keys = {\"column\", ...} names columns of the answer")),
            _ => Ok(()),
        }
    }

    fn keyed(&self, grouped: &Result<&Grouped, Reason>) -> Result<(), Reason> {
        let grouped = grouped.clone()?;
        if let Extent::Session(_) = self.options.extent {
            return Err(SESSIONS.to_owned());
        }
        if grouped.keys.is_empty() {
            return Err("no keys: its one group is the whole answer".to_owned());
        }
        match self.emit {
            Emit::All => Err("emit = \"all\" wants the whole answer at every event".to_owned()),
            Emit::Close => Err("the whole answer is wanted when a window ends".to_owned()),
            Emit::Touched => Ok(()),
            _ if self.options.shared => Err("others write to the table (shared = true)".to_owned()),
            _ if grouped.foreign => {
                Err("a joined table is another's: groups change without an event".to_owned())
            }
            _ if !self.exact => Err(ELSEWHERE.to_owned()),
            _ if self.reading.clock => {
                Err("a clock stands in the query: groups change by time alone".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn incremental(&self, grouped: &Result<&Grouped, Reason>) -> Result<Incremental, Reason> {
        self.state(grouped, self.options.shared)
    }

    /// The state of the groups, where nobody writes to the table unseen.
    fn state(
        &self,
        grouped: &Result<&Grouped, Reason>,
        shared: bool,
    ) -> Result<Incremental, Reason> {
        let grouped = (*grouped.clone()?).clone();
        if !self.options.extent.is_bounded() {
            self.reading.bound.clone()?;
        }
        let plan = self.reading.incremental.clone()?;
        if !self.exact {
            return Err(ELSEWHERE.to_owned());
        }
        if shared {
            return Err("others write to the table (shared = true)".to_owned());
        }
        if !self.query.fields().is_empty() {
            return Err("the query asks for fields of the event".to_owned());
        }
        let keeping = Keeping {
            notes: self.emit.remembers() || self.emit == Emit::All,
            weighs: self.options.verify > 0.0,
        };
        Incremental::new(
            self.database,
            self.table.clone(),
            (grouped, plan),
            self.query.columns(),
            self.options.time.clone(),
            self.span.clone(),
            keeping,
        )
        .map_err(|error| error.to_string())
    }
}
