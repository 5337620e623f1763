//! How the time of a query is limited, which MariaDB and MySQL do each in its own way.
//!
//! MariaDB takes the limit before the statement. MySQL has one for all queries of a session, which
//! is removed for the queries of Tributary itself. Neither touches statements that write. Both end a
//! recursion by themselves after a thousand rounds, MariaDB without a word; here time ends it.

use crate::store::limits::QueryLimits;
use mysql::prelude::Queryable;
use mysql::{Conn, Result};
use std::borrow::Cow;
use std::time::Duration;

/// The longest time that MariaDB takes as a limit: a year.
const LONGEST: Duration = Duration::from_secs(31_536_000);

/// The limit of one connection.
pub(super) struct Watch {
    pub limits: QueryLimits,
    way: Way,
}

enum Way {
    /// The text before a query.
    Mariadb(String),
    /// Whether the session has the limit now.
    Mysql(bool),
}

impl Watch {
    /// Finds out which database it is; queries are unlimited until [`prepare`](Self::prepare).
    pub fn new(connection: &mut Conn, limits: QueryLimits) -> Result<Self> {
        let version: Option<String> = connection.query_first("SELECT version()")?;
        let way = if version.is_some_and(|version| version.contains("MariaDB")) {
            connection.query_drop("SET SESSION max_recursive_iterations = 4294967295")?;
            let seconds = limits.time.min(LONGEST).as_secs_f64();
            Way::Mariadb(format!(
                "SET STATEMENT max_statement_time = {seconds:.3} FOR "
            ))
        } else {
            connection.query_drop("SET SESSION cte_max_recursion_depth = 4294967295")?;
            Way::Mysql(false)
        };
        Ok(Watch { limits, way })
    }

    /// The query as it is to be run, with the limit or without.
    pub fn prepare<'a>(
        &mut self,
        connection: &mut Conn,
        sql: &'a str,
        limited: bool,
    ) -> Result<Cow<'a, str>> {
        match &mut self.way {
            Way::Mariadb(before) if limited => Ok(format!("{before}{sql}").into()),
            Way::Mariadb(_) => Ok(sql.into()),
            Way::Mysql(now) => {
                if *now != limited {
                    let millis = if limited {
                        self.limits.time.min(LONGEST).as_millis()
                    } else {
                        0
                    };
                    let millis = millis.min(u128::from(u32::MAX));
                    connection.query_drop(format!("SET SESSION max_execution_time = {millis}"))?;
                    *now = limited;
                }
                Ok(sql.into())
            }
        }
    }
}
