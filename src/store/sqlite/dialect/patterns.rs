//! LIKE and GLOB: a LIKE gets the escape character that it has on MySQL, and a pattern that is no constant is
//! compared by a function of Tributary, which has a bound (`store/sqlite/bounded/pattern.rs`).
//!
//! | written | evaluated |
//! |---|---|
//! | `a LIKE 'b%'` | `a LIKE 'b%' ESCAPE '\'` |
//! | `a LIKE b` | `bounded_like(b, a, '\')` |
//! | `a NOT LIKE b ESCAPE '!'` | `(NOT bounded_like(b, a, '!'))` |
//! | `a GLOB b`, `glob(b, a)` | `bounded_glob(b, a)` |
//! | `like(b, a, '!')` | `bounded_like(b, a, '!')` |

use crate::store::dialect::build::{call, named_call, text};
use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

/// The functions in place of LIKE and GLOB.
pub(in crate::store::sqlite) const BOUNDED_LIKE: &str = "bounded_like";
pub(in crate::store::sqlite) const BOUNDED_GLOB: &str = "bounded_glob";

/// What SQLite evaluates in place of a comparison with a pattern; `None` where it stays as it is.
pub(super) fn rewrite(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Like {
            negated,
            any: false,
            expr: compared,
            pattern,
            escape_char,
        } => {
            if is_constant(pattern) {
                return match escape_char {
                    Some(_) => None,
                    None => Some(with_escape(expr)),
                };
            }
            let escape = escape_char.as_deref().cloned();
            let args = vec![
                (**pattern).clone(),
                (**compared).clone(),
                escape.unwrap_or_else(|| text("\\")),
            ];
            let bounded = call(BOUNDED_LIKE, args);
            Some(if *negated {
                Expr::Nested(Box::new(Expr::UnaryOp {
                    op: UnaryOperator::Not,
                    expr: Box::new(bounded),
                }))
            } else {
                bounded
            })
        }
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Glob,
            right,
        } if !is_constant(right) => {
            let args = vec![(**right).clone(), (**left).clone()];
            Some(call(BOUNDED_GLOB, args))
        }
        Expr::Function(function) => match named_call(function) {
            Some((name, args)) if args.first().is_some_and(|pattern| !is_constant(pattern)) => {
                match (name.as_str(), args.len()) {
                    ("glob", 2) => Some(call(BOUNDED_GLOB, args)),
                    ("like", 3) => Some(call(BOUNDED_LIKE, args)),
                    _ => None,
                }
            }
            _ => None,
        },
        _ => None,
    }
}

fn with_escape(like: &Expr) -> Expr {
    let mut like = like.clone();
    if let Expr::Like { escape_char, .. } = &mut like {
        *escape_char = Some(Box::new(text("\\")));
    }
    like
}

fn is_constant(pattern: &Expr) -> bool {
    match pattern {
        Expr::Value(value) => !matches!(value.value, Value::Placeholder(_)),
        Expr::Nested(inner) => is_constant(inner),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::store::dialect::rewrite;
    use crate::store::sqlite::DIALECT;

    #[test]
    fn a_pattern_that_is_no_constant_is_compared_by_a_function() {
        for (written, evaluated) in [
            ("a LIKE 'b%'", r"a LIKE 'b%' ESCAPE '\'"),
            ("a LIKE ('b%')", r"a LIKE ('b%') ESCAPE '\'"),
            ("a LIKE 'b%' ESCAPE '!'", "a LIKE 'b%' ESCAPE '!'"),
            ("a LIKE b", r"bounded_like(b, a, '\')"),
            ("a LIKE :b ESCAPE '!'", "bounded_like(:b, a, '!')"),
            (
                "a NOT LIKE '%' || b",
                r"(NOT bounded_like('%' || b, a, '\'))",
            ),
            ("a GLOB 'b*'", "a GLOB 'b*'"),
            ("a GLOB :b", "bounded_glob(:b, a)"),
            ("a NOT GLOB :b", "(NOT bounded_glob(:b, a))"),
            ("a NOT GLOB 'b*' AND c", "a NOT GLOB 'b*' AND c"),
            ("like(:b, a, '!')", "bounded_like(:b, a, '!')"),
            ("glob(b, a)", "bounded_glob(b, a)"),
            ("glob('b*', a)", "glob('b*', a)"),
        ] {
            let sql = format!("SELECT * FROM t WHERE {written}");
            let rewritten = rewrite(DIALECT, &sql).unwrap();
            assert_eq!(rewritten, format!("SELECT * FROM t WHERE {evaluated}"));
        }
    }
}
