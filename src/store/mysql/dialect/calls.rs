//! The calls of functions in a query for MySQL, found in its tokens, with quoted names or without.

use super::{DIALECT, functions};
use crate::error::Result;
use crate::store::dialect::functions::{is_harmless, refused};
use crate::store::dialect::lex::TokenKind;
use crate::store::dialect::tokens::Tokens;

/// Refuses a query that calls a function which is not in the list.
pub(super) fn check(tokens: &Tokens<'_>) -> Result<()> {
    let called = |at: &usize| tokens.is_called(*at) && !may_stand(tokens, *at);
    match (0..tokens.len()).find(called) {
        None => Ok(()),
        Some(at) => {
            let mut name = tokens.name(at).unwrap_or_default();
            if tokens.is_symbol_before(at, b'.')
                && let Some(schema) = at.checked_sub(2).and_then(|at| tokens.name(at))
            {
                name = format!("{schema}.{name}");
            }
            Err(refused(DIALECT, &name, Some(tokens.position(at))))
        }
    }
}

/// Whether the token before a parenthesis calls nothing, or a function of the list.
fn may_stand(tokens: &Tokens<'_>, at: usize) -> bool {
    let (word, before) = (tokens.word(at), tokens.before(at));
    // A function of a schema: none of the database's own has one.
    if tokens.is_symbol_before(at, b'.') {
        return false;
    }
    let is_quoted = tokens.kind(at) == Some(TokenKind::Quoted);
    if !is_quoted {
        let next = tokens.word(at + 2);
        match word.as_str() {
            word if is_in(functions::RESERVED, word) => return true,
            // `x = any (select …)`
            "any" | "some" => return next == "select" || next == "with",
            // `match (…) against (…)`: no call can stand after a parenthesis.
            "against" => return tokens.is_symbol_before(at, b')'),
            // `json_table(…, '$[*]' columns (…))`: nor after a text.
            "columns" => return at > 0 && tokens.kind(at - 1) == Some(TokenKind::Text),
            word if before == "as" && is_in(functions::TYPES, word) => return true,
            _ => {}
        }
    }
    let Some(name) = tokens.name(at) else {
        // A symbol or a text; a number may be a name that begins with a digit.
        return tokens.kind(at) != Some(TokenKind::Number);
    };
    is_harmless(DIALECT, &name.to_lowercase()) || names_columns(tokens, at, &before)
}

/// Whether it is a name with a list of columns, in `with name (a, b) as (…)` or `… ) name (a, b)`.
fn names_columns(tokens: &Tokens<'_>, at: usize, before: &str) -> bool {
    let mut end = at + 2;
    while tokens.name(end).is_some() || tokens.is_symbol(end, b',') {
        end += 1;
    }
    let is_list = end > at + 2 && tokens.is_symbol(end, b')');
    let defines = tokens.word(end + 1) == "as" && tokens.is_symbol(end + 2, b'(');
    is_list && (defines || before == "as" || tokens.is_symbol_before(at, b')'))
}

fn is_in(names: &str, word: &str) -> bool {
    names.split_ascii_whitespace().any(|name| name == word)
}
