//! A source: the rows of a query, read by a cursor.

use super::checkpoint;
use super::cursor::{Columns, CursorValues, may_be_same, order, shown};
use super::prepared::{Prepared, prepare};
use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::connect::{Address, Settings};
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::node::{Context, Handover, Node, ReadStatus, Source};
use crate::store::{Database, LIMIT, Params, Store, is_over};
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

/// The pause before rows are read again after one failed.
const PAUSE: Duration = Duration::from_secs(1);

struct Rows {
    address: Address,
    settings: Settings,
    columns: Columns,
    start: CursorValues,
    every: Duration,
    checkpoint: Option<PathBuf>,
    /// The query, once it was checked.
    prepared: Option<Prepared>,
    store: Option<Box<dyn Store>>,
    /// All rows up to here are delivered.
    delivered: CursorValues,
    /// Whether the checkpoint was read, which only the first open does.
    is_loaded: bool,
    is_saved: bool,
    /// The rows under way in order, and whether each is delivered. They include all rows of each value.
    under_way: VecDeque<(Token, CursorValues, bool)>,
    /// The rows that are too large for an event.
    refused: HashSet<Token>,
    failed: bool,
    /// When the query runs next.
    next: Timestamp,
}

/// How far rows were read, on its way to a successor.
struct GivenRows {
    address: Address,
    cursor: Vec<String>,
    checkpoint: Option<PathBuf>,
    delivered: CursorValues,
    is_loaded: bool,
    is_saved: bool,
    under_way: VecDeque<(Token, CursorValues, bool)>,
    refused: HashSet<Token>,
    failed: bool,
    next: Timestamp,
}

pub(super) fn source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    settings.required("query")?;
    let columns = columns(settings)?;
    let zero = vec![Value::from(0); columns.names().len()];
    let start = match settings.json("start") {
        None => zero,
        Some(given) if given.is_array() != (zero.len() == 1) => {
            let start = columns.parse(given, &zero);
            start.ok_or_else(|| settings.wrong("start", expected(&columns)))?
        }
        Some(_) => return Err(settings.wrong("start", expected(&columns))),
    };
    let mut rows = Rows {
        address: address.clone(),
        settings: settings.clone(),
        columns,
        every: settings.duration("every", Duration::from_secs(1))?,
        checkpoint: settings.string("checkpoint")?.map(PathBuf::from),
        prepared: None,
        store: None,
        delivered: start.clone(),
        start,
        is_loaded: false,
        is_saved: false,
        under_way: VecDeque::new(),
        refused: HashSet::new(),
        failed: false,
        next: Timestamp::from_secs(0),
    };
    // A server is first asked at the open, which waits until it is available.
    if !Database::dialect_of(address.rest())?.is_server() {
        rows.prepare()?;
    }
    Ok(Box::new(rows))
}

fn expected(columns: &Columns) -> &'static str {
    match columns.names().len() {
        1 => "a number or a text",
        _ => "a list of a number or a text for each column of the cursor",
    }
}

fn columns(settings: &Settings) -> Result<Columns> {
    let names = settings.list("cursor")?;
    if names.is_empty() {
        settings.required("cursor")?;
        return Err(settings.wrong("cursor", "at least one column"));
    }
    let twice = (1..names.len()).any(|at| names[..at].contains(&names[at]));
    if twice {
        Err(settings.wrong("cursor", "different columns"))
    } else {
        Ok(Columns::new(names))
    }
}

impl Node for Rows {
    fn claims(&self) -> Vec<Claim> {
        let checkpoint = self.checkpoint.iter();
        checkpoint
            .map(|path| Claim::new("checkpoint", path))
            .collect()
    }

    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(GivenRows {
            address: self.address.clone(),
            cursor: self.columns.names().to_vec(),
            checkpoint: self.checkpoint.clone(),
            delivered: self.delivered.clone(),
            is_loaded: self.is_loaded,
            is_saved: self.is_saved,
            under_way: std::mem::take(&mut self.under_way),
            refused: std::mem::take(&mut self.refused),
            failed: self.failed,
            next: self.next,
        }))
    }

    /// The rows after those that the old node has read are read by this one's query.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<GivenRows>()?;
        let same = old.cursor == self.columns.names() && old.checkpoint == self.checkpoint;
        if old.address != self.address || !same {
            return Err(old);
        }
        let GivenRows {
            delivered,
            is_loaded,
            is_saved,
            under_way,
            refused,
            failed,
            next,
            ..
        } = *old;
        (self.delivered, self.is_loaded, self.is_saved) = (delivered, is_loaded, is_saved);
        (self.under_way, self.refused) = (under_way, refused);
        (self.failed, self.next) = (failed, next);
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        if let (Some(path), false) = (&self.checkpoint, self.is_loaded) {
            if let Some(cursor) = checkpoint::load(path)? {
                let values = self.columns.parse(&cursor, &self.start);
                self.delivered = values.ok_or_else(|| {
                    let name = quote(path.to_string_lossy());
                    let columns = self.columns.sql();
                    Error::data(format!(
                        "{name} is not a checkpoint of the cursor {columns}"
                    ))
                })?;
                self.is_saved = true;
            }
            self.is_loaded = true;
        }
        // An error of the checkpoint is reported before rows are read.
        self.save_cursor()?;
        self.store = Some(self.prepare()?.database.connect()?);
        Ok(())
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _cx: &mut Context<'_>) -> Result<()> {
        // A row that was rejected here would be rejected again.
        let outcome = if self.refused.remove(&token) {
            Outcome::Delivered
        } else {
            outcome
        };
        let found = self
            .under_way
            .iter_mut()
            .find(|(known, ..)| *known == token);
        if let Some((_, _, delivered)) = found {
            *delivered = outcome == Outcome::Delivered;
            self.failed |= outcome == Outcome::Failed;
        }
        while let Some((_, _, true)) = self.under_way.front() {
            let Some((_, values, _)) = self.under_way.pop_front() else {
                break;
            };
            // Rows of the same value are read together: as long as one is left, the value is not passed.
            let next = self.under_way.front();
            if !next.is_some_and(|(_, next, _)| may_be_same(next, &values)) {
                self.delivered = values;
                self.is_saved = false;
            }
        }
        Ok(())
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.save_cursor()
    }
}

