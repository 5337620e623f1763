//! Whether the options of a window are valid.

use crate::error::{Error, Result, did_you_mean, quote};
use crate::store::{Query, Table, Type};
use crate::time::format_duration;
use crate::window::kind::WindowKind;
use crate::window::options::{Emit, TimeDomain, WindowOptions};
use std::time::Duration;

/// In how many windows a row may be at once: each of them has a state of its own for it.
const MOST_WINDOWS: u128 = 10_000;

pub(super) fn time_column(table: &Table, column: &str) -> Result<usize> {
    let (at, declared) = table.expect_column(column)?;
    if let Type::Text(_) = declared.kind {
        return Err(Error::data(format!(
            "{}.{column} is text, so it cannot be the time column of a window",
            table.name()
        ))
        .with_hint("a time column holds unix seconds, as integer or real"));
    }
    Ok(at)
}

pub(super) fn check_kind(
    options: &WindowOptions,
    table: &Table,
    time: Option<usize>,
) -> Result<()> {
    let carry = |what: &str, size: Duration| {
        let shown = quote(format_duration(size));
        if size.is_zero() {
            return Err(Error::data(format!(
                "bad window {what} {shown}: it must be more than 0"
            )));
        }
        let Some(at) = time else {
            return Err(
                Error::data("this window needs a time column").with_hint("set time = \"column\"")
            );
        };
        let column = &table.columns()[at];
        if column.kind == Type::Integer && size.subsec_nanos() != 0 {
            return Err(Error::data(format!(
                "bad window {what} {shown}: column resolution is 1 s"
            ))
            .with_hint("use a whole number of seconds"));
        }
        Ok(())
    };
    match options.kind {
        WindowKind::Sliding(size) => carry("size", size),
        WindowKind::Session(gap) => carry("gap", gap),
        WindowKind::Hopping { size, slide } => {
            carry("size", size)?;
            carry("slide", slide)?;
            if slide > size {
                return Err(Error::data(format!(
                    "bad window slide {}: it must not be longer than the size {}",
                    quote(format_duration(slide)),
                    quote(format_duration(size))
                ))
                .with_hint("rows between two windows would be in no window"));
            }
            let windows = size.as_micros() / slide.as_micros().max(1);
            if windows > MOST_WINDOWS {
                return Err(Error::data(format!(
                    "bad window slide {}: each row would be in {windows} windows of {}, at most \
                     {MOST_WINDOWS} are allowed",
                    quote(format_duration(slide)),
                    quote(format_duration(size))
                ))
                .with_hint("use a longer slide, or a sliding window: size without slide"));
            }
            Ok(())
        }
        WindowKind::Count(0) => Err(Error::data("bad window count 0")),
        WindowKind::Count(_) if table.key_columns().is_empty() => Err(Error::data(format!(
            "a window with count needs a table with a key, table {} has none",
            quote(table.name())
        ))),
        WindowKind::Count(_) => Ok(()),
    }
}

pub(super) fn check_clock(options: &WindowOptions) -> Result<()> {
    let by_events = options.clock == TimeDomain::Event;
    if by_events && options.time.is_none() {
        return Err(Error::data("clock = \"event\" needs a time column"));
    }
    let hint = "clock = \"event\" uses the time column of the events";
    if !by_events && !options.lateness.is_zero() {
        return Err(Error::data(
            "lateness needs clock = \"event\", this window uses clock = \"system\"",
        )
        .with_hint(hint));
    }
    if !by_events && options.idle.is_some() {
        return Err(Error::data(
            "idle needs clock = \"event\", this window uses clock = \"system\"",
        )
        .with_hint(hint));
    }
    Ok(())
}

pub(super) fn check_verify(options: &WindowOptions) -> Result<()> {
    if options.kind.is_session() && options.verify > 0.0 {
        return Err(Error::data(
            "verify does not support sessions: no query tells them apart",
        ));
    }
    if !(0.0..=1.0).contains(&options.verify) {
        return Err(Error::data(format!("bad verify {}", options.verify))
            .with_hint("verify is a share of the events, from 0 to 1"));
    }
    Ok(())
}

pub(super) fn emit_of(options: &WindowOptions) -> Result<Emit> {
    let kind = options.kind;
    let default = if kind.closes() {
        Emit::Close
    } else {
        Emit::All
    };
    let emit = options.emit.unwrap_or(default);
    if emit == Emit::Close && !kind.closes() {
        return Err(Error::data(format!(
            "emit = \"close\" needs windows that close, but this window does not: {kind}"
        ))
        .with_hint("a slide equal to the size makes tumbling windows"));
    }
    if kind.is_session() && !matches!(emit, Emit::Close | Emit::Touched) {
        return Err(Error::data(format!(
            "emit = \"{emit}\" does not support sessions, which rows can join"
        ))
        .with_hint("use emit = \"close\" or \"touched\""));
    }
    Ok(emit)
}

pub(super) fn check_keys(options: &WindowOptions, query: &Query) -> Result<()> {
    let known = || query.columns().iter().map(String::as_str);
    match options
        .keys
        .iter()
        .find(|key| !known().any(|known| known == *key))
    {
        None => Ok(()),
        Some(key) => {
            let hint = did_you_mean(key, known());
            let all = || format!("its columns are {}", known().collect::<Vec<_>>().join(", "));
            let error = format!("key {} is not a column of the answer", quote(key));
            Err(Error::data(error).with_hint(hint.unwrap_or_else(all)))
        }
    }
}
