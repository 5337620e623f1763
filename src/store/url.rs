//! Where a database is: a URL whose scheme selects the backend.
//!
//! To add a backend, add its scheme to [`SCHEMES`]: nothing else lists the backends.

use super::dialect::Dialect;
use super::location::{INCOMPLETE, Location, Scheme};
use crate::error::{Error, ErrorKind, Result, did_you_mean, quote};
use std::sync::Arc;

/// The schemes of the backends.
const SCHEMES: &[Scheme] = &[super::sqlite::SCHEME, super::mysql::SCHEME];

/// The dialects of the backends.
pub(crate) fn dialects() -> impl Iterator<Item = Dialect> {
    SCHEMES.iter().map(|scheme| scheme.dialect)
}

/// The dialect of the database at a URL; `None` where its scheme is not one of a database. The rest is not
/// parsed.
pub(crate) fn dialect_of(text: &str) -> Option<Dialect> {
    let (name, _) = text.split_once(':')?;
    let scheme = SCHEMES.iter().find(|scheme| scheme.name == name)?;
    Some(scheme.dialect)
}

/// Parses a URL.
///
/// # Errors
/// An unknown scheme, a malformed URL. No error shows a password.
pub(crate) fn parse(text: &str) -> Result<Arc<dyn Location>> {
    let bad = |why: &str, hint: String| {
        let message = format!("bad database url {}: {why}", quote(masked(text)));
        Error::new(ErrorKind::Config, message).with_hint(hint)
    };
    let (name, rest) = match text.split_once(':') {
        Some((name, rest)) => (name, Some(rest)),
        None => (text, None),
    };
    let Some(scheme) = SCHEMES.iter().find(|scheme| scheme.name == name) else {
        let names = SCHEMES.iter().map(|scheme| scheme.name);
        let hint = did_you_mean(name, names).unwrap_or_else(forms);
        return Err(bad("unknown scheme", hint));
    };
    let rest = rest.ok_or_else(|| bad(INCOMPLETE, forms()))?;
    (scheme.parse)(rest).map_err(|why| bad(why, forms()))
}

/// The forms of all URLs, as a hint.
fn forms() -> String {
    let mut forms: Vec<String> = SCHEMES
        .iter()
        .flat_map(|scheme| scheme.forms)
        .map(|form| format!("\"{form}\""))
        .collect();
    let last = forms.pop().unwrap_or_default();
    format!("write {} or {last}", forms.join(", "))
}

/// A URL with its password, or what may be one, hidden.
fn masked(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = text.rfind('@').filter(|end| *end >= start);
    let end = match (end, start) {
        (Some(end), _) => end,
        (None, 0) => return text.to_owned(),
        // Without an @ it is unclear what follows the colon; it may well be a password.
        (None, _) => text.len(),
    };
    match text[start..end].find(':') {
        Some(colon) => format!("{}:***{}", &text[..start + colon], &text[end..]),
        None => text.to_owned(),
    }
}
