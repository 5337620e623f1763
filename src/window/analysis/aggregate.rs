//! The keys and aggregates of an expression, and symbols in their place.
//!
//! The invariant: each aggregate is in the list once, and its argument has one type. Which aggregates
//! there are, and their types, is in `window/aggregates`.

use super::expressions::{binary, nested, unwrapped};
use super::row_sql::RowSqlBuilder;
use super::scope::Scope;
use super::sql_type::{self, SqlType};
use super::survey::{self, Survey, name_of};
use super::symbol::Symbol;
use super::{Aggregate, Reason};
use crate::error::quote;
use crate::store::Dialect;
use crate::window::aggregates::{AggregateFunction, Argument, ArgumentType, ResultType};
use sqlparser::ast::{
    self, BinaryOperator, DuplicateTreatment, Expr, FunctionArg, FunctionArgExpr,
    FunctionArguments, VisitMut, VisitorMut,
};
use std::ops::ControlFlow;

/// The keys and aggregates of a query, and what they are computed from.
pub(super) struct AggregateCollector<'a, 'b> {
    dialect: Dialect,
    scope: &'a Scope<'b>,
    pub keys: &'a [Expr],
    key_kinds: Vec<SqlType>,
    pub computing: RowSqlBuilder,
    pub aggregates: Vec<Aggregate>,
}

impl<'a, 'b> AggregateCollector<'a, 'b> {
    /// Begins with the keys.
    pub fn new(
        dialect: Dialect,
        scope: &'a Scope<'b>,
        keys: &'a [Expr],
        computing: RowSqlBuilder,
    ) -> Result<Self, Reason> {
        let mut collector = AggregateCollector {
            dialect,
            scope,
            keys,
            key_kinds: Vec::new(),
            computing,
            aggregates: Vec::new(),
        };
        for key in keys {
            let kind = collector.row_kind(key);
            if !matches!(kind, SqlType::Integer | SqlType::Real | SqlType::Text) {
                return Err(format!(
                    "group by {}: {}",
                    quote(collector.shown(key)),
                    not_one_type(kind)
                ));
            }
            collector.key_kinds.push(kind);
        }
        Ok(collector)
    }

    /// The type of an expression of a row.
    fn row_kind(&self, expr: &Expr) -> SqlType {
        sql_type::kind(self.dialect, expr, &|symbol| match symbol {
            Symbol::Column(depth, index) => {
                SqlType::of_column(self.scope.column(depth, index).kind)
            }
            _ => SqlType::Unknown,
        })
    }

    /// The type of an expression of a group.
    pub fn kind(&self, expr: &Expr) -> SqlType {
        sql_type::kind(self.dialect, expr, &|symbol| self.symbol_type(symbol))
    }

    /// The same expression for bound values: see [`sql_type::bindable`].
    pub fn bindable(&self, expr: &Expr) -> (Expr, bool) {
        sql_type::bindable(self.dialect, expr, &|symbol| self.symbol_type(symbol))
    }

    fn symbol_type(&self, symbol: Symbol) -> SqlType {
        match symbol {
            Symbol::Column(..) => SqlType::Unknown,
            Symbol::Key(index) => self.key_kinds[index],
            Symbol::Aggregate(index) => self.aggregate_kind(&self.aggregates[index]),
        }
    }

    fn aggregate_kind(&self, aggregate: &Aggregate) -> SqlType {
        let result = aggregate.function.signature().result;
        match (result, aggregate.kind) {
            (ResultType::Integer, _) => SqlType::Integer,
            (ResultType::Real, _) => SqlType::Real,
            (ResultType::Sum, ArgumentType::Integer)
                if self.dialect.expressions().exact_decimals =>
            {
                SqlType::Decimal
            }
            (_, ArgumentType::Integer) => SqlType::Integer,
            (_, ArgumentType::Real) => SqlType::Real,
            (_, ArgumentType::Other) => SqlType::Text,
        }
    }

    /// An expression of the state: with symbols for keys and aggregates, and no column left.
    pub fn over_state(&mut self, expr: &Expr) -> Result<Expr, Reason> {
        let mut collector = expr.clone();
        let mut visitor = CollectVisitor {
            collector: self,
            error: None,
        };
        let _ = collector.visit(&mut visitor);
        if let Some(why) = visitor.error {
            return Err(why);
        }
        let survey = Survey::of(&collector);
        if let Some(why) = survey.outside() {
            return Err(why);
        }
        match survey.depth {
            None => Ok(collector),
            Some(_) => Err(format!(
                "{} uses a column that is neither a key nor within an aggregate",
                quote(self.shown(expr))
            )),
        }
    }

