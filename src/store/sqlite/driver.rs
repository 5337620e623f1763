//! One node's way to the shared connection.

use super::values::{datum, json, size};
use super::{Lengths, Shared, schema};
use crate::error::{Error, Result};
use crate::store::datum::Datum;
use crate::store::driver::{Driver, Each, Evaluation, Existing, Failure};
use crate::store::limits::{QueryLimits, Tally};
use crate::store::row::Cell;
use parking_lot::{ArcMutexGuard, RawMutex};
use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, params_from_iter};
use serde_json::{Map, Value};

/// The driver.
pub(super) struct Sqlite {
    shared: Shared,
    limits: QueryLimits,
    /// Held from `begin` until the transaction is over.
    guard: Option<ArcMutexGuard<RawMutex, Connection>>,
}

impl Sqlite {
    pub fn new(shared: Shared, limits: QueryLimits) -> Self {
        Sqlite {
            shared,
            limits,
            guard: None,
        }
    }

    /// Works with the connection, held already or for this moment.
    fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        match &self.guard {
            Some(connection) => work(connection),
            None => work(&self.shared.connection.lock()),
        }
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.with(|connection| connection.prepare_cached(sql)?.execute([]))
            .map(|_| ())
            .map_err(|error| self.shared.place.error(error))
    }

    /// Some errors end the transaction: then all of it has to be done again.
    fn still_open(&self, error: Error) -> Error {
        if self.guard.as_ref().is_some_and(|c| c.is_autocommit()) {
            error.retryable()
        } else {
            error
        }
    }

    fn read(
        &self,
        sql: &str,
        cells: &[Cell<'_>],
        limits: Option<QueryLimits>,
    ) -> Result<Vec<Map<String, Value>>> {
        let mut out_of_memory = false;
        let mut convert = |error: rusqlite::Error| match (error.sqlite_error_code(), limits) {
            (Some(ErrorCode::OutOfMemory), Some(_)) => {
                out_of_memory = true;
                Error::data("there is not enough memory for the query")
            }
            (Some(ErrorCode::OperationInterrupted), Some(limits)) => limits.too_long(),
            (Some(ErrorCode::TooBig), Some(limits)) => limits.too_many_bytes(),
            _ => self.shared.place.error(error),
        };
        let answer = self.with(|connection| {
            // Only with the lock held: the connection has one time and one length.
            let bounds = &self.shared.bounds;
            let _running = limits.map(|limits| bounds.begin(limits.time));
            let lengths = limits.map(|limits| Lengths::limit(connection, bounds, limits.bytes));
            let _lengths = lengths.transpose().map_err(&mut convert)?;
            let mut tally = limits.map(Tally::new);
            let mut statement = connection.prepare_cached(sql).map_err(&mut convert)?;
            let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let mut answer = Vec::new();
            let mut rows = statement
                .query(params_from_iter(cells))
                .map_err(&mut convert)?;
            while let Some(row) = rows.next().map_err(&mut convert)? {
                if let Some(tally) = &mut tally {
                    tally.row()?;
                }
                let mut object = Map::with_capacity(names.len());
                for (at, name) in names.iter().enumerate() {
                    let value = row.get_ref(at).map_err(&mut convert)?;
                    if let Some(tally) = &mut tally {
                        tally.value(name, size(value))?;
                    }
                    object.insert(name.clone(), json(name, value)?);
                }
                answer.push(object);
            }
            Ok(answer)
        });
        answer.map_err(|error| {
            if out_of_memory {
                // That ends the transaction, and would again: the query is to blame.
                error
            } else {
                self.still_open(error)
            }
        })
    }
}

impl Sqlite {
    fn read_data(&self, sql: &str, cells: &[Cell<'_>], each: &mut Each<'_>) -> Result<()> {
        let convert = |error| self.shared.place.error(error);
        self.with(|connection| {
            let mut statement = connection.prepare_cached(sql).map_err(convert)?;
            let columns = statement.column_count();
            let mut rows = statement.query(params_from_iter(cells)).map_err(convert)?;
            let mut row = Vec::with_capacity(columns);
            while let Some(values) = rows.next().map_err(convert)? {
                row.clear();
                for at in 0..columns {
                    row.push(datum(values.get_ref(at).map_err(convert)?));
                }
                each(&mut row)?;
            }
            Ok(())
        })
    }
}

impl Driver for Sqlite {
    fn begin(&mut self) -> Result<()> {
        if self.guard.is_none() {
            self.guard = Some(self.shared.connection.lock_arc());
        }
        let begun = self.run("BEGIN IMMEDIATE");
        if begun.is_err() {
            self.guard = None;
        }
        begun
    }

    fn commit(&mut self) -> Result<()> {
        self.run("COMMIT")
    }

    fn rollback(&mut self) {
        if let Some(connection) = self.guard.take()
            && !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            log::error!("{}: rollback failed: {error}", self.shared.place);
        }
    }

    fn release(&mut self) {
        self.guard = None;
    }

    fn execute(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<u64, Failure> {
        let done = self.with(|connection| {
            connection
                .prepare_cached(sql)?
                .execute(params_from_iter(cells))
        });
        match done {
            Ok(count) => Ok(count as u64),
            Err(error) => Err(match self.shared.place.failure(error) {
                Failure::Other(error) => Failure::Other(self.still_open(error)),
                conflict => conflict,
            }),
        }
    }

    fn rows(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<Vec<Map<String, Value>>> {
        self.read(sql, cells, Some(self.limits))
    }

    fn all(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<Vec<Map<String, Value>>> {
        self.read(sql, cells, None)
    }

    fn data(&mut self, sql: &str, cells: &[Cell<'_>], each: &mut Each<'_>) -> Result<()> {
        self.read_data(sql, cells, each)
            .map_err(|error| self.still_open(error))
    }

    fn evaluate(
        &mut self,
        evaluation: &Evaluation,
        cells: &mut dyn Iterator<Item = Cell<'_>>,
        row: &mut Vec<Datum>,
    ) -> Result<bool> {
        super::scratch::evaluate(&self.shared.place, self.limits, evaluation, cells, row)
    }

    fn data_version(&mut self) -> Result<Option<u64>> {
        if self.shared.place.is_memory() {
            return Ok(None);
        }
        let version = self.with(|connection| {
            let mut statement = connection.prepare_cached("PRAGMA data_version")?;
            statement.query_row([], |row| row.get::<_, i64>(0))
        });
        let version = version.map_err(|error| self.shared.place.error(error))?;
        Ok(u64::try_from(version).ok())
    }

    fn existing(&mut self, name: &str) -> Result<Option<Existing>> {
        self.with(|connection| schema::existing(connection, name))
            .map_err(|error| self.shared.place.error(error))
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Cell::Null => ToSqlOutput::Owned(Owned::Null),
            Cell::Integer(whole) => ToSqlOutput::Owned(Owned::Integer(*whole)),
            Cell::Real(real) => ToSqlOutput::Owned(Owned::Real(*real)),
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}
