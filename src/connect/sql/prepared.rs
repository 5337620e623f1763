//! The query of a source, checked against the database and its cursor.

use super::cursor::Columns;
use crate::connect::{Address, Settings};
use crate::error::{Result, quote};
use crate::store::{Asker, Database, Query};

/// A query that is ready to run.
pub(super) struct Prepared {
    pub database: Database,
    pub query: Query,
    /// The limit of the query, if it has one, in rows.
    pub limit: Option<u64>,
}

/// The query as a prepared one; its limit becomes a parameter.
pub(super) fn prepare(
    address: &Address,
    columns: &Columns,
    settings: &Settings,
) -> Result<Prepared> {
    let database = Database::open(address.rest())?.with_limits(settings.query_limits());
    let given = settings.required("query")?;
    // The text as it was given, since errors refer to it.
    let query = database.prepare_for(Asker::Cursor, given)?;
    for column in columns.names() {
        if !query.columns().contains(column) {
            let known = query.columns().join(", ");
            let error = settings.refuse(format!("the query has no column {}", quote(column)));
            return Err(error.with_hint(format!("its columns are {known}")));
        }
    }
    let fields = query.fields();
    let is_known = |field: &str| {
        columns.names().iter().any(|name| name == field)
            || (field == "cursor" && columns.names().len() == 1)
    };
    if let Some(unknown) = fields.iter().find(|field| !is_known(field)) {
        let unknown = quote(format!(":{unknown}"));
        let error = settings.refuse(format!("bad query: no value for {unknown}"));
        return Err(error.with_hint(columns.hint()));
    }
    let asks = |name: &String| fields.contains(&name.as_str()) || fields.contains(&"cursor");
    if !columns.names().iter().all(asks) {
        let error = match columns.names() {
            [_] => "the query does not use :cursor",
            _ => "the query does not compare every column of its cursor",
        };
        return Err(settings.refuse(error).with_hint(columns.hint()));
    }
    let paged = database.paged(given)?;
    if !paged.is_ordered {
        let by = columns.names().join(", ");
        log::warn!("{address}: the query has no order; write order by {by}");
    }
    if let Some(table) = &paged.table
        && database.is_unique(table, columns.names())? == Some(false)
    {
        log::warn!(
            "{address}: several rows of table {} may have the same {}: one that comes later with a \
             value that was passed is not read; add a unique column to the cursor, as in \
             cursor = {{\"at\", \"id\"}}",
            quote(table),
            columns.sql(),
        );
    }
    let (query, limit) = match paged.limit {
        None => (query, None),
        limit => (database.prepare_for(Asker::Cursor, &paged.sql)?, limit),
    };
    Ok(Prepared {
        database,
        query,
        limit,
    })
}
