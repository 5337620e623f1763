//! Messages of syslog, as RFC 5424 and RFC 3164 describe them.
//!
//! The priority may be missing, as in the files that a syslog daemon writes.

use super::record::Record;
use super::types::{write_text, write_time};
use crate::error::{Error, Result, quote};
use crate::time::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Writes the payload of a message.
///
/// # Errors
/// What is no message of either kind.
pub(super) fn write(message: &str, now: Timestamp, out: &mut Vec<u8>) -> Result<()> {
    let message = message.trim_end_matches(['\r', '\n', '\0']);
    let mut record = Record::begin(out);
    let rest = priority(message, &mut record)?;
    let has_priority = rest.len() < message.len();
    match rest.strip_prefix("1 ").filter(|_| has_priority) {
        Some(rest) => modern(rest, &mut record)?,
        None => old(rest, now, &mut record)?,
    }
    record.end();
    Ok(())
}

/// `<34>`: facility and severity.
fn priority<'a>(message: &'a str, record: &mut Record<'_>) -> Result<&'a str> {
    let Some(rest) = message.strip_prefix('<') else {
        record.text("facility", None);
        record.text("severity", None);
        return Ok(message);
    };
    let bad = || {
        let shown = quote(message.get(..message.len().min(8)).unwrap_or(message));
        Error::data(format!("bad priority in {shown}"))
            .with_hint("it is a number from 0 to 191, as in <34>")
    };
    let (digits, rest) = rest.split_once('>').ok_or_else(bad)?;
    let is_number = matches!(digits.len(), 1..=3) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u16 = digits.parse().map_err(|_| bad())?;
    if !is_number || number > 191 {
        return Err(bad());
    }
    for (name, value) in [("facility", number / 8), ("severity", number % 8)] {
        record.value(name).extend(value.to_string().as_bytes());
    }
    Ok(rest)
}

/// RFC 5424, behind the version: time, host, program, process, kind of message, structured data, text.
fn modern(rest: &str, record: &mut Record<'_>) -> Result<()> {
    let (time, mut rest) = word(rest, "time")?;
    match time {
        "-" => record.text("time", None),
        text => {
            let at = instant(text)?;
            write_time(at, record.value("time"));
        }
    }
    for name in ["host", "app", "pid", "msgid"] {
        let (value, behind) = word(rest, name)?;
        record.text(name, Some(value).filter(|value| *value != "-"));
        rest = behind;
    }
    let rest = structured(rest, record)?;
    let text = match rest.strip_prefix(' ') {
        None if rest.is_empty() => None,
        None => {
            return Err(Error::data(
                "a blank is expected behind the structured data",
            ));
        }
        Some(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(text)),
    };
    record.text("message", text);
    Ok(())
}

fn instant(text: &str) -> Result<i64> {
    let parsed = text.parse::<jiff::Timestamp>();
    let parsed = parsed.map_err(|_| Error::data(format!("bad time {}", quote(text))))?;
    Ok(parsed.as_microsecond())
}

fn word<'a>(rest: &'a str, what: &str) -> Result<(&'a str, &'a str)> {
    let split = rest.split_once(' ');
    split
        .filter(|(word, _)| !word.is_empty())
        .ok_or_else(|| Error::data(format!("the message ends before its {what} does")))
}

