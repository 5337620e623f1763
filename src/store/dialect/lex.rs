//! SQL as tokens, by the rules of each database for texts, names and comments: a clock or a call cannot
//! hide in what only another database takes for a text.

use super::Dialect;
use crate::error::{Error, Result};
use std::ops::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Word,
    /// An identifier in quotes.
    Quoted,
    Text,
    Number,
    /// `:name`.
    Param,
    Symbol(u8),
}

pub(in crate::store) struct Token {
    pub kind: TokenKind,
    pub at: Range<usize>,
}

/// The tokens of a text, without blanks and comments.
///
/// # Errors
/// A text, name or comment without an end, parameters of a form that is not `:name`, variables, comments
/// that MySQL executes.
pub(in crate::store) fn lex(dialect: Dialect, sql: &str) -> Result<Vec<Token>> {
    let mut list = Vec::new();
    lex_into(&mut list, dialect, sql)?;
    Ok(list)
}

/// The same; the tokens before an error stay in the list.
pub(in crate::store) fn lex_into(list: &mut Vec<Token>, dialect: Dialect, sql: &str) -> Result<()> {
    let bytes = sql.as_bytes();
    let rules = dialect.lexicon();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let rest = &bytes[at..];
        let open = |what| move || bad(sql, start, what);
        let kind = match rest[0] {
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'#' if rules.hash_comments => {
                at += line(rest);
                continue;
            }
            // To MySQL two minus signs without a blank after them are two minus signs.
            b'-' if rest.starts_with(b"--")
                && (!rules.dashes_need_blank || rest.get(2).is_none_or(|b| *b <= b' ')) =>
            {
                at += line(rest);
                continue;
            }
            b'/' if rest.starts_with(b"/*") => {
                let executable = rules.executable_comments;
                if executable && (rest.starts_with(b"/*!") || rest.starts_with(b"/*M!")) {
                    return Err(bad(sql, at, "a comment that MySQL executes"));
                }
                if executable && rest.starts_with(b"/*+") {
                    // It may take the limit of time off.
                    return Err(bad(sql, at, "a hint for the optimizer"));
                }
                at += find(&rest[2..], b"*/").ok_or_else(open("an open comment"))? + 4;
                continue;
            }
            b'\'' => {
                at += quoted(rest, rules.backslash_escapes).ok_or_else(open("an open text"))?;
                TokenKind::Text
            }
            b'"' => {
                at += quoted(rest, rules.backslash_escapes).ok_or_else(open("an open quote"))?;
                if rules.double_quoted_texts {
                    TokenKind::Text
                } else {
                    TokenKind::Quoted
                }
            }
            b'`' => {
                at += quoted(rest, false).ok_or_else(open("an open quote"))?;
                TokenKind::Quoted
            }
            b'[' if rules.bracketed_names => {
                at += find(rest, b"]").ok_or_else(open("an open bracket"))? + 1;
                TokenKind::Quoted
            }
            b':' if rest.get(1).is_some_and(|b| is_word(*b)) => {
                at += 1 + word(&rest[1..]);
                TokenKind::Param
            }
            b'?' => return Err(bad(sql, at, "a parameter without a name").with_hint("write :name")),
            b'@' | b'$' if rules.sigil_parameters => {
                return Err(bad(sql, at, "a parameter of another form").with_hint("write :name"));
            }
            b'@' => return Err(bad(sql, at, "a variable").with_hint("a window query has none")),
            b'0'..=b'9' => {
                at += number(rest);
                TokenKind::Number
            }
            b if is_word(b) => {
                at += word(rest);
                TokenKind::Word
            }
            b => {
                at += 1;
                TokenKind::Symbol(b)
            }
        };
        list.push(Token {
            kind,
            at: start..at,
        });
    }
    Ok(())
}

/// The line and column, from one, of a byte.
pub(in crate::store) fn position(sql: &str, byte: usize) -> (usize, usize) {
    let before = &sql.as_bytes()[..byte.min(sql.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    (line, column)
}

fn bad(sql: &str, at: usize, what: &str) -> Error {
    let (line, column) = position(sql, at);
    Error::data(format!("bad query: {what} at line {line}, column {column}"))
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80
}

fn word(rest: &[u8]) -> usize {
    rest.iter().take_while(|b| is_word(**b)).count()
}

/// The length of a number, and of the letters in it (`0x1f`, `1e-5`).
fn number(rest: &[u8]) -> usize {
    let mut len = 0;
    while let Some(b) = rest.get(len) {
        let signed = len > 0 && matches!(rest[len - 1], b'e' | b'E') && !rest.starts_with(b"0x");
        match b {
            b'+' | b'-' if signed => len += 1,
            b if is_word(*b) || *b == b'.' => len += 1,
            _ => break,
        }
    }
    len
}

fn line(rest: &[u8]) -> usize {
    find(rest, b"\n").map_or(rest.len(), |at| at + 1)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The length of what begins with a quote; a quote within is doubled, or escaped.
fn quoted(rest: &[u8], escapes: bool) -> Option<usize> {
    let mut at = 1;
    loop {
        match rest.get(at)? {
            b'\\' if escapes => at += 2,
            b if *b == rest[0] && rest.get(at + 1) == Some(b) => at += 2,
            b if *b == rest[0] => return Some(at + 1),
            _ => at += 1,
        }
    }
}
