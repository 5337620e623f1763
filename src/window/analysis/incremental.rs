//! What the running state of a group needs: the aggregates, the SELECT over the state of a group, and the
//! SQL from which the state is rebuilt.
//!
//! The invariant: the row of a group is a function of its keys and its aggregates, which the database
//! computes. In the expressions of SELECT, HAVING and ORDER BY each key and each aggregate is replaced by
//! a symbol; a column that remains is a reason against this plan.

use super::aggregate::AggregateCollector;
use super::expressions::{nested, ordinal, rendered, unwrapped};
use super::grouped::{Grouping, ParsedQuery, SelectNames};
use super::load::{live, load};
use super::restriction::select;
use super::row_sql::cast;
use super::sql_type::SqlType;
use super::symbol::Symbol;
use super::{
    GroupParam, GroupSql, IncrementalQuery, OutputColumn, Reason, RowValue, SortTerm, WINDOW_END,
    WINDOW_START,
};
use crate::error::quote;
use crate::store::dialect::{self, Scalar, positional};
use crate::window::aggregates::ResultType;
use sqlparser::ast::{Expr, OrderByExpr, OrderByKind, OrderBySort, VisitMut, VisitorMut};
use std::ops::ControlFlow;

/// Reads what the state of a group is.
pub(super) fn read(
    source: &ParsedQuery<'_>,
    groups: Grouping<'_>,
) -> Result<IncrementalQuery, Reason> {
    let select = select(source.query).ok_or("it is not a plain SELECT")?;
    if let Some(name) = groups.scope.foreign() {
        return Err(format!(
            "table {} is not one of the window: its rows change without an event",
            quote(name)
        ));
    }
    if let Some(why) = groups.unseen {
        return Err(why);
    }
    source.restriction.bound.clone()?;
    let names = SelectNames {
        scope: &groups.scope,
        select,
    };
    if names.has_wildcard() {
        return Err("*: the query does not list its columns".to_owned());
    }
    let mut reader = StateReader {
        source,
        names: &names,
        collector: AggregateCollector::new(
            source.dialect,
            &groups.scope,
            &groups.keys,
            groups.computing,
        )?,
        computed: Vec::new(),
        extra: Vec::new(),
    };
    let outputs = (0..select.projection.len())
        .map(|index| reader.output(index))
        .collect::<Result<Vec<_>, _>>()?;
    let having = reader.having()?;
    let order = reader.order(&outputs)?;
    let group = reader.group(having)?;
    let StateReader { mut collector, .. } = reader;

    let keys = groups.keys.iter();
    let mut items: Vec<RowValue> = keys
        .map(|key| collector.computing.item(&groups.scope, key))
        .collect();
    for item in collector.aggregates.iter().filter_map(|a| a.arg) {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    let computing = &collector.computing;
    Ok(IncrementalQuery {
        computed: computing.statements(source.dialect, &groups.scope)?,
        group,
        outputs,
        order,
        live: live(source.dialect, groups.scope.tables[0], source.time),
        load: load(source, &groups.scope, computing, items),
        aggregates: collector.aggregates,
    })
}

struct StateReader<'a, 'b> {
    source: &'a ParsedQuery<'a>,
    names: &'a SelectNames<'a, 'b>,
    collector: AggregateCollector<'a, 'b>,
    /// The columns of the answer that are computed.
    computed: Vec<Expr>,
    /// What the answer is sorted by and does not show.
    extra: Vec<Expr>,
}

impl StateReader<'_, '_> {
    fn output(&mut self, index: usize) -> Result<OutputColumn, Reason> {
        let expr = self
            .names
            .column(index)
            .ok_or("it has a column that is not supported")?;
        let expr = self.collector.over_state(&expr)?;
        Ok(match self.plain(&expr) {
            Some(output) => output,
            None => {
                self.computed.push(expr);
                OutputColumn::Computed(self.computed.len() - 1)
            }
        })
    }

    /// A key or an aggregate that the answer shows as it is.
    fn plain(&self, expr: &Expr) -> Option<OutputColumn> {
        match Symbol::of(expr)? {
            Symbol::Key(index) => Some(OutputColumn::Key(index)),
            Symbol::Aggregate(index) => {
                let function = self.collector.aggregates[index].function;
                let counts = function.signature().result == ResultType::Integer;
                counts.then_some(OutputColumn::Count(index))
            }
            Symbol::Column(..) => None,
        }
    }

    /// An expression of HAVING or ORDER BY with its aliases written out.
    fn unaliased(&self, expr: &Expr) -> Result<Expr, Reason> {
        let mut aliases = AliasVisitor {
            names: self.names,
            error: None,
        };
        let mut expr = expr.clone();
        let _ = expr.visit(&mut aliases);
        match aliases.error {
            None => Ok(self.names.scope.resolved(&expr)),
            Some(why) => Err(why),
        }
    }

    fn having(&mut self) -> Result<Option<Expr>, Reason> {
        let Some(having) = &self.names.select.having else {
            return Ok(None);
        };
        let having = self.unaliased(having)?;
        self.collector.over_state(&having).map(Some)
    }

    fn order(&mut self, outputs: &[OutputColumn]) -> Result<Vec<SortTerm>, Reason> {
        let terms: Vec<OrderByExpr> = match &self.source.query.order_by {
            None => Vec::new(),
            Some(order) => match &order.kind {
                OrderByKind::Expressions(terms) => terms.clone(),
                OrderByKind::All(_) => return Err("order by all is not supported".to_owned()),
            },
        };
        let mut order = Vec::new();
        for term in &terms {
            let descending = match term.options.sort {
                None | Some(OrderBySort::Asc) => false,
                Some(OrderBySort::Desc) => true,
                Some(_) => return Err(format!("{} is not supported", quote(term.to_string()))),
            };
            if term
                .options
                .nulls_first
                .is_some_and(|first| first == descending)
            {
                return Err(
                    "order by: NULLS FIRST and NULLS LAST are supported only where they are the \
                     default"
                        .to_owned(),
                );
            }
            let by = self.order_by(&term.expr, outputs)?;
            order.push(SortTerm { by, descending });
        }
        Ok(order)
    }

    fn order_by(&mut self, term: &Expr, outputs: &[OutputColumn]) -> Result<OutputColumn, Reason> {
        let place = match (ordinal(term), unwrapped(term)) {
            (Some(number), _) => Some(
                number
                    .checked_sub(1)
                    .filter(|index| *index < outputs.len())
                    .ok_or_else(|| format!("order by {number}: there is no such column"))?,
            ),
            (None, Expr::Identifier(name)) => {
                self.names.named(name)?;
                self.names.alias(name)
            }
            _ => None,
        };
        let expr = match place {
            Some(index) => self
                .names
                .column(index)
                .ok_or("it has a column that is not supported")?,
            None => self.unaliased(term)?,
        };
        let expr = self.collector.over_state(&expr)?;
        // Exact numbers are returned as text, which does not sort as they do.
        let dialect = self.source.dialect;
        let sorted = match self.collector.kind(&expr) {
            SqlType::Decimal if dialect.expressions().exact_decimals => {
                dialect::cast(expr, dialect.data_type(Scalar::Real))
            }
            SqlType::Unknown if dialect.expressions().exact_decimals => {
                return Err(format!(
                    "order by {}: its type is not known, and so how {} sorts it",
                    quote(term.to_string()),
                    dialect.name()
                ));
            }
            _ => expr,
        };
        if let Some(output) = self.plain(&sorted) {
            return Ok(output);
        }
        if let Some(index) = self.computed.iter().position(|known| *known == sorted) {
            return Ok(OutputColumn::Computed(index));
        }
        let index = match self.extra.iter().position(|known| *known == sorted) {
            Some(index) => index,
            None => {
                self.extra.push(sorted);
                self.extra.len() - 1
            }
        };
        Ok(OutputColumn::Computed(self.computed.len() + index))
    }

    fn group(&self, having: Option<Expr>) -> Result<Option<GroupSql>, Reason> {
        let exprs: Vec<&Expr> = self.computed.iter().chain(&self.extra).collect();
        if exprs.is_empty() && having.is_none() {
            return Ok(None);
        }
        let put = |symbol: Symbol| self.value(symbol);
        let mut columns = Vec::with_capacity(exprs.len());
        for (index, expr) in exprs.iter().enumerate() {
            let (bindable, untold) = self.collector.bindable(expr);
            if untold {
                return Err("the type of an expression after a minus is not known".to_owned());
            }
            columns.push(format!(
                "{} AS tributary_{index}",
                rendered(&bindable, &put)
            ));
        }
        if columns.is_empty() {
            columns.push("1 AS tributary_0".to_owned());
        }
        let mut sql = format!("SELECT {}", columns.join(", "));
        if let Some(having) = having {
            let from = self.source.dialect.empty_from();
            let (having, _) = self.collector.bindable(&having);
            sql.push_str(&format!("{from} WHERE {}", rendered(&having, &put)));
        }
        let (sql, names) =
            positional(self.source.dialect, &sql).map_err(|error| error.to_string())?;
        let params = names
            .iter()
            .filter_map(|name| match (Symbol::named(name), name.as_str()) {
                (Some(Symbol::Key(index)), _) => Some(GroupParam::Key(index)),
                (Some(Symbol::Aggregate(index)), _) => Some(GroupParam::Aggregate(index)),
                (_, WINDOW_START) => Some(GroupParam::WindowStart),
                (_, WINDOW_END) => Some(GroupParam::WindowEnd),
                _ => None,
            })
            .collect();
        Ok(Some(GroupSql {
            sql,
            params,
            outputs: exprs.len(),
        }))
    }

    /// A key or an aggregate as a parameter, with the type that it has in the query.
    fn value(&self, symbol: Symbol) -> Expr {
        let dialect = self.source.dialect;
        let expr = symbol.expr();
        let kind = self.collector.kind(&expr);
        // A key that is a column has the column's affinity.
        if let Symbol::Key(index) = symbol
            && let Some(Symbol::Column(depth, index)) = Symbol::of(&self.collector.keys[index])
        {
            return cast(dialect, expr, self.names.scope.column(depth, index).kind);
        }
        let to = match kind {
            SqlType::Integer => Scalar::Integer,
            SqlType::Text => Scalar::Text,
            SqlType::Decimal => Scalar::Decimal,
            _ => Scalar::Real,
        };
        let may_be_infinite = kind == SqlType::Real && matches!(symbol, Symbol::Aggregate(_));
        dialect.typed_parameter(expr, to, may_be_infinite)
    }
}

/// Writes out the aliases in an expression.
struct AliasVisitor<'a, 'b> {
    names: &'a SelectNames<'a, 'b>,
    error: Option<Reason>,
}

impl VisitorMut for AliasVisitor<'_, '_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = &*expr {
            match self.names.named(name) {
                Ok(None) => {}
                Ok(Some(meant)) => *expr = nested(meant),
                Err(why) => self.error = Some(why),
            }
        }
        ControlFlow::Continue(())
    }
}
