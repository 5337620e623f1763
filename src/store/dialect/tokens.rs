//! What is known of a query without a grammar: that it is one statement that only reads, its
//! parameters, and whether it names a clock.

use super::lex::{Token, TokenKind, lex, lex_into, position};
use super::{Dialect, LOCKS, clock, not_one_select};
use crate::error::{Error, Result, did_you_mean, quote};

/// Words that do not occur in a query that only reads.
const WRITING: [&str; 10] = [
    "into", "insert", "update", "delete", "drop", "create", "alter", "attach", "pragma", "lock",
];

/// Operators that nest their left operand one deeper.
const OPERATORS: [&str; 20] = [
    "and",
    "or",
    "xor",
    "not",
    "is",
    "in",
    "like",
    "between",
    "collate",
    "union",
    "intersect",
    "except",
    "div",
    "mod",
    "regexp",
    "glob",
    "match",
    "escape",
    "isnull",
    "notnull",
];

/// The first words of a query.
const BEGINNINGS: [&str; 3] = ["select", "with", "values"];

/// The tokens of a query, without blanks and comments.
pub(crate) struct Tokens<'a> {
    sql: &'a str,
    dialect: Dialect,
    list: Vec<Token>,
}

/// The tokens of a query.
///
/// # Errors
/// A query that is certainly not one SELECT.
pub(in crate::store) fn scan(dialect: Dialect, sql: &str) -> Result<Tokens<'_>> {
    let mut list = Vec::new();
    let cut = lex_into(&mut list, dialect, sql);
    let tokens = Tokens { sql, dialect, list };
    let first = tokens.find(|kind| kind != TokenKind::Symbol(b'('));
    let first = first.map(|at| tokens.word(at)).unwrap_or_default();
    if !BEGINNINGS.contains(&first.as_str()) {
        let hint = match (first.as_str(), did_you_mean(&first, BEGINNINGS)) {
            ("", _) => "it begins with no word".to_owned(),
            (_, Some(hint)) => hint,
            (_, None) => format!("it begins with {}", quote(&first)),
        };
        return Err(not_one_select().with_hint(hint));
    }
    cut?;
    let end = tokens.find(|kind| kind == TokenKind::Symbol(b';'));
    if end.is_some_and(|end| end + 1 < tokens.list.len()) {
        return Err(not_one_select().with_hint("there is more after a semicolon"));
    }
    dialect.check_tokens(&tokens)?;
    Ok(tokens)
}

