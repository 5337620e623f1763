//! Reading script files.

use crate::error::{Error, ErrorKind, Result, quote};
use std::path::Path;

/// The longest script, in bytes (8 MiB).
const MAX_SCRIPT_BYTES: u64 = 8 << 20;

/// The text of a script file. A byte order mark and a first line `#!…` are taken out, so that the
/// numbers of the lines stay.
///
/// # Errors
/// A file that is not there, is no regular file, is longer than 8 MiB, or is not UTF-8.
pub(super) fn read(path: &Path) -> Result<String> {
    let shown = || quote(path.to_string_lossy());
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let wrong = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::new(
            ErrorKind::NoInput,
            format!("no such script: {}", quote(absolute().to_string_lossy())),
        ),
        _ => Error::io(format!("cannot read script {}", shown()), &error),
    };
    // Asked before it is opened: opening a pipe would wait for its writer.
    let meta = std::fs::metadata(path).map_err(wrong)?;
    if !meta.is_file() {
        let what = if meta.is_dir() {
            "a directory"
        } else {
            "not a regular file"
        };
        let error = format!("cannot read script {}: it is {what}", shown());
        return Err(Error::new(ErrorKind::NoInput, error));
    }
    if meta.len() > MAX_SCRIPT_BYTES {
        let error = format!(
            "script {} has {} bytes, more than 8 MiB",
            shown(),
            meta.len()
        );
        return Err(Error::data(error));
    }
    text(std::fs::read(path).map_err(wrong)?).map_err(|error| error.at(path.display().to_string()))
}

/// The text of a script.
///
/// # Errors
/// Bytes that are not UTF-8.
pub(super) fn text(bytes: Vec<u8>) -> Result<String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Error::data("the script is UTF-16").with_hint("save it as UTF-8"));
    }
    if bytes.starts_with(b"\x1bLua") {
        return Err(Error::data("binary chunks are not allowed").with_hint("give the source text"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Error::data(format!("line {line} is not UTF-8")).with_hint("save the script as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(match text.strip_prefix("#!") {
        // A comment in its place keeps the numbers of the lines.
        Some(rest) => format!("--{rest}"),
        None => text.to_owned(),
    })
}
