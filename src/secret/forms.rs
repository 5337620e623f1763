//! The forms of a secret that are looked for as they are: itself, its parts, and what encoders make of
//! it that cannot be decoded without knowledge of where it begins.

use super::SHORTEST;
use std::collections::BTreeSet;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A part of a secret that is at least this long is a secret too, in bytes.
const PART: usize = 8;
/// The same for a line.
const LINE: usize = 12;
/// The least of a base64 text that is taken for a secret's, in characters.
const CORE: usize = 6;

/// All forms of a secret.
pub(super) fn of(secret: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    if secret.len() < SHORTEST {
        return forms;
    }
    for text in std::iter::once(secret).chain(parts(secret)) {
        forms.extend(written(text).into_iter().map(String::into_bytes));
        forms.extend(encoded(text.as_bytes()).into_iter().map(String::into_bytes));
    }
    forms
}

/// The parts that clients show by themselves: lines, and of an address the password, the path and the
/// values of its query.
fn parts(secret: &str) -> impl Iterator<Item = &str> {
    let lines = secret.lines().map(str::trim);
    let lines = lines.filter(|line| line.len() >= LINE && line.len() < secret.len());
    let rest = secret.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, _) = rest.split_once(['/', '?']).unwrap_or((rest, ""));
    let target = rest.strip_prefix(authority).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let password = rest
        .rsplit_once('@')
        .and_then(|(who, _)| who.split_once(':'));
    let password = password.map(|(_, password)| password);
    let values = query.split('&').filter_map(|pair| pair.split_once('='));
    let parts = [target, path]
        .into_iter()
        .chain(values.map(|(_, value)| value));
    lines
        .chain(password)
        .chain(parts.filter(|part| part.len() >= PART))
}

/// The text as it is written in other text.
fn written(text: &str) -> Vec<String> {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let quoted = escaped.replace('"', "&quot;");
    let mut forms = vec![
        text.to_owned(),
        // As the value of a form.
        text.replace(' ', "+"),
        // As a template.
        text.replace('{', "{{").replace('}', "}}"),
        // In SQL.
        text.replace('\'', "''"),
        text.replace('"', "\"\""),
        text.replace('`', "``"),
        // In XML and HTML.
        escaped.clone(),
        quoted.replace('\'', "&#39;"),
        quoted.replace('\'', "&apos;"),
        quoted.replace('\'', "&#x27;"),
        quoted,
    ];
    if text.len() >= PART {
        // As a host, which clients write in small letters.
        forms.push(text.to_lowercase());
    }
    forms
}

/// The bytes in base64 wherever they begin, in hexadecimal, and as a list of numbers.
fn encoded(bytes: &[u8]) -> Vec<String> {
    let hex = |digits: fn(&u8) -> String| bytes.iter().map(digits).collect::<String>();
    let list = |between: &str| {
        let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
        numbers.join(between)
    };
    let mut forms = vec![
        hex(|byte| format!("{byte:02x}")),
        hex(|byte| format!("{byte:02X}")),
        list(", "),
        list(","),
    ];
    for alphabet in [STANDARD, URL_SAFE] {
        let whole = base64_of(bytes, alphabet);
        forms.push(whole.trim_end_matches('=').to_owned());
        for before in 0..3 {
            // Behind other bytes, and before others: what depends on these is cut off.
            let all = [&[0; 2][..before], bytes].concat();
            let text = base64_of(&all, alphabet);
            let core = &text[(before * 8).div_ceil(6)..all.len() * 8 / 6];
            if core.len() >= CORE {
                forms.push(core.to_owned());
            }
        }
    }
    forms
}

/// Bytes in base64, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    base64_of(bytes, STANDARD)
}

fn base64_of(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let value = three
            .iter()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let value = value << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = alphabet[(value >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() {
                digit as char
            } else {
                '='
            });
        }
    }
    text
}

/// Text as it stands in an address: what has a meaning there is written as `%40` and the like.
pub(crate) fn percent_encoded(text: &str) -> String {
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
