//! Texts and values as error messages show them: quoted, cut, without secrets.

use crate::secret::scrub;
use std::borrow::Cow;

/// The longest piece of a value that an error message shows, in characters.
pub(crate) const QUOTE_LIMIT: usize = 120;

/// A value as messages show it: in double quotes, control characters escaped, cut at
/// [`QUOTE_LIMIT`] characters.
pub(crate) fn quote(value: impl AsRef<str>) -> String {
    let value = scrub(value.as_ref());
    let mut cut = String::from("\"");
    let mut chars = value.chars();
    for c in chars.by_ref().take(QUOTE_LIMIT) {
        match c {
            '"' => cut.push('"'),
            '\'' => cut.push('\''),
            c => cut.extend(c.escape_debug()),
        }
    }
    if chars.next().is_some() {
        cut.push('…');
    }
    cut.push('"');
    cut
}

/// A JSON value as messages show it: as it is written in JSON, cut like [`quote`].
pub(crate) fn quote_json(value: &serde_json::Value) -> String {
    if let Some(text) = value.as_str() {
        return quote(text);
    }
    let quoted = quote(value.to_string());
    quoted[1..quoted.len() - 1].to_owned()
}

/// Bytes as messages show them: like [`quote`], with what is not UTF-8 replaced.
pub(crate) fn quote_bytes(value: &[u8]) -> String {
    let head = &value[..value.len().min(QUOTE_LIMIT * 4 + 4)];
    quote(String::from_utf8_lossy(head))
}

/// The candidate that was probably meant by `name`: the nearest within two edits.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    candidates
        .into_iter()
        // What differs more in length is far away, and the distance takes long for long names.
        .filter(|candidate| name.len().abs_diff(candidate.len()) <= 8)
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2 && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| format!("did you mean {}?", quote(candidate)))
}

/// Text as an error shows it: without secrets and control characters.
pub(super) fn clean(text: String) -> String {
    let text = match scrub(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(scrubbed) => scrubbed,
    };
    printable(text)
}

/// Text that can be shown on a terminal: control characters other than line feed and tab escaped.
fn printable(text: String) -> String {
    if !text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' && c != '\t' {
            shown.extend(c.escape_debug());
        } else {
            shown.push(c);
        }
    }
    shown
}
