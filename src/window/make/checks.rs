//! Whether options make a window.

use crate::error::{Error, Result, did_you_mean, quote};
use crate::store::{Query, Table, Type};
use crate::time::format_duration;
use crate::window::kind::WindowKind;
use crate::window::options::{Emit, TimeDomain, WindowOptions};
use std::time::Duration;

/// In so many windows a row may be at once: it is in each of them by itself.
const MOST_WINDOWS: u128 = 10_000;

pub(super) fn time_column(table: &Table, column: &str) -> Result<usize> {
    let (at, declared) = table.expect_column(column)?;
    if let Type::Text(_) = declared.kind {
        return Err(Error::data(format!(
            "{}.{column} is text, so it cannot be the time of a window",
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
                "bad window {what} {shown}: it must be longer"
            )));
        }
        let Some(at) = time else {
            return Err(
                Error::data("a window that goes by time needs a time column")
                    .with_hint("time = \"column\" names the column of the table"),
            );
        };
        let column = &table.columns()[at];
        if column.kind == Type::Integer && size.subsec_nanos() != 0 {
            return Err(Error::data(format!(
                "bad window {what} {shown}: column resolution is 1 s"
            ))
            .with_hint(format!("the {what} is a whole number of seconds")));
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
                    "bad window slide {}: it is longer than the size {}",
                    quote(format_duration(slide)),
                    quote(format_duration(size))
                ))
                .with_hint("rows between two windows would be in none"));
            }
            let windows = size.as_micros() / slide.as_micros().max(1);
            if windows > MOST_WINDOWS {
                return Err(Error::data(format!(
                    "bad window slide {}: a row would be in {windows} windows of {} at once, the most is {MOST_WINDOWS}",
                    quote(format_duration(slide)),
                    quote(format_duration(size))
                ))
                .with_hint("let windows begin less often, or have one that slides: size without slide"));
            }
            Ok(())
        }
        WindowKind::Count(0) => Err(Error::data("bad window count 0")),
        WindowKind::Count(_) if table.key_columns().is_empty() => Err(Error::data(format!(
            "a window of the last rows needs a key, table {} has none",
            quote(table.name())
        ))),
        WindowKind::Count(_) => Ok(()),
    }
}

pub(super) fn check_clock(options: &WindowOptions) -> Result<()> {
    let by_events = options.clock == TimeDomain::Event;
    if by_events && options.time.is_none() {
        return Err(Error::data("the clock of the events needs a time column"));
    }
    let hint = "clock = \"event\" goes by the events' own time";
    if !by_events && !options.lateness.is_zero() {
        return Err(Error::data(
            "lateness is for the clock of the events, this window goes by the system's",
        )
        .with_hint(hint));
    }
    if !by_events && options.idle.is_some() {
        return Err(Error::data(
            "idle is for the clock of the events, this window goes by the system's",
        )
        .with_hint(hint));
    }
    Ok(())
}

pub(super) fn emit_of(options: &WindowOptions) -> Result<Emit> {
    let bounded = options.kind.closes();
    match options.emit {
        None if bounded => Ok(Emit::Close),
        None => Ok(Emit::All),
        Some(Emit::Close) if !bounded => Err(Error::data(format!(
            "emit = \"close\" needs windows that end, this one has none: {}",
            options.kind
        ))
        .with_hint("slide = size makes tumbling windows")),
        Some(emit) => match (options.kind, emit) {
            (WindowKind::Session(_), Emit::Close | Emit::Touched) => Ok(emit),
            (WindowKind::Session(_), _) => Err(Error::data(format!(
                "emit = \"{emit}\" does not serve sessions, which begin anew when a row joins two"
            ))
            .with_hint("emit = \"close\" or \"touched\" does")),
            _ => Ok(emit),
        },
    }
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
            let error = format!("key {} is no column of the answer", quote(key));
            Err(Error::data(error).with_hint(hint.unwrap_or_else(all)))
        }
    }
}
