//! A pattern with named groups: each group is a field.
//!
//! The regular expressions are those of the crate `regex`, whose time grows with the size of the pattern and
//! the length of the line, and with nothing else. The size of a compiled pattern is bounded.

use super::record::{Field, Record};
use super::types::{Type, Types};
use crate::error::{Error, Result, quote};
use regex::{CaptureLocations, Regex, RegexBuilder};

/// The longest pattern, in bytes, and the most that it may take when it is compiled.
const LONGEST: usize = 16 << 10;
const LARGEST: usize = 4 << 20;

/// A compiled pattern and its fields.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    number: usize,
    field: Field,
    /// What stands for no value.
    none: Option<&'static str>,
    /// Where it takes no part, the event has no such field, instead of null.
    may_be_missing: bool,
}

/// What a preset has beside its pattern.
#[derive(Default)]
pub(super) struct Extra {
    pub types: &'static [(&'static str, &'static str)],
    pub none: Option<&'static str>,
    pub may_be_missing: &'static [&'static str],
}

impl Pattern {
    /// # Errors
    /// No regular expression, one that is too large, one without named groups, a type of a field that is no
    /// group.
    pub fn new(text: &str, types: &Types, extra: &Extra) -> Result<Self> {
        let regex = compile(text)?;
        let names = regex.capture_names().enumerate();
        let named: Vec<(usize, &str)> = names
            .filter_map(|(number, name)| Some((number, name?)))
            .collect();
        if named.is_empty() {
            return Err(
                Error::data(format!("pattern {} has no named group", quote(text)))
                    .with_hint("name what is to be a field, as in (?<host>\\S+)"),
            );
        }
        types.check(named.iter().map(|(_, name)| *name))?;
        let mut groups = Vec::new();
        for (number, name) in named {
            let preset = extra.types.iter().find(|(known, _)| *known == name);
            let kind = match (types.given(name), preset) {
                (Some(kind), _) => kind.clone(),
                (None, Some((_, kind))) => Type::parse(kind)?,
                (None, None) => Type::Text,
            };
            groups.push(Group {
                number,
                field: Field::new(name, kind),
                none: extra.none,
                may_be_missing: extra.may_be_missing.contains(&name),
            });
        }
        Ok(Pattern { regex, groups })
    }

    pub fn matcher(&self) -> Matcher {
        Matcher {
            places: self.regex.capture_locations(),
            times: vec![Remembered::default(); self.groups.len()],
        }
    }
}

/// Compiles a pattern of a user.
///
/// # Errors
/// No regular expression, one that is too large.
pub(super) fn compile(text: &str) -> Result<Regex> {
    if text.len() > LONGEST {
        let error = format!("pattern of {} bytes > {LONGEST} bytes", text.len());
        return Err(Error::data(error));
    }
    let built = RegexBuilder::new(text).size_limit(LARGEST).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            let error = format!("pattern {} is too large when it is compiled", quote(text));
            Error::data(error).with_hint("use smaller counts in {n,m}")
        }
        error => {
            // The last line has what is wrong; those before show where.
            let text_of = error.to_string();
            let why = text_of.lines().last().unwrap_or_default();
            let why = why.trim_start_matches("error: ");
            Error::data(format!("bad pattern {}: {why}", quote(text)))
        }
    })
}

/// The last text of a group that is a time, and what it became: a log has the same second many times.
#[derive(Debug, Clone, Default)]
struct Remembered {
    text: String,
    value: Vec<u8>,
}

/// What is kept from one line to the next.
pub(super) struct Matcher {
    places: CaptureLocations,
    times: Vec<Remembered>,
}

impl Matcher {
    /// Writes the fields of a line.
    ///
    /// # Errors
    /// A line that the pattern does not match, a value that is not of its type.
    pub fn write(&mut self, pattern: &Pattern, line: &str, out: &mut Vec<u8>) -> Result<()> {
        let found = pattern.regex.captures_read(&mut self.places, line);
        if found.is_none() {
            return Err(Error::data(format!(
                "the pattern does not match {}",
                quote(line)
            )));
        }
        let mut record = Record::begin(out);
        for (group, time) in pattern.groups.iter().zip(&mut self.times) {
            let text = self.places.get(group.number);
            let text = text.map(|(from, to)| &line[from..to]);
            match text {
                None if group.may_be_missing => {}
                Some(text) if group.none != Some(text) => match group.field.kind {
                    Type::Time(_) => time.add(&group.field, text, &mut record)?,
                    _ => record.add(&group.field, text)?,
                },
                _ => record.null(&group.field),
            }
        }
        record.end();
        Ok(())
    }
}

impl Remembered {
    fn add(&mut self, field: &Field, text: &str, record: &mut Record<'_>) -> Result<()> {
        if self.value.is_empty() || self.text != text {
            self.value.clear();
            field.write(text, &mut self.value)?;
            self.text.clear();
            self.text.push_str(text);
        }
        record.written(field, &self.value);
        Ok(())
    }
}
