//! The types of fields: text in, a JSON value out.

use crate::error::{Error, Result, did_you_mean, quote, quote_json};
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{Offset, TimeZone};
use serde_json::Value;
use std::io::Write as _;

/// The time of web servers' logs, which is read without the general parser.
const COMMON_LOG: &str = "%d/%b/%Y:%H:%M:%S %z";
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// What a field becomes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Text,
    Integer,
    Real,
    Boolean,
    /// A number or a truth value where it is written as one.
    Auto,
    Time(TimeFormat),
}

/// How a time is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TimeFormat {
    Rfc3339,
    CommonLog,
    Strptime(String),
}

const NAMES: [(&str, Type); 6] = [
    ("text", Type::Text),
    ("integer", Type::Integer),
    ("real", Type::Real),
    ("boolean", Type::Boolean),
    ("auto", Type::Auto),
    ("time", Type::Time(TimeFormat::Rfc3339)),
];

impl Type {
    /// Reads the name of a type, or the format of a time.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self> {
        if text == COMMON_LOG {
            return Ok(Type::Time(TimeFormat::CommonLog));
        }
        if text.contains('%') {
            let sample = jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
            let tried = BrokenDownTime::from(&sample).to_string(text);
            tried.map_err(|error| {
                Error::data(format!("bad time format {}: {error}", quote(text))).with_source(error)
            })?;
            return Ok(Type::Time(TimeFormat::Strptime(text.to_owned())));
        }
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| kind.clone()).ok_or_else(|| {
            let names = NAMES.map(|(name, _)| name);
            let hint = did_you_mean(text, names).unwrap_or_else(|| {
                format!(
                    "there are {}, and formats of times such as \"%Y-%m-%d %H:%M:%S\"",
                    names.join(", ")
                )
            });
            Error::data(format!("unknown type {}", quote(text))).with_hint(hint)
        })
    }

    /// Adds the value that a text stands for, as JSON. An empty one is null where it is no text.
    ///
    /// # Errors
    /// Text that is not of the type.
    pub fn write(&self, text: &str, out: &mut Vec<u8>) -> Result<()> {
        let bad = |what: &str| Error::data(format!("{} is not {what}", quote(text)));
        match self {
            Type::Text => write_text(text, out),
            Type::Auto if is_auto(text) => out.extend(text.as_bytes()),
            Type::Auto => write_text(text, out),
            _ if text.is_empty() => out.extend(b"null"),
            Type::Integer => {
                let digits = text.trim();
                match (digits.parse::<i64>(), digits.parse::<u64>()) {
                    (Ok(number), _) => add(out, format_args!("{number}")),
                    (_, Ok(number)) => add(out, format_args!("{number}")),
                    _ => return Err(bad("an integer")),
                }
            }
            Type::Real => {
                let digits = text.trim();
                let number = digits.parse().ok().and_then(serde_json::Number::from_f64);
                let number = number.ok_or_else(|| bad("a number"))?;
                if digits
                    .parse::<i64>()
                    .is_ok_and(|whole| whole.to_string() == digits)
                {
                    out.extend(digits.as_bytes());
                } else {
                    add(out, format_args!("{number}"));
                }
            }
            Type::Boolean => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => out.extend(b"true"),
                "false" | "0" => out.extend(b"false"),
                _ => return Err(bad("a boolean").with_hint("write true, false, 1 or 0")),
            },
            Type::Time(format) => write_time(format.micros(text)?, out),
        }
        Ok(())
    }
}

impl TimeFormat {
    /// Microseconds since the epoch.
    fn micros(&self, text: &str) -> Result<i64> {
        let bad = |why: String| Error::data(format!("bad time {}{why}", quote(text)));
        match self {
            TimeFormat::Rfc3339 => match text.parse::<jiff::Timestamp>() {
                Ok(at) => Ok(at.as_microsecond()),
                Err(_) => Err(bad(String::new()).with_hint(
                    "write it as in \"2025-11-24T16:00:00Z\", or give its format as the type, as in \
                     \"%Y-%m-%d %H:%M:%S\"",
                )),
            },
            TimeFormat::CommonLog => common_log(text.as_bytes())
                .ok_or_else(|| bad(format!(": the format is {}", quote(COMMON_LOG)))),
            TimeFormat::Strptime(format) => strptime(format, text)
                .map_err(|error| bad(format!(": {error}; the format is {}", quote(format)))),
        }
    }
}