/// `[id name="value"][id]`: an object with an object for each id.
fn structured<'a>(rest: &'a str, record: &mut Record<'_>) -> Result<&'a str> {
    if let Some(rest) = rest.strip_prefix('-') {
        record.text("data", None);
        return Ok(rest);
    }
    let bad =
        || Error::data("bad structured data").with_hint("it is as in [id name=\"value\"], or -");
    let out = record.value("data");
    out.push(b'{');
    let mut rest = rest;
    let mut is_first = true;
    while let Some(element) = rest.strip_prefix('[') {
        if !std::mem::replace(&mut is_first, false) {
            out.push(b',');
        }
        let end = element.find([' ', ']']).ok_or_else(bad)?;
        let (id, mut params) = element.split_at(end);
        if id.is_empty() || id.contains(['=', '"']) {
            return Err(bad());
        }
        write_text(id, out);
        out.extend(b":{");
        let mut comma = false;
        loop {
            if let Some(behind) = params.strip_prefix(']') {
                rest = behind;
                break;
            }
            let param = params.strip_prefix(' ').ok_or_else(bad)?;
            let (name, value) = param.split_once("=\"").ok_or_else(bad)?;
            if name.is_empty() || name.contains([' ', ']', '"', '=']) {
                return Err(bad());
            }
            let (value, behind) = param_value(value).ok_or_else(bad)?;
            if std::mem::replace(&mut comma, true) {
                out.push(b',');
            }
            write_text(name, out);
            out.push(b':');
            write_text(&value, out);
            params = behind;
        }
        out.push(b'}');
    }
    out.push(b'}');
    if is_first {
        return Err(bad());
    }
    Ok(rest)
}

/// The value up to its closing quote, and what follows that. `\"`, `\\` and `\]` are escaped.
fn param_value(rest: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &rest[at + 1..])),
            ']' => return None,
            '\\' => match chars.next()?.1 {
                escaped @ ('"' | '\\' | ']') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

/// RFC 3164: `Oct 11 22:14:15 host program[pid]: text`. The time may also be one of RFC 3339.
fn old(rest: &str, now: Timestamp, record: &mut Record<'_>) -> Result<()> {
    let (micros, rest) = old_time(rest, now).ok_or_else(|| {
        let begin: String = rest.chars().take(16).collect();
        Error::data(format!("no message of syslog: no time at {}", quote(begin)))
    })?;
    write_time(micros, record.value("time"));
    let (host, rest) = word(rest, "host")?;
    record.text("host", Some(host));
    // The tag: letters and digits, and a process in brackets.
    let end = rest.find([':', ' ', '[']).unwrap_or(rest.len());
    let (app, behind) = rest.split_at(end);
    let (pid, behind) = match behind
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((pid, behind)) => (Some(pid), behind),
        None => (None, behind),
    };
    match behind.strip_prefix(':') {
        Some(text) if !app.is_empty() => {
            record.text("app", Some(app));
            record.text("pid", pid);
            record.text("message", Some(text.strip_prefix(' ').unwrap_or(text)));
        }
        // No tag: all of it is the text.
        _ => {
            record.text("app", None);
            record.text("pid", None);
            record.text("message", Some(rest));
        }
    }
    Ok(())
}

/// The time at the beginning, and what follows it. It has no year: the one is taken with which it is not
/// more than a day ahead. It has no zone: it is one of UTC.
fn old_time(rest: &str, now: Timestamp) -> Option<(i64, &str)> {
    if let Some((first, behind)) = rest.split_once(' ')
        && let Ok(at) = first.parse::<jiff::Timestamp>()
    {
        return Some((at.as_microsecond(), behind));
    }
    let (time, behind) = (rest.get(..15)?, rest.get(15..)?.strip_prefix(' ')?);
    let month = MONTHS.iter().position(|name| time.starts_with(*name))?;
    let month = i8::try_from(month + 1).ok()?;
    let day: i8 = time.get(3..6)?.trim_ascii_start().parse().ok()?;
    let clock: jiff::civil::Time = time.get(7..15)?.parse().ok()?;
    if time.as_bytes()[6] != b' ' || time.as_bytes()[3] != b' ' {
        return None;
    }
    let today = jiff::Timestamp::from_microsecond(now.as_micros()).ok()?;
    let today: DateTime = Offset::UTC.to_datetime(today);
    let latest = today.checked_add(jiff::Span::new().days(1)).ok()?;
    let years = (0..8).map(|back| today.year() + 1 - back);
    let mut times = years.filter_map(|year| {
        let date = Date::new(year, month, day).ok()?;
        Some(date.to_datetime(clock)).filter(|at| *at <= latest)
    });
    let at = Offset::UTC.to_timestamp(times.next()?).ok()?;
    Some((at.as_microsecond(), behind))
}
