//! One connection to MySQL.

use super::fault::{self, DatabaseName};
use super::limit::Watch;
use super::schema;
use crate::error::Result;
use crate::store::datum::Datum;
use crate::store::driver::{Driver, Each, Evaluation, Existing, Failure};
use crate::store::limits::Tally;
use crate::store::row::{Cell, unsigned};
use crate::store::value;
use mysql::consts::{ColumnFlags, ColumnType};
use mysql::prelude::Queryable;
use mysql::{Column, Conn, Params, Value as Raw};
use serde_json::{Map, Value};

/// Makes a connection.
pub(super) type Connect = dyn Fn() -> mysql::Result<(Conn, Watch)> + Send;

/// The driver.
///
/// A row that is larger than an answer may be is not read, which leaves the connection in the midst of
/// it: such a connection is used no more, and another one is made once no transaction is lost with it.
pub(super) struct Mysql {
    connection: Conn,
    watch: Watch,
    place: DatabaseName,
    connect: Box<Connect>,
    begun: bool,
    spent: bool,
    /// How many connections were made before this one.
    session: u64,
}

impl Mysql {
    pub fn new(place: DatabaseName, connect: Box<Connect>) -> Result<Self> {
        let (connection, watch) = connect().map_err(|error| place.error(error))?;
        Ok(Mysql {
            connection,
            watch,
            place,
            connect,
            begun: false,
            spent: false,
            session: 0,
        })
    }

    /// Makes another connection in place of one that is spent.
    fn ready(&mut self) -> Result<()> {
        if self.spent {
            if self.begun {
                return Err(self
                    .place
                    .gone("an answer was too large to be read to its end"));
            }
            let made = (self.connect)().map_err(|error| self.place.error(error))?;
            (self.connection, self.watch) = made;
            self.spent = false;
            self.session += 1;
        }
        Ok(())
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        self.ready()?;
        self.connection
            .query_drop(sql)
            .map_err(|error| self.place.error(error))
    }

    fn read(
        &mut self,
        sql: &str,
        cells: &[Cell<'_>],
        limited: bool,
    ) -> Result<Vec<Map<String, Value>>> {
        self.ready()?;
        let (place, limits, spent) = (&self.place, self.watch.limits, &mut self.spent);
        let mut convert = |error| match error {
            error if fault::is_too_long(&error) => limits.too_long(),
            error if fault::is_too_large(&error) => {
                *spent = true;
                limits.too_many_bytes()
            }
            error => place.error(error),
        };
        let mut tally = limited.then(|| Tally::new(limits));
        let sql = self
            .watch
            .prepare(&mut self.connection, sql, limited)
            .map_err(&mut convert)?;
        let mut rows = self
            .connection
            .exec_iter(&*sql, params(cells))
            .map_err(&mut convert)?;
        let columns: Vec<Column> = rows.columns().as_ref().to_vec();
        let names: Vec<String> = columns.iter().map(|c| c.name_str().into_owned()).collect();
        let mut answer = Vec::new();
        for row in rows.by_ref() {
            let mut row = row.map_err(&mut convert)?;
            if let Some(tally) = &mut tally {
                tally.row()?;
            }
            let mut object = Map::with_capacity(names.len());
            for (at, (name, column)) in names.iter().zip(&columns).enumerate() {
                let raw = row.take(at).unwrap_or(Raw::NULL);
                if let Some(tally) = &mut tally {
                    tally.value(name, size(column, &raw))?;
                }
                object.insert(name.clone(), json(name, column, raw)?);
            }
            answer.push(object);
        }
        drop(rows);
        let warned = limited && self.connection.warnings() > 0;
        if warned && cut_short(&mut self.connection).map_err(convert)? {
            return Err(limits.too_many_bytes());
        }
        Ok(answer)
    }
}

impl Mysql {
    fn read_data(&mut self, sql: &str, cells: &[Cell<'_>], each: &mut Each<'_>) -> Result<()> {
        self.ready()?;
        let (place, limits, spent) = (&self.place, self.watch.limits, &mut self.spent);
        let mut convert = |error| {
            if fault::is_too_large(&error) {
                *spent = true;
                limits.too_many_bytes()
            } else {
                place.error(error)
            }
        };
        let mut rows = self
            .connection
            .exec_iter(sql, params(cells))
            .map_err(&mut convert)?;
        let columns: Vec<Column> = rows.columns().as_ref().to_vec();
        let names: Vec<String> = columns.iter().map(|c| c.name_str().into_owned()).collect();
        let mut data = Vec::with_capacity(columns.len());
        for row in rows.by_ref() {
            let mut row = row.map_err(&mut convert)?;
            data.clear();
            for (at, (name, column)) in names.iter().zip(&columns).enumerate() {
                let raw = row.take(at).unwrap_or(Raw::NULL);
                // One row after the other: each may have as much as an answer.
                limits.check_bytes(size(column, &raw))?;
                data.push(match raw {
                    // An infinite one too: whether it is shown is not known here.
                    Raw::Double(real) => Datum::Real(unsigned(real)),
                    raw => Datum::from_json(json(name, column, raw)?),
                });
            }
            each(&mut data)?;
        }
        Ok(())
    }
}

impl Driver for Mysql {
    fn begin(&mut self) -> Result<()> {
        self.run("BEGIN")?;
        self.begun = true;
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.run("COMMIT")?;
        self.begun = false;
        Ok(())
    }

    fn rollback(&mut self) {
        self.begun = false;
        if self.spent {
            return;
        }
        // Where the connection is gone, so is the transaction.
        if let Err(error) = self.run("ROLLBACK") {
            log::debug!("rollback failed: {error}");
        }
    }

