//! Secrets in addresses and options: what `${env:NAME}` and `${file:path}` stand for.
//!
//! The invariants: the value of a `${..}`, and the password of an address, is never shown. Resolved text
//! separates literal text from values ([`Masked`]), and each value is added to
//! the [secrets of the process](crate::secret). A value is parsed neither as a template nor as
//! another `${..}` ([`Masked::template`]). To read from another place, add it to `fetch`.

use crate::error::{Error, ErrorKind, Result, quote};
use crate::secret::{self, MASK, percent_encoded};
use std::fmt;
use std::fs::File;
use std::io::Read as _;

/// The longest file that is read for a secret.
const LONGEST: u64 = 64 << 10;
/// The longest text in which values are filled in.
const LONGEST_FILLED: usize = 1 << 20;

/// The marker that some editors put before the first character of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Text in which every `${..}` is resolved, and the same text without secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Masked {
    value: String,
    shown: String,
    /// What the value is made of.
    parts: Vec<Part>,
}

/// A part of filled text.
#[derive(Clone, PartialEq, Eq)]
enum Part {
    Written(String),
    Filled {
        value: String,
        /// Whether it stands in the path of an address.
        in_path: bool,
    },
}

impl Masked {
    /// The same text, shown in another way.
    pub(in crate::connect) fn shown_as(mut self, shown: String) -> Self {
        self.shown = shown;
        self
    }

    /// The text of a template that renders to this text: values have no placeholders.
    pub(in crate::connect) fn template(&self) -> String {
        self.with(|value, _| literal(value))
    }

    /// The text of an address whose path decodes to the values.
    pub(in crate::connect) fn path_encoded(&self) -> String {
        self.with(|value, in_path| {
            if in_path {
                value.replace('%', "%25").replace('?', "%3F")
            } else {
                value.to_owned()
            }
        })
    }

    /// The same, as the text of a template.
    pub(in crate::connect) fn path_template(&self) -> String {
        self.with(|value, in_path| {
            if in_path {
                literal(&value.replace('%', "%25").replace('?', "%3F"))
            } else {
                literal(value)
            }
        })
    }

    fn with(&self, each: impl Fn(&str, bool) -> String) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Written(text) => text.clone(),
            Part::Filled { value, in_path } => each(value, *in_path),
        });
        parts.collect()
    }

    fn write(&mut self, text: &str) {
        self.value.push_str(text);
        self.shown.push_str(text);
        self.parts.push(Part::Written(text.to_owned()));
    }

    fn fill(&mut self, secret: String, in_path: bool) {
        self.value.push_str(&secret);
        self.shown.push_str(MASK);
        self.parts.push(Part::Filled {
            value: secret,
            in_path,
        });
    }

    /// The text with its secrets, which is not to be printed.
    pub fn reveal(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown)
    }
}

/// The text with its secrets, which is not to be printed.
pub(crate) fn filled(text: &str) -> Result<String> {
    Ok(fill(text)?.value)
}

/// Fills in every `${env:NAME}` and `${file:path}`; `$${` stands for `${`.
pub(in crate::connect) fn fill(text: &str) -> Result<Masked> {
    let mut filled = Masked {
        value: String::new(),
        shown: String::new(),
        parts: Vec::new(),
    };
    let mut position = Position::default();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            filled.write(before);
            filled.write("${");
            rest = after;
            continue;
        }
        let (name, after) = after.split_once('}').ok_or_else(|| {
            let error = format!("a ${{ is not closed in {}", quote(text));
            Error::new(ErrorKind::Config, error).with_hint("write $${ for the text ${")
        })?;
        let secret = fetch(name)?;
        secret::add(&secret);
        filled.write(before);
        position.advance(&filled.value);
        let secret = if position.is_behind_scheme() && is_before_host(after) {
            percent_encoded(&secret)
        } else {
            secret
        };
        filled.fill(secret, position == Position::Path);
        if filled.value.len() > LONGEST_FILLED {
            let error = format!("{} has more than 1 MiB when it is filled in", quote(text));
            return Err(Error::new(ErrorKind::Config, error));
        }
        rest = after;
    }
    filled.write(rest);
    Ok(filled)
}

/// Where in an address a text ends, by how much of it was looked at: no part is looked at twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// There is no `://` in the first bytes.
    Scheme(usize),
    /// There is no `/` between these places.
    Host(usize),
    Path,
}

impl Default for Position {
    fn default() -> Self {
        Position::Scheme(0)
    }
}

impl Position {
    fn is_behind_scheme(self) -> bool {
        !matches!(self, Position::Scheme(_))
    }

    /// The text has become longer.
    fn advance(&mut self, text: &str) {
        let bytes = text.as_bytes();
        if let Position::Scheme(looked_at) = *self {
            let found = bytes[looked_at..]
                .windows(3)
                .position(|three| three == b"://");
            *self = match found {
                Some(at) => Position::Host(looked_at + at + 3),
                None => Position::Scheme(bytes.len().saturating_sub(2).max(looked_at)),
            };
        }
        if let Position::Host(looked_at) = *self {
            *self = if bytes[looked_at..].contains(&b'/') {
                Position::Path
            } else {
                Position::Host(bytes.len())
            };
        }
    }
}

/// Text as it stands in a template.
fn literal(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// Whether this is a user or a password, by the text that follows: its value is encoded then.
fn is_before_host(after: &str) -> bool {
    let end = after.find(['/', '$', '?']).unwrap_or(after.len());
    after[..end].contains('@')
}

fn fetch(name: &str) -> Result<String> {
    let wrong = |why: &str| Error::new(ErrorKind::Config, format!("${{{name}}}: {why}"));
    if let Some(variable) = name.strip_prefix("env:") {
        return match std::env::var(variable) {
            Ok(value) => Ok(value),
            Err(std::env::VarError::NotPresent) => Err(wrong("the variable is not set")),
            Err(std::env::VarError::NotUnicode(_)) => Err(wrong("the variable is not UTF-8")),
        };
    }
    if let Some(path) = name.strip_prefix("file:") {
        let unread = |error: std::io::Error| {
            Error::io(format!("${{{name}}}"), &error).with_kind(ErrorKind::Config)
        };
        let mut text = Vec::new();
        let file = File::open(path).map_err(unread)?;
        file.take(LONGEST + 1)
            .read_to_end(&mut text)
            .map_err(unread)?;
        if text.len() as u64 > LONGEST {
            return Err(wrong("the file is longer than 64 KiB"));
        }
        let text = String::from_utf8(text).map_err(|_| wrong("the file is not UTF-8"))?;
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
        return Ok(text.trim_end_matches(['\n', '\r']).to_owned());
    }
    Err(wrong("neither env nor file").with_hint("write ${env:NAME} or ${file:path}"))
}
