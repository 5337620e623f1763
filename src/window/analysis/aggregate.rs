//! Keys and aggregates in an expression, and symbols in their place.
//!
//! The invariant: each aggregate stands in the list once, and its argument has one type. One more
//! function: a variant of [`Function`], an arm in `AggregateCollector::call`, and its type in `AggregateCollector::kind`.

use super::expressions::{binary, nested, unwrapped};
use super::row_sql::RowSqlBuilder;
use super::scope::Scope;
use super::sql_type::{self, SqlType};
use super::survey::{self, Survey, name_of};
use super::symbol::Symbol;
use super::{Aggregate, ArgumentType, Function, Reason};
use crate::error::quote;
use crate::store::Dialect;
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
            Symbol::Column(depth, at) => SqlType::of_column(self.scope.column(depth, at).kind),
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
            Symbol::Key(at) => self.key_kinds[at],
            Symbol::Aggregate(at) => self.aggregate_kind(&self.aggregates[at]),
        }
    }

    fn aggregate_kind(&self, aggregate: &Aggregate) -> SqlType {
        match (aggregate.function, aggregate.kind, self.dialect) {
            (Function::Count | Function::CountDistinct, _, _) => SqlType::Integer,
            (Function::Avg, _, _) => SqlType::Real,
            (Function::Sum, ArgumentType::Integer, Dialect::Mysql) => SqlType::Decimal,
            (_, ArgumentType::Integer, _) => SqlType::Integer,
            (_, ArgumentType::Real, _) => SqlType::Real,
            (_, ArgumentType::Other, _) => SqlType::Text,
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
            Symbol::Column(depth, at) => {
                Expr::Identifier(ast::Ident::new(self.scope.column_name(depth, at)))
            }
            symbol => symbol.expr(),
        };
        super::expressions::rendered(expr, &name).to_string()
    }

    /// The symbol, or the expression over symbols, of a call of an aggregate.
    fn call(&mut self, call: &ast::Function) -> Result<Expr, Reason> {
        let shown = || self.shown(&Expr::Function(call.clone()));
        let FunctionArguments::List(list) = &call.args else {
            return Err(format!("{} is not understood", quote(shown())));
        };
        if call.filter.is_some() {
            return Err(format!("{}: filter is not followed", quote(shown())));
        }
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        let arg = match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => None,
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))] => Some(unwrapped(arg)),
            _ => return Err(format!("{} is not understood", quote(shown()))),
        };
        let function = match (name_of(call).as_str(), distinct) {
            ("count", false) => Function::Count,
            ("count", true) => Function::CountDistinct,
            ("sum", false) => Function::Sum,
            ("avg", false) => Function::Avg,
            ("min", _) => Function::Min,
            ("max", _) => Function::Max,
            (name @ ("sum" | "avg"), true) => {
                return Err(format!("{name}(distinct) is not kept from event to event"));
            }
            (name, _) => return Err(format!("{name}() is not kept from event to event")),
        };
        let Some(arg) = arg else {
            return match function {
                Function::Count => Ok(self.add(Function::Count, None, ArgumentType::Other)),
                _ => Err(format!("{} is not understood", quote(shown()))),
            };
        };
        let survey = Survey::of(arg);
        if let Some(why) = survey.outside() {
            return Err(why);
        }
        if survey.window_bounds {
            return Err(format!("{}: it is not of the row", quote(shown())));
        }
        let numeric = self
            .numeric(function, arg)
            .map_err(|why| format!("{}: {why}", quote(shown())))?;
        let item = Some(self.computing.item(self.scope, arg));
        if function == Function::Avg
            && numeric == ArgumentType::Integer
            && self.dialect == Dialect::Mysql
        {
            // MySQL's average of whole numbers is their exact quotient.
            let sum = self.add(Function::Sum, item, numeric);
            let count = self.add(Function::Count, item, ArgumentType::Other);
            return Ok(nested(binary(sum, BinaryOperator::Divide, count)));
        }
        Ok(self.add(function, item, numeric))
    }

    fn numeric(&self, function: Function, arg: &Expr) -> Result<ArgumentType, Reason> {
        let kind = self.row_kind(arg);
        match (function, kind) {
            (Function::Count, _) => Ok(ArgumentType::Other),
            (_, SqlType::Integer) => Ok(ArgumentType::Integer),
            (_, SqlType::Real) => Ok(ArgumentType::Real),
            (Function::Min | Function::Max | Function::CountDistinct, SqlType::Text) => {
                Ok(ArgumentType::Other)
            }
            (_, kind) => Err(not_one_type(kind)),
        }
    }

    fn add(
        &mut self,
        function: Function,
        arg: Option<super::RowValue>,
        kind: ArgumentType,
    ) -> Expr {
        let new = Aggregate {
            function,
            arg,
            kind,
        };
        let at = match self.aggregates.iter().position(|known| *known == new) {
            Some(at) => at,
            None => {
                self.aggregates.push(new);
                self.aggregates.len() - 1
            }
        };
        Symbol::Aggregate(at).expr()
    }
}

/// Why a value of this kind cannot be kept.
fn not_one_type(kind: SqlType) -> Reason {
    match kind {
        SqlType::Mixed => {
            "some of its values are whole numbers and some are reals; write 0.0 for 0".to_owned()
        }
        SqlType::Decimal => {
            "it is an exact number with a fraction; write it as in 1e0 to reckon in reals"
                .to_owned()
        }
        SqlType::Text => "it is text where a number is wanted".to_owned(),
        SqlType::Null => "it is always NULL".to_owned(),
        _ => "its type is not told by the query".to_owned(),
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
        if let Some(at) = self
            .collector
            .keys
            .iter()
            .position(|key| key == unwrapped(expr))
        {
            *expr = Symbol::Key(at).expr();
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