    fn release(&mut self) {}

    fn execute(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<u64, Failure> {
        self.ready().map_err(Failure::Other)?;
        let done = match cells {
            // Not every statement can be prepared.
            [] => self.connection.query_drop(sql),
            cells => self.connection.exec_drop(sql, params(cells)),
        };
        match done {
            Ok(()) => Ok(self.connection.affected_rows()),
            Err(error) => Err(self.place.failure(error)),
        }
    }

    fn rows(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<Vec<Map<String, Value>>> {
        self.read(sql, cells, true)
    }

    fn all(&mut self, sql: &str, cells: &[Cell<'_>]) -> Result<Vec<Map<String, Value>>> {
        self.read(sql, cells, false)
    }

    fn data(&mut self, sql: &str, cells: &[Cell<'_>], each: &mut Each<'_>) -> Result<()> {
        self.read_data(sql, cells, each)
    }

    fn evaluate(
        &mut self,
        evaluation: &Evaluation,
        cells: &mut dyn Iterator<Item = Cell<'_>>,
        row: &mut Vec<Datum>,
    ) -> Result<bool> {
        let cells: Vec<Cell<'_>> = cells.collect();
        let mut found = false;
        self.read_data(&evaluation.sql, &cells, &mut |values| {
            found = true;
            std::mem::swap(row, values);
            Ok(())
        })?;
        Ok(found)
    }

    fn data_version(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn session(&self) -> u64 {
        self.session
    }

    fn existing(&mut self, name: &str) -> Result<Option<Existing>> {
        self.ready()?;
        schema::existing(&mut self.connection, name).map_err(|error| self.place.error(error))
    }
}

/// The warning that the server has made a value null, since it was larger than what it sends.
const OVERFLOWED: u16 = 1301;

/// Whether a value of the answer before this was left out by the server.
fn cut_short(connection: &mut Conn) -> mysql::Result<bool> {
    let warnings: Vec<(String, u16, String)> = connection.query("SHOW WARNINGS")?;
    Ok(warnings.iter().any(|(_, code, _)| *code == OVERFLOWED))
}

/// How many bytes a value takes in an answer, at most.
fn size(column: &Column, raw: &Raw) -> usize {
    match raw {
        Raw::Bytes(bytes) if column.character_set() == BINARY => bytes.len() / 3 * 4 + 4,
        Raw::Bytes(bytes) => bytes.len(),
        _ => 8,
    }
}

fn params(cells: &[Cell<'_>]) -> Params {
    match cells {
        [] => Params::Empty,
        cells => Params::Positional(cells.iter().map(raw).collect()),
    }
}

fn raw(cell: &Cell<'_>) -> Raw {
    match cell {
        Cell::Null => Raw::NULL,
        Cell::Integer(whole) => Raw::Int(*whole),
        Cell::Real(real) => Raw::Double(*real),
        Cell::Text(text) => Raw::Bytes(text.as_bytes().to_vec()),
    }
}

/// The character set of what is bytes and no text.
const BINARY: u16 = 63;

/// A value of an answer as JSON.
fn json(name: &str, column: &Column, raw: Raw) -> Result<Value> {
    use ColumnType::{
        MYSQL_TYPE_BIT, MYSQL_TYPE_BLOB, MYSQL_TYPE_DATE, MYSQL_TYPE_LONG_BLOB,
        MYSQL_TYPE_MEDIUM_BLOB, MYSQL_TYPE_STRING, MYSQL_TYPE_TINY_BLOB, MYSQL_TYPE_VAR_STRING,
        MYSQL_TYPE_VARCHAR,
    };
    let kind = column.column_type();
    Ok(match raw {
        Raw::NULL => Value::Null,
        Raw::Int(whole) => whole.into(),
        Raw::UInt(whole) => whole.into(),
        // By way of its text, a float stays as short as it is shown.
        Raw::Float(real) => value::real(name, real.to_string().parse().unwrap_or(f64::NAN))?,
        Raw::Double(real) => value::real(name, real)?,
        Raw::Bytes(bytes) if kind == MYSQL_TYPE_BIT => bytes
            .iter()
            .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte))
            .into(),
        Raw::Bytes(bytes) => {
            let may_be_bytes = matches!(
                kind,
                MYSQL_TYPE_BLOB
                    | MYSQL_TYPE_TINY_BLOB
                    | MYSQL_TYPE_MEDIUM_BLOB
                    | MYSQL_TYPE_LONG_BLOB
                    | MYSQL_TYPE_STRING
                    | MYSQL_TYPE_VAR_STRING
                    | MYSQL_TYPE_VARCHAR
            );
            let is_bytes = may_be_bytes
                && column.character_set() == BINARY
                && column.flags().contains(ColumnFlags::BINARY_FLAG);
            if is_bytes {
                value::base64(&bytes).into()
            } else {
                value::text(&bytes)
            }
        }
        Raw::Date(year, month, day, ..) if kind == MYSQL_TYPE_DATE => {
            format!("{year:04}-{month:02}-{day:02}").into()
        }
        Raw::Date(year, month, day, hour, minute, second, micros) => {
            let mut text =
                format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
            if micros > 0 {
                text.push_str(&format!(".{micros:06}"));
            }
            text.into()
        }
        Raw::Time(negative, days, hours, minutes, seconds, micros) => {
            let sign = if negative { "-" } else { "" };
            let hours = days * 24 + u32::from(hours);
            let mut text = format!("{sign}{hours:02}:{minutes:02}:{seconds:02}");
            if micros > 0 {
                text.push_str(&format!(".{micros:06}"));
            }
            text.into()
        }
    })
}
