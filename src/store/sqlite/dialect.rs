//! SQLite: what of its SQL is its own.

mod clock;
mod functions;
mod patterns;

use crate::error::Result;
use crate::store::dialect::NOW_DATETIME;
use crate::store::dialect::build::{self, Scalar, param};
use crate::store::dialect::capabilities::{
    Capabilities, Dialect, ExpressionRules, InternalColumn, Lexicon,
};
use crate::store::table::{Child, Table, Type};
#[cfg(test)]
pub(super) use functions::{BOUNDS, Bound};
pub(super) use patterns::{BOUNDED_GLOB, BOUNDED_LIKE};
use sqlparser::ast::{BinaryOperator, DataType, Expr, UnaryOperator};
use sqlparser::dialect::{Dialect as Grammar, Precedence, SQLiteDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;
use std::sync::LazyLock;

/// The dialect of SQLite.
pub(crate) const DIALECT: Dialect = &Sqlite;

#[derive(Debug)]
struct Sqlite;

/// Tables of each database, beside those that the beginning of their names shows.
const SYSTEM: [&str; 6] = [
    "bytecode",
    "completion",
    "dbstat",
    "fts3tokenize",
    "json_each",
    "json_tree",
];

static FUNCTIONS: LazyLock<Vec<&str>> = LazyLock::new(functions::names);

impl Capabilities for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn is_server(&self) -> bool {
        false
    }

    fn grammar(&self) -> &'static dyn Grammar {
        &SqliteGrammar
    }

    fn lexicon(&self) -> &'static Lexicon {
        &Lexicon {
            hash_comments: false,
            dashes_need_blank: false,
            executable_comments: false,
            backslash_escapes: false,
            double_quoted_texts: false,
            bracketed_names: true,
            sigil_parameters: true,
        }
    }

    fn expressions(&self) -> &'static ExpressionRules {
        &ExpressionRules {
            types_per_value: true,
            exact_decimals: false,
            wide_integers_are_reals: true,
            minus_gives_decimals: false,
            bars_concatenate: true,
            dates_are_texts: true,
            rounds_to_reals: true,
            epoch_modifiers: true,
        }
    }

    fn functions(&self) -> &'static [&'static str] {
        &FUNCTIONS
    }

    fn is_system(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        name.starts_with("sqlite_")
            || name.starts_with("pragma_")
            || SYSTEM.contains(&name.as_str())
    }

    fn qualifies_databases(&self) -> bool {
        false
    }

    fn main_schema(&self) -> Option<&'static str> {
        Some("main")
    }

    fn may_read_clock(&self, function: &str) -> bool {
        clock::is_time_function(function)
    }

    fn clock(&self) -> Expr {
        param(NOW_DATETIME)
    }

    fn rewrite(&self, expr: &Expr) -> Result<Option<Expr>> {
        Ok(match patterns::rewrite(expr) {
            Some(bounded) => Some(bounded),
            None => clock::rewrite(expr)?,
        })
    }

    fn identifier_quote(&self) -> char {
        '"'
    }

    fn numbers_parameters(&self) -> bool {
        true
    }

    fn column_type(&self, column: Type) -> String {
        let name = match column {
            Type::Integer => "INTEGER",
            Type::Real => "REAL",
            Type::Text(_) => "TEXT",
        };
        name.to_owned()
    }

    fn internal_type(&self, column: InternalColumn) -> &'static str {
        match column {
            InternalColumn::Id => "INTEGER PRIMARY KEY AUTOINCREMENT",
            InternalColumn::Number => "INTEGER",
            InternalColumn::Bytes => "BLOB",
            InternalColumn::Name
            | InternalColumn::Key
            | InternalColumn::Hash
            | InternalColumn::Text
            | InternalColumn::MediumText
            | InternalColumn::LongText => "TEXT",
        }
    }

    fn stored_by_key(&self) -> &'static str {
        " WITHOUT ROWID"
    }

    fn if_no_index(&self) -> &'static str {
        "IF NOT EXISTS "
    }

    fn upsert_clause(&self, key: &[&str], others: &[&str]) -> String {
        let key = self.quote_all(key);
        if others.is_empty() {
            return format!(" ON CONFLICT ({key}) DO NOTHING");
        }
        let set = others.iter().map(|name| {
            let name = self.quote(name);
            format!("{name} = excluded.{name}")
        });
        let set = set.collect::<Vec<_>>().join(", ");
        format!(" ON CONFLICT ({key}) DO UPDATE SET {set}")
    }

    fn delete_where(&self, table: &Table, condition: &dyn Fn(&str) -> String) -> Vec<String> {
        let mut statements = Vec::new();
        self.delete_nested(table, &condition(""), &mut statements);
        statements
    }

    fn data_type(&self, to: Scalar) -> DataType {
        match to {
            Scalar::Integer => DataType::Integer(None),
            Scalar::Real | Scalar::Decimal => DataType::Real,
            Scalar::Text => DataType::Text,
        }
    }

    fn cast_result(&self, to: &DataType) -> Option<Scalar> {
        match to {
            DataType::Integer(None) | DataType::Int(None) | DataType::BigInt(None) => {
                Some(Scalar::Integer)
            }
            DataType::Real | DataType::Double(_) => Some(Scalar::Real),
            DataType::Text => Some(Scalar::Text),
            _ => None,
        }
    }

    /// Aggregates have no affinity, and a unary plus takes that of a cast away.
    fn typed_parameter(&self, parameter: Expr, kind: Scalar, _may_be_infinite: bool) -> Expr {
        Expr::Nested(Box::new(Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr: Box::new(build::cast(parameter, self.data_type(kind))),
        }))
    }

    fn not_distinct(&self, left: Expr, right: Expr) -> Expr {
        Expr::IsNotDistinctFrom(Box::new(left), Box::new(right))
    }

    fn batches_rows(&self) -> bool {
        false
    }

    fn bounds_texts(&self) -> bool {
        false
    }

    fn events_per_transaction(&self) -> usize {
        1_024
    }
}