    /// An expression with the names of its columns.
    fn shown(&self, expr: &Expr) -> String {
        let name = |symbol: Symbol| match symbol {
            Symbol::Column(depth, index) => {
                Expr::Identifier(ast::Ident::new(self.scope.column_name(depth, index)))
            }
            symbol => symbol.expr(),
        };
        super::expressions::rendered(expr, &name).to_string()
    }

    /// The symbol, or the expression over symbols, of a call of an aggregate.
    fn call(&mut self, call: &ast::Function) -> Result<Expr, Reason> {
        let shown = || self.shown(&Expr::Function(call.clone()));
        let FunctionArguments::List(list) = &call.args else {
            return Err(format!("{} is not supported", quote(shown())));
        };
        if call.filter.is_some() {
            return Err(format!("{}: FILTER is not supported", quote(shown())));
        }
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        let arg = match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => None,
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))] => Some(unwrapped(arg)),
            _ => return Err(format!("{} is not supported", quote(shown()))),
        };
        let name = name_of(call);
        let Some(function) = AggregateFunction::find(&name, distinct) else {
            let kept = AggregateFunction::find(&name, false).is_some();
            let argument = if distinct && kept { "distinct" } else { "" };
            return Err(format!("{name}({argument}) has no running state"));
        };
        let accepts = function.signature().argument;
        let Some(arg) = arg else {
            if accepts != Argument::Anything {
                return Err(format!("{} is not supported", quote(shown())));
            }
            return Ok(self.add(function, None, ArgumentType::Other));
        };
        let survey = Survey::of(arg);
        if let Some(why) = survey.outside() {
            return Err(why);
        }
        if survey.window_bounds {
            return Err(format!("{}: it depends on the window", quote(shown())));
        }
        let argument_type = self
            .argument_type(accepts, arg)
            .map_err(|why| format!("{}: {why}", quote(shown())))?;
        let item = Some(self.computing.item(self.scope, arg));
        if function == AggregateFunction::Avg
            && argument_type == ArgumentType::Integer
            && self.dialect.expressions().exact_decimals
        {
            // The average of integers is their exact quotient.
            let sum = self.add(AggregateFunction::Sum, item, argument_type);
            let count = self.add(AggregateFunction::Count, item, ArgumentType::Other);
            return Ok(nested(binary(sum, BinaryOperator::Divide, count)));
        }
        Ok(self.add(function, item, argument_type))
    }

    fn argument_type(&self, accepts: Argument, arg: &Expr) -> Result<ArgumentType, Reason> {
        match (accepts, self.row_kind(arg)) {
            (Argument::Anything, _) => Ok(ArgumentType::Other),
            (_, SqlType::Integer) => Ok(ArgumentType::Integer),
            (_, SqlType::Real) => Ok(ArgumentType::Real),
            (Argument::NumberOrText, SqlType::Text) => Ok(ArgumentType::Other),
            (_, kind) => Err(not_one_type(kind)),
        }
    }

    fn add(
        &mut self,
        function: AggregateFunction,
        arg: Option<super::RowValue>,
        kind: ArgumentType,
    ) -> Expr {
        let new = Aggregate {
            function,
            arg,
            kind,
        };
        let index = match self.aggregates.iter().position(|known| *known == new) {
            Some(index) => index,
            None => {
                self.aggregates.push(new);
                self.aggregates.len() - 1
            }
        };
        Symbol::Aggregate(index).expr()
    }
}

/// Why a value of this kind cannot be kept.
fn not_one_type(kind: SqlType) -> Reason {
    match kind {
        SqlType::Mixed => "its values are both integers and reals; write 0.0 for 0".to_owned(),
        SqlType::Decimal => "it is a decimal; write it as in 1e0 to compute with reals".to_owned(),
        SqlType::Text => "it is text, a number is needed".to_owned(),
        SqlType::Null => "it is always NULL".to_owned(),
        _ => "its type is not known".to_owned(),
    }
}

struct CollectVisitor<'m, 'a, 'b> {
    collector: &'m mut AggregateCollector<'a, 'b>,
    error: Option<Reason>,
}

impl VisitorMut for CollectVisitor<'_, '_, '_> {
    type Break = ();

    // Before its parts are visited, since the columns within an aggregate are no keys.
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(index) = self
            .collector
            .keys
            .iter()
            .position(|key| key == unwrapped(expr))
        {
            *expr = Symbol::Key(index).expr();
        } else if survey::is_aggregate(expr)
            && let Expr::Function(call) = &*expr
        {
            match self.collector.call(&call.clone()) {
                Ok(symbol) => *expr = symbol,
                Err(why) => {
                    self.error.get_or_insert(why);
                }
            }
        }
        match self.error {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    }
}