impl Tokens<'_> {
    fn find(&self, is: impl Fn(TokenKind) -> bool) -> Option<usize> {
        self.list.iter().position(|token| is(token.kind))
    }

    /// The word at this index, in lower case; empty if the token is no word.
    pub fn word(&self, at: usize) -> String {
        match self.list.get(at) {
            Some(token) if token.kind == TokenKind::Word => {
                self.sql[token.at.clone()].to_ascii_lowercase()
            }
            _ => String::new(),
        }
    }

    /// Whether a parenthesis follows.
    pub fn is_called(&self, at: usize) -> bool {
        self.is_symbol(at + 1, b'(')
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn kind(&self, at: usize) -> Option<TokenKind> {
        self.list.get(at).map(|token| token.kind)
    }

    pub fn is_symbol(&self, at: usize, symbol: u8) -> bool {
        self.kind(at) == Some(TokenKind::Symbol(symbol))
    }

    pub fn is_symbol_before(&self, at: usize, symbol: u8) -> bool {
        at > 0 && self.is_symbol(at - 1, symbol)
    }

    /// The word before this place, in lower case.
    pub fn before(&self, at: usize) -> String {
        at.checked_sub(1)
            .map(|at| self.word(at))
            .unwrap_or_default()
    }

    /// The identifier at this place, without its quotes.
    pub fn name(&self, at: usize) -> Option<String> {
        let token = self.list.get(at)?;
        let text = &self.sql[token.at.clone()];
        match token.kind {
            TokenKind::Word => Some(text.to_owned()),
            TokenKind::Quoted => {
                let (open, inner) = (text.chars().next()?, text.get(1..text.len() - 1)?);
                Some(match open {
                    '[' => inner.to_owned(),
                    mark => inner.replace(&format!("{mark}{mark}"), &mark.to_string()),
                })
            }
            _ => None,
        }
    }

    /// The line and column of this place.
    pub fn position(&self, at: usize) -> (usize, usize) {
        let start = self.list.get(at).map_or(0, |token| token.at.start);
        position(self.sql, start)
    }

    /// The names of common table expressions: `with name as (…)`.
    pub fn with_names(&self) -> Vec<String> {
        let defined = |at: &usize| {
            let mut end = at + 1;
            if self.is_symbol(end, b'(') {
                while end < self.len() && !self.is_symbol(end, b')') {
                    end += 1;
                }
                end += 1;
            }
            let is_as = self.word(end) == "as";
            let next = self.word(end + 1);
            is_as && (self.is_symbol(end + 1, b'(') || next == "materialized" || next == "not")
        };
        let all = (0..self.len()).filter(defined);
        all.filter_map(|at| self.name(at)).collect()
    }

    /// The identifiers that may be relations, and of each whether a dot follows. After `as` there is
    /// a new name.
    pub fn names(&self) -> Vec<(String, bool)> {
        let all = (0..self.len()).filter(|at| self.before(*at) != "as");
        all.filter_map(|at| Some((self.name(at)?, self.is_symbol(at + 1, b'.'))))
            .collect()
    }

    /// How deep the query may nest through its operators.
    pub fn operators(&self) -> usize {
        (0..self.list.len())
            .filter(|at| match self.list[*at].kind {
                TokenKind::Symbol(symbol) => !b"(),.;".contains(&symbol),
                TokenKind::Word => OPERATORS.contains(&self.word(*at).as_str()),
                _ => false,
            })
            .count()
    }

    /// The first word that names a clock or, where `functions`, calls what may read one.
    fn clock(&self, functions: bool) -> Option<String> {
        (0..self.list.len()).find_map(|at| {
            let word = self.word(at);
            if at > 0 && self.list[at - 1].kind == TokenKind::Symbol(b'.') {
                return None; // a column of that name
            }
            let called = self.is_called(at);
            let argument = self.list.get(at + 2).map(|token| token.kind);
            let empty = called && argument == Some(TokenKind::Symbol(b')'));
            // With an argument it converts, and reads no clock.
            let converts = word == "unix_timestamp" && !empty;
            let is_clock = (clock::is_clock(&word, called) && !converts)
                || (functions && called && self.dialect.may_read_clock(&word));
            is_clock.then_some(word)
        })
    }

    /// Refuses a query that the parser does not know if it could write or names a clock.
    pub fn refuse_unknown(&self, why: &str) -> Result<()> {
        let words: Vec<String> = (0..self.list.len()).map(|at| self.word(at)).collect();
        if let Some(word) = words.iter().find(|word| WRITING.contains(&word.as_str())) {
            return Err(not_one_select().with_hint(format!("it contains {}", quote(word))));
        }
        if words.windows(2).any(|pair| pair == ["for", "share"]) {
            return Err(not_one_select().with_hint(LOCKS));
        }
        match self.clock(true) {
            None => Ok(()),
            Some(word) => Err(Error::data(format!(
                "bad query: {} stands for the network's clock, but the query is not understood: {why}",
                quote(word)
            ))
            .with_hint("use :now, :now_unix or :now_datetime instead")),
        }
    }
}

/// Refuses a rewritten query in which a clock is left.
pub(in crate::store) fn check_rewritten(dialect: Dialect, sql: &str) -> Result<()> {
    let list = lex(dialect, sql)?;
    match (Tokens { sql, dialect, list }).clock(false) {
        None => Ok(()),
        Some(word) => Err(Error::data(format!(
            "bad query: {} cannot be replaced by the network's clock where it stands",
            quote(word)
        ))
        .with_hint("use :now, :now_unix or :now_datetime instead")),
    }
}

/// The query with positional parameters, and their names in order.
pub(crate) fn positional(dialect: Dialect, sql: &str) -> Result<(String, Vec<String>)> {
    let mut text = String::with_capacity(sql.len());
    let mut names: Vec<String> = Vec::new();
    let mut copied = 0;
    for token in lex(dialect, sql)? {
        if token.kind != TokenKind::Param {
            continue;
        }
        text.push_str(&sql[copied..token.at.start]);
        copied = token.at.end;
        let name = &sql[token.at.start + 1..token.at.end];
        let known = names.iter().position(|known| known == name);
        let number = match known.filter(|_| dialect.numbers_parameters()) {
            Some(index) => index + 1,
            None => {
                names.push(name.to_owned());
                names.len()
            }
        };
        text.push_str(&dialect.parameter(number));
    }
    text.push_str(&sql[copied..]);
    Ok((text, names))
}

/// The line and column of a word in a query, from one.
pub(crate) fn locate(dialect: Dialect, sql: &str, word: &str) -> Option<(usize, usize)> {
    let bare = |text: &str| text.trim_matches(['"', '`', '[', ']', '\'']).to_owned();
    let wanted = bare(word);
    let found = lex(dialect, sql)
        .ok()?
        .into_iter()
        .find(|token| bare(&sql[token.at.clone()]).eq_ignore_ascii_case(&wanted))?;
    Some(position(sql, found.at.start))
}
