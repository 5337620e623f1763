//! Comparison of answers: they agree but for the rounding of doubles.

use crate::payload::Payload;
use crate::window::strategy::GroupRow;
use serde_json::Value;

/// Rows as a message shows them.
pub(super) fn shown(rows: &[GroupRow]) -> String {
    let rows: Vec<&str> = rows.iter().filter_map(|row| row.row.text()).collect();
    format!("[{}]", rows.join(", "))
}

/// Whether two answers are the same but for the rounding of doubles.
pub(super) fn same(ours: &[GroupRow], theirs: &[GroupRow]) -> bool {
    let rows = ours.iter().zip(theirs);
    ours.len() == theirs.len()
        && rows
            .into_iter()
            .all(|(ours, theirs)| same_row(&ours.row, &theirs.row))
}

pub(super) fn same_row(ours: &Payload, theirs: &Payload) -> bool {
    let (Ok(a), Ok(b)) = (ours.object(), theirs.object()) else {
        return false;
    };
    a.len() == b.len()
        && a.iter()
            .all(|(name, a)| b.get(name).is_some_and(|b| same_value(a, b)))
}

/// Doubles may differ by their rounding; all else, types too, must be equal.
fn same_value(ours: &Value, theirs: &Value) -> bool {
    match (real(ours), real(theirs)) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
        _ => ours == theirs,
    }
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) if number.is_f64() => number.as_f64(),
        _ => None,
    }
}

/// Whether a group whose row may be any of these may have this one. A double may be as far from that of
/// the first row as those of the others are together; anything else must be in one of the rows.
pub(super) fn may_be(variants: &[Option<Payload>], right: Option<&Payload>) -> bool {
    let Some(right) = right else {
        return variants.iter().any(Option::is_none);
    };
    let rows: Vec<_> = variants
        .iter()
        .flatten()
        .flat_map(Payload::object)
        .collect();
    let (Some(first), Ok(right)) = (rows.first(), right.object()) else {
        return false;
    };
    first.len() == right.len()
        && right.iter().all(|(name, right)| {
            let has: Vec<&Value> = rows.iter().filter_map(|row| row.get(name)).collect();
            if has.iter().any(|has| same_value(has, right)) {
                return true;
            }
            let reals: Vec<f64> = has.iter().filter_map(|has| real(has)).collect();
            match (reals.as_slice(), real(right)) {
                ([first, others @ ..], Some(right)) => {
                    let apart: f64 = others.iter().map(|other| (other - first).abs()).sum();
                    (right - first).abs() <= apart
                }
                _ => false,
            }
        })
}