impl Sqlite {
    /// `DELETE FROM child WHERE (links) IN (SELECT keys FROM parent WHERE …)`, children first.
    fn delete_nested(&self, table: &Table, condition: &str, statements: &mut Vec<String>) {
        for child in table.children() {
            let (theirs, ours) = links(child);
            let below = format!(
                "({}) IN (SELECT {} FROM {} WHERE {condition})",
                self.quote_all(&theirs),
                self.quote_all(&ours),
                self.quote(table.name())
            );
            self.delete_nested(&child.table, &below, statements);
        }
        statements.push(format!(
            "DELETE FROM {} WHERE {condition}",
            self.quote(table.name())
        ));
    }
}

/// The columns of a child that link it to its parent, and the parent's.
fn links(child: &Child) -> (Vec<&str>, Vec<&str>) {
    child
        .parent
        .iter()
        .map(|(theirs, ours)| (theirs.as_str(), ours.as_str()))
        .unzip()
}

/// SQLite's grammar, with the intervals of MySQL, and with NOT GLOB.
#[derive(Debug)]
struct SqliteGrammar;

impl Grammar for SqliteGrammar {
    fn dialect(&self) -> std::any::TypeId {
        SQLiteDialect {}.dialect()
    }
    fn is_delimited_identifier_start(&self, c: char) -> bool {
        SQLiteDialect {}.is_delimited_identifier_start(c)
    }
    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        SQLiteDialect {}.identifier_quote_style(identifier)
    }
    fn is_identifier_start(&self, c: char) -> bool {
        SQLiteDialect {}.is_identifier_start(c)
    }
    fn is_identifier_part(&self, c: char) -> bool {
        SQLiteDialect {}.is_identifier_part(c)
    }
    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }
    fn supports_in_empty_list(&self) -> bool {
        true
    }
    fn supports_limit_comma(&self) -> bool {
        true
    }
    fn supports_notnull_operator(&self) -> bool {
        true
    }
    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        expr: &sqlparser::ast::Expr,
        precedence: u8,
    ) -> Option<Result<sqlparser::ast::Expr, sqlparser::parser::ParserError>> {
        if !parser.parse_keywords(&[Keyword::NOT, Keyword::GLOB]) {
            return SQLiteDialect {}.parse_infix(parser, expr, precedence);
        }
        let glob = |right| Expr::BinaryOp {
            left: Box::new(expr.clone()),
            op: BinaryOperator::Glob,
            right: Box::new(right),
        };
        let not = |glob| Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: Box::new(glob),
        };
        let right = parser.parse_subexpr(precedence);
        Some(right.map(|right| Expr::Nested(Box::new(not(glob(right))))))
    }
    fn get_next_precedence(
        &self,
        parser: &Parser<'_>,
    ) -> Option<Result<u8, sqlparser::parser::ParserError>> {
        let is = |at, keyword| {
            let token = &parser.peek_nth_token_ref(at).token;
            matches!(token, Token::Word(word) if word.keyword == keyword)
        };
        let is_not_glob = is(0, Keyword::NOT) && is(1, Keyword::GLOB);
        is_not_glob.then(|| Ok(self.prec_value(Precedence::Like)))
    }
    fn require_interval_qualifier(&self) -> bool {
        true
    }
}
