//! Dates and times as MySQL writes them, for the functions that SQLite lacks.
//!
//! A datetime is text, `2026-11-23 20:10:00`, with a fraction where there is one; a date is
//! `2026-11-23`. Such texts sort as the instants do.

use crate::time::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{Span, Unit};

/// Units of an interval, with the names that SQL gives them.
const UNITS: [(&str, Unit, i64); 9] = [
    ("microsecond", Unit::Microsecond, 1),
    ("second", Unit::Second, 1),
    ("minute", Unit::Minute, 1),
    ("hour", Unit::Hour, 1),
    ("day", Unit::Day, 1),
    ("week", Unit::Week, 1),
    ("month", Unit::Month, 1),
    ("quarter", Unit::Month, 3),
    ("year", Unit::Year, 1),
];

/// Whether intervals of this unit can be added.
pub(crate) fn is_unit(name: &str) -> bool {
    UNITS.iter().any(|(unit, _, _)| *unit == name)
}

/// The instant as a datetime, in UTC, without its fraction; the nearest one that four digits of a
/// year can write.
pub(crate) fn datetime(at: Timestamp) -> String {
    let shown = from_micros(at.as_secs().saturating_mul(1_000_000));
    shown.unwrap_or_else(|| {
        if at < Timestamp::EPOCH {
            "0000-01-01 00:00:00".to_owned()
        } else {
            "9999-12-31 23:59:59".to_owned()
        }
    })
}

/// So many microseconds after the epoch as a datetime; `None` beyond the years that have four
/// digits.
pub(crate) fn from_micros(micros: i64) -> Option<String> {
    let at = jiff::Timestamp::from_microsecond(micros).ok()?;
    text(Offset::UTC.to_datetime(at))
}

/// Microseconds from the epoch to a datetime or date.
pub(crate) fn to_micros(text: &str) -> Option<i64> {
    let epoch = Date::constant(1970, 1, 1).at(0, 0, 0, 0);
    let (at, _) = read(text)?;
    let nanos = at.duration_since(epoch).as_nanos();
    i64::try_from(nanos.div_euclid(1_000)).ok()
}

/// A datetime or date and `count` units after it. A date stays one as long as whole days are
/// added; the last day of a month stays within its month.
pub(crate) fn shift(from: &str, count: f64, unit: &str) -> Option<String> {
    let (at, is_date) = read(from)?;
    let (_, unit, factor) = UNITS.iter().find(|(name, _, _)| *name == unit)?;
    let span = match unit {
        Unit::Second => Span::new().try_microseconds(whole(count * 1e6)?),
        unit => {
            let count = whole(count)?.checked_mul(*factor)?;
            match unit {
                Unit::Microsecond => Span::new().try_microseconds(count),
                Unit::Minute => Span::new().try_minutes(count),
                Unit::Hour => Span::new().try_hours(count),
                Unit::Day => Span::new().try_days(count),
                Unit::Week => Span::new().try_weeks(count),
                Unit::Month => Span::new().try_months(count),
                _ => Span::new().try_years(count),
            }
        }
    };
    let shifted = at.checked_add(span.ok()?).ok()?;
    if is_date && *unit >= Unit::Day {
        Some(text(shifted)?[..10].to_owned())
    } else {
        text(shifted)
    }
}

/// Rounded to the nearest whole number, as MySQL does.
fn whole(count: f64) -> Option<i64> {
    let rounded = count.round();
    (rounded.abs() < 9e18).then_some(rounded as i64)
}

/// Reads a datetime or a date, and whether it is a date.
fn read(text: &str) -> Option<(DateTime, bool)> {
    let text = text.trim();
    if text.len() == 10 {
        let date: Date = text.parse().ok()?;
        return Some((date.at(0, 0, 0, 0), true));
    }
    Some((text.parse().ok()?, false))
}

/// Written by hand for speed, since a query may compute it for each row.
fn text(at: DateTime) -> Option<String> {
    if !(0..=9999).contains(&at.year()) {
        return None;
    }
    let mut text = String::with_capacity(26);
    for (before, number, width) in [
        (None, i32::from(at.year()), 4),
        (Some('-'), i32::from(at.month()), 2),
        (Some('-'), i32::from(at.day()), 2),
        (Some(' '), i32::from(at.hour()), 2),
        (Some(':'), i32::from(at.minute()), 2),
        (Some(':'), i32::from(at.second()), 2),
    ] {
        text.extend(before);
        digits(&mut text, number, width);
    }
    if at.subsec_nanosecond() != 0 {
        text.push('.');
        digits(&mut text, at.subsec_nanosecond() / 1_000, 6);
    }
    Some(text)
}

/// A number that is not negative, with zeros before it.
fn digits(text: &mut String, number: i32, width: u32) {
    for place in (0..width).rev() {
        let digit = number / 10_i32.pow(place) % 10;
        text.push(char::from(b'0' + digit as u8));
    }
}
