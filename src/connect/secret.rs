//! Secrets: what `${env:NAME}` and `${file:path}` stand for, and how it is kept out of sight.
//!
//! The invariant: what came from a `${..}`, and the password of an address, is never shown. So text
//! that was filled in knows how it is to be shown ([`Masked`]), and errors that come out of a
//! connector are looked through for every secret that it was given ([`Secrets`]). To read from
//! another place, add it to `fetch`.

use crate::error::{Error, ErrorKind, Result, quote};
use std::fmt;
use std::fs::File;
use std::io::Read as _;

/// What stands in place of a secret.
pub const MASK: &str = "***";
/// Shorter ones are not looked for in other text: they would blot out what is no secret.
const SHORTEST: usize = 4;
/// So much of a secret gives it away: text may have been cut.
const TELLING: usize = 16;
/// The longest file that is read for a secret.
const LONGEST: u64 = 64 << 10;

/// Text in which every `${..}` was filled in, and the same text as it may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Masked {
    value: String,
    shown: String,
}

impl Masked {
    /// Text without secrets.
    pub fn plain(text: impl Into<String>) -> Self {
        let value = text.into();
        Masked {
            shown: value.clone(),
            value,
        }
    }

    pub(super) fn new(value: String, shown: String) -> Self {
        Masked { value, shown }
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

/// What must not be shown.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// One more.
    pub fn add(&mut self, secret: &str) {
        for secret in [secret.to_owned(), encoded(secret)] {
            if secret.len() >= SHORTEST && !self.0.contains(&secret) {
                self.0.push(secret);
            }
        }
        // One may be part of another.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// The text with `***` in place of every secret, also of one that was cut.
    pub fn scrub(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for secret in &self.0 {
            let telling = secret.floor_char_boundary(TELLING);
            let mut from = 0;
            while let Some(at) = shown[from..].find(&secret[..telling]) {
                let at = from + at;
                let same = shown[at..].chars().zip(secret.chars());
                let same = same.take_while(|(a, b)| a == b);
                let end = at + same.map(|(a, _)| a.len_utf8()).sum::<usize>();
                shown.replace_range(at..end, MASK);
                from = at + MASK.len();
            }
        }
        shown
    }

    /// The error without secrets.
    pub fn scrub_error(&self, error: Error) -> Error {
        match self.0.is_empty() {
            true => error,
            false => error.map_text(|text| self.scrub(text)),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// Fills in every `${env:NAME}` and `${file:path}`; `$${` stands for `${`.
pub(super) fn fill(text: &str, secrets: &mut Secrets) -> Result<Masked> {
    let (mut value, mut shown) = (String::new(), String::new());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            for text in [&mut value, &mut shown] {
                text.push_str(before);
                text.push_str("${");
            }
            rest = after;
            continue;
        }
        let (name, after) = after.split_once('}').ok_or_else(|| {
            let error = format!("a ${{ is not closed in {}", quote(text));
            Error::new(ErrorKind::Config, error).with_hint("write $${ where it is meant as it is")
        })?;
        let secret = fetch(name)?;
        secrets.add(&secret);
        value.push_str(before);
        shown.push_str(before);
        match value.contains("://") && is_before_host(after) {
            true => value.push_str(&encoded(&secret)),
            false => value.push_str(&secret),
        }
        shown.push_str(MASK);
        rest = after;
    }
    value.push_str(rest);
    shown.push_str(rest);
    Ok(Masked::new(value, shown))
}

/// Whether what follows says that a user or a password stands here: that is taken as it is.
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
        let mut text = String::from_utf8(text).map_err(|_| wrong("the file is not UTF-8"))?;
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
        return Ok(text);
    }
    Err(wrong("it is neither env nor file").with_hint("write ${env:NAME} or ${file:path}"))
}

/// Text as it stands in an address: what has a meaning there is written as `%40` and the like.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(byte as char);
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
