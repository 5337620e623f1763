//! Instants as events write them: unix seconds, or text.

use super::{Clock, SystemClock, Timestamp, unit_that_fits};
use crate::error::{Error, Result};
use serde_json::Value;

const MICROS: f64 = 1e6;

/// Reads an instant from a field of an event: unix seconds as a whole number or with a fraction
/// (kept to the microsecond), or an RFC 3339 text.
///
/// ```
/// use serde_json::json;
/// use tributary::time::{Timestamp, read_instant};
///
/// assert_eq!(read_instant(&json!(7.25))?, Timestamp::from_millis(7_250));
/// assert_eq!(read_instant(&json!("1970-01-01T01:00:07+01:00"))?, Timestamp::from_secs(7));
/// assert!(read_instant(&json!("yesterday")).is_err());
/// # Ok::<(), tributary::Error>(())
/// ```
///
/// # Errors
/// Anything else, and an instant beyond the years that have a text.
pub fn read_instant(value: &Value) -> Result<Timestamp> {
    let micros = match value {
        Value::String(text) => text.parse().ok().map(jiff::Timestamp::as_microsecond),
        Value::Number(seconds) => match seconds.as_i64() {
            Some(seconds) => seconds.checked_mul(1_000_000),
            // The cast saturates, and what is too great has no text.
            None => seconds
                .as_f64()
                .map(|seconds| (seconds * MICROS).round() as i64),
        },
        _ => None,
    };
    let known = micros.filter(|micros| jiff::Timestamp::from_microsecond(*micros).is_ok());
    if known.is_none()
        && let Some(why) = reason(value)
    {
        return Err(Error::data(format!("bad time {value}: {why}")));
    }
    match known {
        Some(micros) => Ok(Timestamp(micros)),
        None if value.is_number() => Err(Error::data(format!(
            "bad time {value}: there is no such year"
        ))
        .with_hint(not_seconds(value))),
        None => Err(Error::data(format!("bad time {value}")).with_hint(
            "write unix seconds, as in 1764000000.5, or a text as in \"2025-11-24T16:00:00.5Z\"",
        )),
    }
}

/// Why a value that looks like an instant is none.
fn reason(value: &Value) -> Option<String> {
    let (first, last) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
    let last = jiff::Timestamp::from_second(last.as_second()).unwrap_or(last);
    let later = || format!("it is later than {last}, the last instant");
    let text = match value {
        Value::String(text) => text,
        // What remains of the last year: what is greater is no time in seconds.
        Value::Number(seconds) => {
            let days = last.as_second() as f64..=last.as_second() as f64 + 2.0 * 86_400.0;
            let is_near = seconds.as_f64().is_some_and(|at| days.contains(&at));
            return is_near.then(later);
        }
        _ => return None,
    };
    let read = jiff::fmt::temporal::Pieces::parse(text).ok()?;
    match (read.time(), read.to_numeric_offset()) {
        (Some(_), Some(_)) if read.date().year() < 0 => {
            Some(format!("it is earlier than {first}, the first instant"))
        }
        (Some(_), Some(_)) if read.date().year() == 9999 => Some(later()),
        (None, None) => Some("it has no time of day, as in \"T16:00:00Z\"".to_owned()),
        (Some(_), None) => Some("it has no offset from UTC, as in \"Z\" or \"+01:00\"".to_owned()),
        _ => None,
    }
}

/// What a number that is no time may have been meant as.
fn not_seconds(value: &Value) -> String {
    let number = value.as_f64().unwrap_or(0.0);
    let unit = unit_that_fits(number, SystemClock.now()).unwrap_or("milliseconds");
    format!("numbers are unix seconds, not {unit}")
}
