//! Instants as events write them: unix seconds, or text.

use super::{Clock, SystemClock, Timestamp, unit_that_fits};
use crate::error::{Error, Result};
use serde_json::Value;

const MICROS: f64 = 1e6;

/// Reads an instant from a field of an event: unix seconds as a whole number or with a fraction
/// (kept to the microsecond), or an RFC 3339 text.
///
/// # Errors
/// Anything else, and an instant beyond the years that have a text.
pub(crate) fn read_instant(value: &Value) -> Result<Timestamp> {
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

#[cfg(test)]
mod tests {
    use super::{Timestamp, read_instant};
    use serde_json::{Value, json};

    #[test]
    fn instants_are_read_to_the_microsecond_as_numbers_and_as_text() {
        let read = |value: Value| read_instant(&value).map(Timestamp::as_micros).ok();
        assert_eq!(read(json!(1_764_000_000)), Some(1_764_000_000_000_000));
        assert_eq!(
            read(json!(1_764_000_000.123_456)),
            Some(1_764_000_000_123_456)
        );
        assert_eq!(read(json!(-0.5)), Some(-500_000));
        let texts = [
            ("2025-11-24T16:00:00Z", 1_764_000_000_000_000),
            ("2025-11-24T17:00:00.25+01:00", 1_764_000_000_250_000),
            ("2025-11-24T16:00:00.123456789Z", 1_764_000_000_123_456),
        ];
        for (text, micros) in texts {
            assert_eq!(read(json!(text)), Some(micros), "{text}");
        }
        for bad in [
            json!("2025-11-24T16:00:00"),
            json!("1764000000"),
            json!(""),
            json!(true),
            json!([1]),
            json!(1e300),
            json!(u64::MAX),
            json!(i64::MIN),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }

    #[test]
    fn a_time_that_is_none_comes_with_its_reason() {
        for (value, reason) in [
            (
                "\"9999-12-31T00:00:00Z\"",
                "it is later than 9999-12-30T22:00:00Z, the last instant",
            ),
            (
                "\"9999-12-31T23:59:59+00:00\"",
                "it is later than 9999-12-30T22:00:00Z, the last instant",
            ),
            (
                "253402300799",
                "it is later than 9999-12-30T22:00:00Z, the last instant",
            ),
            (
                "\"9999-12-31\"",
                "it has no time of day, as in \"T16:00:00Z\"",
            ),
            (
                "\"2025-11-24\"",
                "it has no time of day, as in \"T16:00:00Z\"",
            ),
            (
                "\"2025-11-24T16:00:00\"",
                "it has no offset from UTC, as in \"Z\" or \"+01:00\"",
            ),
            (
                "\"2025-11-24 16:00:00\"",
                "it has no offset from UTC, as in \"Z\" or \"+01:00\"",
            ),
        ] {
            let json = serde_json::from_str(value).expect("JSON");
            let error = read_instant(&json).expect_err("it is none");
            assert_eq!(error.to_string(), format!("bad time {value}: {reason}"));
        }
        for value in ["\"yesterday\"", "true", "1764000000000"] {
            let json = serde_json::from_str(value).expect("JSON");
            let error = read_instant(&json).expect_err("it is none");
            assert!(error.hint().is_some(), "{error}");
        }
    }
}
