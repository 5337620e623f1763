//! MySQL and MariaDB: what of their SQL is their own.

mod calls;
mod functions;
mod relations;

use crate::error::Result;
use crate::store::dialect::build::{self, Scalar, call, param};
use crate::store::dialect::capabilities::{
    Capabilities, Dialect, ExpressionRules, InternalColumn, Lexicon, SessionLock,
};
use crate::store::dialect::functions::names;
use crate::store::dialect::tokens::Tokens;
use crate::store::dialect::{NOW_DATETIME, not_one_select};
use crate::store::table::{Table, Type};
pub(crate) use relations::{Relations, ServerSchema};
use sqlparser::ast::{BinaryOperator, DataType, ExactNumberInfo, Expr, Value};
use sqlparser::dialect::{Dialect as Grammar, MySqlDialect};
use std::sync::LazyLock;

/// The dialect of MySQL and MariaDB.
pub(crate) const DIALECT: Dialect = &Mysql;

#[derive(Debug)]
struct Mysql;

static FUNCTIONS: LazyLock<Vec<&str>> = LazyLock::new(|| names(functions::NAMES));

impl Capabilities for Mysql {
    fn name(&self) -> &'static str {
        "MySQL"
    }

    fn is_server(&self) -> bool {
        true
    }

    fn grammar(&self) -> &'static dyn Grammar {
        &MySqlDialect {}
    }

    fn lexicon(&self) -> &'static Lexicon {
        &Lexicon {
            hash_comments: true,
            dashes_need_blank: true,
            executable_comments: true,
            backslash_escapes: true,
            double_quoted_texts: true,
            bracketed_names: false,
            sigil_parameters: false,
        }
    }

    fn expressions(&self) -> &'static ExpressionRules {
        &ExpressionRules {
            types_per_value: false,
            exact_decimals: true,
            wide_integers_are_reals: false,
            minus_gives_decimals: true,
            bars_concatenate: false,
            dates_are_texts: false,
            rounds_to_reals: false,
            epoch_modifiers: false,
        }
    }

    fn functions(&self) -> &'static [&'static str] {
        &FUNCTIONS
    }

    fn check_tokens(&self, tokens: &Tokens<'_>) -> Result<()> {
        for at in 0..tokens.len() {
            let word = tokens.word(at);
            if word == "value" && tokens.word(at + 1) == "for" {
                return Err(not_one_select().with_hint("a sequence is written when it is read"));
            }
            if word == "table" && !tokens.is_symbol_before(at, b'.') {
                return Err(not_one_select().with_hint("write select * from in place of table"));
            }
        }
        Ok(())
    }

    fn check_calls(&self, tokens: &Tokens<'_>) -> Result<()> {
        calls::check(tokens)
    }

    fn is_system(&self, name: &str) -> bool {
        relations::is_system(name)
    }

    fn qualifies_databases(&self) -> bool {
        true
    }

    fn clock(&self) -> Expr {
        build::cast(param(NOW_DATETIME), DataType::Datetime(None))
    }

    fn identifier_quote(&self) -> char {
        '`'
    }

    fn numbers_parameters(&self) -> bool {
        false
    }

    /// Long texts are stored outside the row, whose size is limited.
    fn column_type(&self, column: Type) -> String {
        match column {
            Type::Integer => "BIGINT".to_owned(),
            Type::Real => "DOUBLE".to_owned(),
            Type::Text(len @ 0..=1_000) => format!("VARCHAR({len})"),
            // At four bytes for a character, 65,535 bytes.
            Type::Text(1_001..=16_383) => "TEXT".to_owned(),
            Type::Text(_) => "MEDIUMTEXT".to_owned(),
        }
    }

    fn internal_type(&self, column: InternalColumn) -> &'static str {
        match column {
            InternalColumn::Id => "BIGINT AUTO_INCREMENT PRIMARY KEY",
            InternalColumn::Name => "VARCHAR(255)",
            InternalColumn::Key => "VARCHAR(128)",
            InternalColumn::Hash => "CHAR(32)",
            InternalColumn::Number => "BIGINT",
            InternalColumn::Text => "TEXT",
            InternalColumn::MediumText => "MEDIUMTEXT",
            InternalColumn::LongText => "LONGTEXT",
            InternalColumn::Bytes => "LONGBLOB",
        }
    }

    fn max_key_bytes(&self) -> Option<usize> {
        Some(3_072)
    }

    fn upsert_clause(&self, key: &[&str], others: &[&str]) -> String {
        let names = if others.is_empty() { key } else { others };
        let set = names.iter().map(|name| {
            let name = self.quote(name);
            format!("{name} = VALUES({name})")
        });
        let set = set.collect::<Vec<_>>().join(", ");
        format!(" ON DUPLICATE KEY UPDATE {set}")
    }

    /// `DELETE parent, child FROM parent LEFT JOIN child ON … WHERE …`: one statement, since between two
    /// of them another connection may commit a row that the second one sees and the first did not.
    fn delete_where(&self, table: &Table, condition: &dyn Fn(&str) -> String) -> Vec<String> {
        let mut targets = vec!["t0".to_owned()];
        let mut from = format!("{} AS t0", self.quote(table.name()));
        self.join_children(table, 0, &mut targets, &mut from);
        let targets = targets.join(", ");
        let condition = condition("t0.");
        vec![format!("DELETE {targets} FROM {from} WHERE {condition}")]
    }

    /// The name of a lock is one for the whole server, and has at most 64 characters.
    fn requeue_lock(&self) -> Option<&'static str> {
        Some(
            "SELECT GET_LOCK(CONCAT('tributary_requeue_', MD5(DATABASE())), 0) AS held, \
             IS_USED_LOCK(CONCAT('tributary_requeue_', MD5(DATABASE()))) AS holder",
        )
    }

    fn session_lock(&self) -> Option<&'static SessionLock> {
        Some(&SessionLock {
            take: "SELECT GET_LOCK(?, ?) AS held",
            check: "SELECT COALESCE(IS_USED_LOCK(?) = CONNECTION_ID(), 0) AS held",
            release: "SELECT RELEASE_LOCK(?) AS held",
        })
    }

    fn empty_from(&self) -> &'static str {
        " FROM DUAL"
    }

    fn data_type(&self, to: Scalar) -> DataType {
        match to {
            Scalar::Integer => DataType::Signed,
            Scalar::Real => DataType::Double(ExactNumberInfo::None),
            Scalar::Decimal => DataType::Decimal(ExactNumberInfo::PrecisionAndScale(65, 0)),
            Scalar::Text => DataType::Char(None),
        }
    }

    fn cast_result(&self, to: &DataType) -> Option<Scalar> {
        match to {
            DataType::Signed | DataType::SignedInteger => Some(Scalar::Integer),
            DataType::Real | DataType::Double(_) => Some(Scalar::Real),
            DataType::Text | DataType::Char(_) => Some(Scalar::Text),
            _ => None,
        }
    }

    /// A cast turns infinity into the greatest double; COALESCE with a NULL of the type does not.
    fn typed_parameter(&self, parameter: Expr, kind: Scalar, may_be_infinite: bool) -> Expr {
        let to = self.data_type(kind);
        if kind == Scalar::Real && may_be_infinite {
            let null = Expr::Value(Value::Null.with_empty_span());
            return call("COALESCE", vec![parameter, build::cast(null, to)]);
        }
        build::cast(parameter, to)
    }

    fn not_distinct(&self, left: Expr, right: Expr) -> Expr {
        Expr::BinaryOp {
            left: Box::new(left),
            op: BinaryOperator::Spaceship,
            right: Box::new(right),
        }
    }

    fn batches_rows(&self) -> bool {
        true
    }

    fn bounds_texts(&self) -> bool {
        true
    }

    /// Fewer than elsewhere: where a row is refused, all of them are written one by one.
    fn events_per_transaction(&self) -> usize {
        256
    }
}

impl Mysql {
    fn join_children(
        &self,
        table: &Table,
        above: usize,
        targets: &mut Vec<String>,
        from: &mut String,
    ) {
        for child in table.children() {
            let number = targets.len();
            targets.push(format!("t{number}"));
            let on: Vec<String> = child
                .parent
                .iter()
                .map(|(theirs, ours)| {
                    let (theirs, ours) = (self.quote(theirs), self.quote(ours));
                    format!("t{number}.{theirs} = t{above}.{ours}")
                })
                .collect();
            from.push_str(&format!(
                " LEFT JOIN {} AS t{number} ON {}",
                self.quote(child.table.name()),
                on.join(" AND ")
            ));
            self.join_children(&child.table, number, targets, from);
        }
    }
}
