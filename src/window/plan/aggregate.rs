//! Keys and aggregates in an expression, and marks in their place.
//!
//! The invariant: each aggregate stands in the list once, and its argument has one type. One more
//! function: a variant of [`Function`], an arm in `Marked::call`, and its type in `Marked::kind`.

use super::compute::Computing;
use super::kind::{self, Kind};
use super::mark::Mark;
use super::parts::{binary, nested, unwrapped};
use super::scope::Scope;
use super::survey::{self, Survey, name_of};
use super::{Aggregate, Function, Numeric, Reason};
use crate::error::quote;
use crate::store::Dialect;
use sqlparser::ast::{
    self, BinaryOperator, DuplicateTreatment, Expr, FunctionArg, FunctionArgExpr,
    FunctionArguments, VisitMut, VisitorMut,
};
use std::ops::ControlFlow;

/// The keys and aggregates of a query, and what they are computed from.
pub(super) struct Marked<'a, 'b> {
    dialect: Dialect,
    scope: &'a Scope<'b>,
    pub keys: &'a [Expr],
    key_kinds: Vec<Kind>,
    pub computing: Computing,
    pub aggregates: Vec<Aggregate>,
}

impl<'a, 'b> Marked<'a, 'b> {
    /// Begins with the keys.
    pub fn new(
        dialect: Dialect,
        scope: &'a Scope<'b>,
        keys: &'a [Expr],
        computing: Computing,
    ) -> Result<Self, Reason> {
        let mut marked = Marked {
            dialect,
            scope,
            keys,
            key_kinds: Vec::new(),
            computing,
            aggregates: Vec::new(),
        };
        for key in keys {
            let kind = marked.row_kind(key);
            if !matches!(kind, Kind::Integer | Kind::Real | Kind::Text) {
                return Err(format!(
                    "group by {}: {}",
                    quote(marked.shown(key)),
                    not_one_type(kind)
                ));
            }
            marked.key_kinds.push(kind);
        }
        Ok(marked)
    }

    /// The type of an expression of a row.
    fn row_kind(&self, expr: &Expr) -> Kind {
        kind::kind(self.dialect, expr, &|mark| match mark {
            Mark::Column(depth, at) => Kind::of_column(self.scope.column(depth, at).kind),
            _ => Kind::Unknown,
        })
    }

    /// The type of an expression of a group.
    pub fn kind(&self, expr: &Expr) -> Kind {
        kind::kind(self.dialect, expr, &|mark| self.mark_kind(mark))
    }

    /// The same expression for bound values: see [`kind::bindable`].
    pub fn bindable(&self, expr: &Expr) -> (Expr, bool) {
        kind::bindable(self.dialect, expr, &|mark| self.mark_kind(mark))
    }

    fn mark_kind(&self, mark: Mark) -> Kind {
        match mark {
            Mark::Column(..) => Kind::Unknown,
            Mark::Key(at) => self.key_kinds[at],
            Mark::Aggregate(at) => self.aggregate_kind(&self.aggregates[at]),
        }
    }

    fn aggregate_kind(&self, aggregate: &Aggregate) -> Kind {
        match (aggregate.function, aggregate.kind, self.dialect) {
            (Function::Count | Function::CountDistinct, _, _) => Kind::Integer,
            (Function::Avg, _, _) => Kind::Real,
            (Function::Sum, Numeric::Integer, Dialect::Mysql) => Kind::Decimal,
            (_, Numeric::Integer, _) => Kind::Integer,
            (_, Numeric::Real, _) => Kind::Real,
            (_, Numeric::Other, _) => Kind::Text,
        }
    }

    /// An expression of the state: with marks for keys and aggregates, and no column left.
    pub fn marked(&mut self, expr: &Expr) -> Result<Expr, Reason> {
        let mut marked = expr.clone();
        let mut marking = Marking {
            marked: self,
            error: None,
        };
        let _ = marked.visit(&mut marking);
        if let Some(why) = marking.error {
            return Err(why);
        }
        let survey = Survey::of(&marked);
        if let Some(why) = survey.outside() {
            return Err(why);
        }
        match survey.depth {
            None => Ok(marked),
            Some(_) => Err(format!(
                "{} uses a column that is neither a key nor within an aggregate",
                quote(self.shown(expr))
            )),
        }
    }

    /// An expression with the names of its columns.
    fn shown(&self, expr: &Expr) -> String {
        let name = |mark: Mark| match mark {
            Mark::Column(depth, at) => {
                Expr::Identifier(ast::Ident::new(self.scope.column_name(depth, at)))
            }
            mark => mark.expr(),
        };
        super::parts::rendered(expr, &name).to_string()
    }

    /// The mark, or the expression over marks, of a call of an aggregate.
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
                Function::Count => Ok(self.add(Function::Count, None, Numeric::Other)),
                _ => Err(format!("{} is not understood", quote(shown()))),
            };
        };
        let survey = Survey::of(arg);
        if let Some(why) = survey.outside() {
            return Err(why);
        }
        if survey.extent {
            return Err(format!("{}: it is not of the row", quote(shown())));
        }
        let numeric = self
            .numeric(function, arg)
            .map_err(|why| format!("{}: {why}", quote(shown())))?;
        let item = Some(self.computing.item(self.scope, arg));
        if function == Function::Avg
            && numeric == Numeric::Integer
            && self.dialect == Dialect::Mysql
        {
            // MySQL's average of whole numbers is their exact quotient.
            let sum = self.add(Function::Sum, item, numeric);
            let count = self.add(Function::Count, item, Numeric::Other);
            return Ok(nested(binary(sum, BinaryOperator::Divide, count)));
        }
        Ok(self.add(function, item, numeric))
    }

    fn numeric(&self, function: Function, arg: &Expr) -> Result<Numeric, Reason> {
        let kind = self.row_kind(arg);
        match (function, kind) {
            (Function::Count, _) => Ok(Numeric::Other),
            (_, Kind::Integer) => Ok(Numeric::Integer),
            (_, Kind::Real) => Ok(Numeric::Real),
            (Function::Min | Function::Max | Function::CountDistinct, Kind::Text) => {
                Ok(Numeric::Other)
            }
            (_, kind) => Err(not_one_type(kind)),
        }
    }

    fn add(&mut self, function: Function, arg: Option<super::Item>, kind: Numeric) -> Expr {
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
        Mark::Aggregate(at).expr()
    }
}

/// Why a value of this kind cannot be kept.
fn not_one_type(kind: Kind) -> Reason {
    match kind {
        Kind::Mixed => {
            "some of its values are whole numbers and some are reals; write 0.0 for 0".to_owned()
        }
        Kind::Decimal => {
            "it is an exact number with a fraction; write it as in 1e0 to reckon in reals"
                .to_owned()
        }
        Kind::Text => "it is text where a number is wanted".to_owned(),
        Kind::Null => "it is always NULL".to_owned(),
        _ => "its type is not told by the query".to_owned(),
    }
}

struct Marking<'m, 'a, 'b> {
    marked: &'m mut Marked<'a, 'b>,
    error: Option<Reason>,
}

impl VisitorMut for Marking<'_, '_, '_> {
    type Break = ();

    // Before its parts are visited, since the columns within an aggregate are no keys.
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(at) = self
            .marked
            .keys
            .iter()
            .position(|key| key == unwrapped(expr))
        {
            *expr = Mark::Key(at).expr();
        } else if survey::is_aggregate(expr)
            && let Expr::Function(call) = &*expr
        {
            match self.marked.call(&call.clone()) {
                Ok(mark) => *expr = mark,
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