/// Without an offset it is a time of UTC.
fn strptime(format: &str, text: &str) -> Result<i64, jiff::Error> {
    let parts = BrokenDownTime::parse(format, text)?;
    if let Ok(at) = parts.to_timestamp() {
        return Ok(at.as_microsecond());
    }
    let civil = parts.to_datetime().or_else(|_| {
        let date = parts.to_date()?;
        Ok::<_, jiff::Error>(date.at(0, 0, 0, 0))
    })?;
    Ok(Offset::UTC.to_timestamp(civil)?.as_microsecond())
}

/// `10/Oct/2000:13:55:36 -0700`.
fn common_log(text: &[u8]) -> Option<i64> {
    let marks = [
        (2, b'/'),
        (6, b'/'),
        (11, b':'),
        (14, b':'),
        (17, b':'),
        (20, b' '),
    ];
    if text.len() != 26 || marks.iter().any(|(at, mark)| text[*at] != *mark) {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0_i16, |sum, digit| {
            let digit = digit.wrapping_sub(b'0');
            (digit < 10).then(|| sum * 10 + i16::from(digit))
        })
    };
    let short = |from| number(from, from + 2).and_then(|n| i8::try_from(n).ok());
    let month = MONTHS.iter().position(|name| name[..] == text[3..6])?;
    let month = i8::try_from(month).ok()? + 1;
    let civil = DateTime::new(
        number(7, 11)?,
        month,
        short(0)?,
        short(12)?,
        short(15)?,
        short(18)?,
        0,
    );
    let offset = i32::from(short(22)?) * 3600 + i32::from(short(24)?) * 60;
    let offset = match text[21] {
        b'+' => offset,
        b'-' => -offset,
        _ => return None,
    };
    let at = Offset::from_seconds(offset).ok()?.to_timestamp(civil.ok()?);
    Some(at.ok()?.as_microsecond())
}

/// Adds an instant as seconds since the epoch, with a fraction where there is one.
pub(super) fn write_time(micros: i64, out: &mut Vec<u8>) {
    if micros % 1_000_000 == 0 {
        add(out, format_args!("{}", micros / 1_000_000));
    } else if let Some(seconds) = serde_json::Number::from_f64(micros as f64 / 1e6) {
        add(out, format_args!("{seconds}"));
    }
}

/// Adds a JSON text.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    // A vector takes all that is written.
    let _ = serde_json::to_writer(out, text);
}

fn add(out: &mut Vec<u8>, number: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(number);
}

/// Whether a text is written as a truth value or a number: an integer of 64 bits, or a decimal with a
/// point. `1e5` is none, since hashes look so, and neither is `007`.
pub(super) fn is_auto(text: &str) -> bool {
    if matches!(text, "true" | "false") {
        return true;
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let is_whole = !whole.is_empty()
        && whole.bytes().all(|byte| byte.is_ascii_digit())
        && (whole == "0" || !whole.starts_with('0'));
    match fraction {
        _ if !is_whole => false,
        None => text != "-0" && (text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()),
        Some(fraction) => {
            let (decimals, exponent) = match fraction.split_once(['e', 'E']) {
                Some((decimals, exponent)) => (
                    decimals,
                    exponent.strip_prefix(['+', '-']).unwrap_or(exponent),
                ),
                None => (fraction, "0"),
            };
            let all_digits =
                |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            all_digits(decimals)
                && all_digits(exponent)
                && text.parse::<f64>().is_ok_and(f64::is_finite)
        }
    }
}

/// The types of fields by their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Types {
    all: Option<Type>,
    named: Vec<(String, Type)>,
}

