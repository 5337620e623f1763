//! What was expected and what came, line by line.

use crate::payload::Payload;
use serde_json::{Map, Number, Value};

/// A value as both sides are compared and shown: names sorted, whole numbers without a fraction.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => sorted(other).to_string(),
    }
}

/// What an event carried, likewise.
pub(super) fn carried(payload: &Payload) -> String {
    match payload.json() {
        Ok(value) if !value.is_string() => shown(value),
        _ => String::from_utf8_lossy(payload.bytes()).into_owned(),
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Object(map) => {
            let mut pairs: Vec<(String, Value)> =
                map.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().collect::<Map<_, _>>())
        }
        Value::Number(number) => Value::Number(whole(number)),
        other => other.clone(),
    }
}

/// `2.0` and `2` are one number to Lua.
fn whole(number: &Number) -> Number {
    match number.as_f64() {
        Some(real) if number.is_f64() && real.fract() == 0.0 && real.abs() < 9e15 => {
            Number::from(real as i64)
        }
        _ => number.clone(),
    }
}

/// The lines of both, in order: `  ` before what is equal, `- ` before what did not come, `+ `
/// before what was not expected. Nothing where they are equal.
pub(super) fn diff(expected: &[String], got: &[String]) -> Option<String> {
    if expected == got {
        return None;
    }
    // How long the longest common rest is, from each pair of places on.
    let mut common = vec![vec![0_usize; got.len() + 1]; expected.len() + 1];
    for a in (0..expected.len()).rev() {
        for b in (0..got.len()).rev() {
            common[a][b] = if expected[a] == got[b] {
                common[a + 1][b + 1] + 1
            } else {
                common[a + 1][b].max(common[a][b + 1])
            };
        }
    }
    let (mut a, mut b, mut text) = (0, 0, String::new());
    let mut line = |mark: &str, content: &str| {
        text.push_str(&format!("\n  {mark} {content}"));
    };
    while a < expected.len() || b < got.len() {
        if a < expected.len() && b < got.len() && expected[a] == got[b] {
            line(" ", &expected[a]);
            (a, b) = (a + 1, b + 1);
        } else if b == got.len() || (a < expected.len() && common[a + 1][b] >= common[a][b + 1]) {
            line("-", &expected[a]);
            a += 1;
        } else {
            line("+", &got[b]);
            b += 1;
        }
    }
    Some(text)
}
