//! Expressions without tables: one connection for each thread, and statements that stay prepared.
//!
//! What reads no table needs neither the shared connection nor its lock. The statements of a
//! thread are held beside the connection that made them, so that to run one costs no search for
//! its text.

use super::bounds::Bounds;
use super::fault::DatabaseName;
use super::round;
use super::values::{datum, size};
use super::{configure, set_length};
use crate::error::Result;
use crate::store::datum::Datum;
use crate::store::driver::Evaluation;
use crate::store::limits::QueryLimits;
use crate::store::row::Cell;
use rusqlite::{Connection, ErrorCode, Statement};
use self_cell::self_cell;
use std::cell;
use std::cell::RefCell;
use std::sync::Weak;

/// By the numbers of their evaluations, in order: a thread has few.
type Held<'a> = RefCell<Vec<Prepared<'a>>>;

/// The statement of one evaluation.
struct Prepared<'a> {
    number: u64,
    life: Weak<()>,
    statement: Statement<'a>,
}

/// The time is looked at after so many steps: an expression has few, and each may compute a value of the
/// greatest size.
const STEPS: i32 = 50;

/// A connection, and the limit on its values.
struct Limited {
    connection: Connection,
    bounds: Bounds,
    bytes: cell::Cell<usize>,
}

impl Limited {
    /// Sets the limit, where it is another one.
    fn limit(&self, bytes: usize) -> rusqlite::Result<()> {
        if self.bytes.replace(bytes) != bytes {
            set_length(&self.connection, &self.bounds, bytes)?;
        }
        Ok(())
    }
}

self_cell!(
    struct Scratch {
        owner: Limited,
        #[not_covariant]
        dependent: Held,
    }
);

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Evaluates a SELECT without tables: at most one row, into `row`; returns whether there was one.
pub(super) fn evaluate(
    place: &DatabaseName,
    limits: QueryLimits,
    evaluation: &Evaluation,
    cells: &mut dyn Iterator<Item = Cell<'_>>,
    row: &mut Vec<Datum>,
) -> Result<bool> {
    SCRATCH.with_borrow_mut(|scratch| {
        let scratch = match scratch {
            Some(scratch) => scratch,
            None => {
                let mut connection = Connection::open_in_memory().map_err(|e| place.error(e))?;
                let configured = configure(&mut connection, STEPS);
                let bounds = configured.map_err(|error| place.error(error))?;
                round::install(&connection).map_err(|error| place.error(error))?;
                let owner = Limited {
                    connection,
                    bounds,
                    bytes: cell::Cell::new(0),
                };
                scratch.insert(Scratch::new(owner, |_| Held::default()))
            }
        };
        scratch.with_dependent(|owner, held| {
            owner
                .limit(limits.bytes)
                .map_err(|error| place.error(error))?;
            let mut held = held.borrow_mut();
            let at = match held.binary_search_by_key(&evaluation.number, |held| held.number) {
                Ok(at) => at,
                Err(_) => {
                    let prepared = owner.connection.prepare(&evaluation.sql);
                    let statement = prepared.map_err(|error| place.error(error))?;
                    held.retain(|held| held.life.strong_count() > 0);
                    let at = held.partition_point(|held| held.number < evaluation.number);
                    let (number, life) = (evaluation.number, evaluation.life());
                    held.insert(
                        at,
                        Prepared {
                            number,
                            life,
                            statement,
                        },
                    );
                    at
                }
            };
            let _running = owner.bounds.begin_later(limits.time);
            run(&mut held[at].statement, limits, cells, row).map_err(|error| {
                match error.sqlite_error_code() {
                    Some(ErrorCode::TooBig) => limits.too_many_bytes(),
                    Some(ErrorCode::OperationInterrupted) => limits.too_long(),
                    _ => place.error(error),
                }
            })?
        })
    })
}

fn run(
    statement: &mut Statement<'_>,
    limits: QueryLimits,
    cells: &mut dyn Iterator<Item = Cell<'_>>,
    row: &mut Vec<Datum>,
) -> rusqlite::Result<Result<bool>> {
    for (at, cell) in (1..).zip(cells) {
        statement.raw_bind_parameter(at, cell)?;
    }
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    row.clear();
    match rows.next()? {
        None => Ok(Ok(false)),
        Some(values) => {
            let mut bytes = 0;
            for at in 0..columns {
                let value = values.get_ref(at)?;
                bytes += size(value);
                if let Err(error) = limits.check_bytes(bytes) {
                    return Ok(Err(error));
                }
                row.push(datum(value));
            }
            Ok(Ok(true))
        }
    }
}