impl Source for Rows {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        let now = cx.now();
        if self.failed {
            // The rows after one that failed are read again with it; outcomes that arrive later are ignored.
            self.under_way.clear();
            self.refused.clear();
            self.failed = false;
            self.next = now.saturating_add(PAUSE);
        }
        if !self.under_way.is_empty() || now < self.next {
            let _ = wait;
            return Ok(ReadStatus::Idle);
        }
        let rows = self.fetch(now)?;
        if rows.is_empty() {
            self.next = now.saturating_add(self.every);
            return Ok(ReadStatus::Idle);
        }
        for (values, row) in rows {
            let token = match Event::new(Value::Object(row), now).within(cx.max_event_bytes()) {
                Ok(event) => cx.emit_tracked(event),
                Err((mut event, error)) => {
                    let token = cx.track(&mut event);
                    self.refused.insert(token);
                    cx.reject(event, error);
                    token
                }
            };
            self.under_way.push_back((token, values, false));
        }
        Ok(ReadStatus::More)
    }
}

impl Rows {
    /// Writes the checkpoint, unless it holds the cursor already.
    fn save_cursor(&mut self) -> Result<()> {
        if let (Some(path), false) = (&self.checkpoint, self.is_saved) {
            checkpoint::save(path, &self.columns.to_json(&self.delivered))?;
        }
        self.is_saved = true;
        Ok(())
    }

    fn prepare(&mut self) -> Result<&Prepared> {
        let prepared = match self.prepared.take() {
            Some(prepared) => prepared,
            None => prepare(&self.address, &self.columns, &self.settings)?,
        };
        Ok(self.prepared.insert(prepared))
    }

    /// The rows after the cursor, with all rows of each value.
    fn fetch(&mut self, now: Timestamp) -> Result<Vec<(CursorValues, Map<String, Value>)>> {
        let (Some(store), Some(prepared)) = (&mut self.store, &self.prepared) else {
            return Ok(Vec::new());
        };
        let mut params = self.columns.params(&self.delivered);
        // One more row shows whether there are more.
        let mut most = prepared.limit.map(|limit| limit.saturating_add(1));
        let mut is_raised = false;
        loop {
            if let Some(most) = most {
                let most = most.min(i64::MAX.unsigned_abs());
                params.insert(LIMIT.to_owned(), most.into());
            }
            let params = Params {
                now,
                event: Some(&params),
            };
            let found = store.query(&prepared.query, &params).map_err(|error| {
                let error = if is_over(&error) {
                    // The rows may be fewer at the next attempt.
                    error.retryable()
                } else {
                    error
                };
                if is_raised {
                    error.within("the limit is raised, as all rows have one cursor value")
                } else {
                    error
                }
            })?;
            let mut rows = Vec::with_capacity(found.len());
            for row in found {
                let values = self.columns.of(&row)?;
                let before = rows.last().map_or(&self.delivered, |(values, _)| values);
                check(&self.columns, before, &values, rows.is_empty())?;
                rows.push((values, row));
            }
            let is_cut = most.is_some_and(|most| rows.len() as u64 >= most);
            let Some((last, _)) = rows.last().filter(|_| is_cut) else {
                return Ok(rows);
            };
            let tied = rows
                .iter()
                .rev()
                .take_while(|(values, _)| may_be_same(values, last));
            let whole = rows.len() - tied.count();
            if whole > 0 {
                rows.truncate(whole);
                return Ok(rows);
            }
            most = most.map(|most| most.saturating_mul(2));
            is_raised = true;
        }
    }
}

/// Rejects a row that is not after the one before it, as far as their order is known here.
fn check(
    columns: &Columns,
    before: &CursorValues,
    values: &CursorValues,
    is_first: bool,
) -> Result<()> {
    let wrong = match order(before, values) {
        Some(Ordering::Greater) if !is_first => "the rows are not in the order of their cursor",
        Some(Ordering::Greater | Ordering::Equal) if is_first => {
            "the query returns rows that are not after its cursor"
        }
        _ => return Ok(()),
    };
    let (values, before) = (shown(values), shown(before));
    let error = Error::data(format!("{wrong}: {values} after {before}"));
    Err(error.with_hint(columns.hint()))
}