impl Types {
    /// One type for all fields, or an object with the types of some.
    ///
    /// # Errors
    /// Anything else, an unknown type.
    pub fn parse(value: Option<&Value>) -> Result<Self> {
        let mut types = Types::default();
        match value {
            None => {}
            Some(Value::String(text)) => types.all = Some(Type::parse(text)?),
            Some(Value::Object(map)) => {
                for (name, value) in map {
                    let text = value.as_str().ok_or_else(|| {
                        let error = format!("the type of {}: string expected", quote(name));
                        Error::data(format!("{error}, got {}", quote_json(value)))
                    })?;
                    let kind = Type::parse(text).map_err(|e| e.within(quote(name)))?;
                    types.named.push((name.clone(), kind));
                }
            }
            Some(other) => {
                let error = "a type for all fields or an object of types expected";
                return Err(Error::data(format!("{error}, got {}", quote_json(other))));
            }
        }
        Ok(types)
    }

    /// The type of a field, where one is given.
    pub fn given(&self, name: &str) -> Option<&Type> {
        let named = self.named.iter().find(|(known, _)| known == name);
        named.map(|(_, kind)| kind).or(self.all.as_ref())
    }

    /// An error if it names a field that is not among these.
    pub fn check<'a>(&self, fields: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
        for (name, _) in &self.named {
            if !fields.clone().any(|field| field == name) {
                let hint = did_you_mean(name, fields.clone()).unwrap_or_else(|| {
                    let fields: Vec<&str> = fields.clone().collect();
                    format!("there are {}", fields.join(", "))
                });
                let error = format!("types has {}, and there is no such field", quote(name));
                return Err(Error::data(error).with_hint(hint));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: &str, text: &str) -> String {
        let mut out = Vec::new();
        match Type::parse(kind).expect("a type").write(text, &mut out) {
            Ok(()) => String::from_utf8(out).expect("UTF-8"),
            Err(error) => format!("! {error}"),
        }
    }

    #[test]
    fn a_field_becomes_a_value_of_its_type() {
        for (kind, text, expected) in [
            ("text", "007", "\"007\""),
            ("text", "", "\"\""),
            ("integer", " -7", "-7"),
            ("integer", "007", "7"),
            ("integer", "18446744073709551615", "18446744073709551615"),
            ("integer", "", "null"),
            ("integer", "7.5", "! \"7.5\" is not an integer"),
            ("real", "12.50", "12.5"),
            ("real", "12", "12"),
            ("real", "1e3", "1000.0"),
            ("real", "NaN", "! \"NaN\" is not a number"),
            ("real", "1e999", "! \"1e999\" is not a number"),
            ("boolean", "TRUE", "true"),
            ("boolean", "0", "false"),
            ("auto", "0.5", "0.5"),
            ("auto", "007", "\"007\""),
            ("auto", "1e5", "\"1e5\""),
            ("auto", "1.0e5", "1.0e5"),
            ("auto", "true", "true"),
            ("auto", "", "\"\""),
            ("time", "2025-11-24T16:00:00.25Z", "1764000000.25"),
            ("time", "2025-11-24T17:00:00+01:00", "1764000000"),
            (
                "%d/%b/%Y:%H:%M:%S %z",
                "10/Oct/2000:13:55:36 -0700",
                "971211336",
            ),
            ("%Y-%m-%d %H:%M:%S", "2025-11-24 16:00:00", "1764000000"),
            ("%Y-%m-%d", "1970-01-02", "86400"),
        ] {
            assert_eq!(value(kind, text), expected, "{kind} {text}");
        }
    }

    #[test]
    fn the_time_of_a_web_server_is_read_as_the_general_parser_reads_it() {
        for text in [
            "10/Oct/2000:13:55:36 -0700",
            "29/Feb/2024:23:59:59 +0545",
            "01/Jan/1970:00:00:00 +0000",
        ] {
            let general = strptime(COMMON_LOG, text).expect("a time");
            assert_eq!(common_log(text.as_bytes()), Some(general), "{text}");
        }
        for text in [
            "30/Feb/2024:00:00:00 +0000",
            "10/Okt/2000:13:55:36 -0700",
            "10/Oct/2000:13:55:36 0700",
            "10/Oct/2000:25:55:36 -0700",
            "1é/Oct/2000:13:55:36 -070",
            "",
        ] {
            assert_eq!(common_log(text.as_bytes()), None, "{text}");
        }
    }
}
