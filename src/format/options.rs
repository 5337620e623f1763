//! The options of formats, read once.

use super::csv::Csv;
use super::encoder::{Encoder, Write};
use super::multiline::Multiline;
use super::pattern::{Extra, Pattern, compile};
use super::presets::{PRESETS, preset};
use super::template::Template;
use super::types::Types;
use super::{Format, Inner, Kind};
use crate::error::{Error, Result, did_you_mean, quote, quote_json};
use crate::time::parse_positive_duration;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// The formats that have a name.
pub const FORMATS: [&str; 9] = [
    "json",
    "text",
    "bytes",
    "csv",
    "logfmt",
    "syslog",
    PRESETS[0].name,
    PRESETS[1].name,
    PRESETS[2].name,
];

/// Those of them that a sink can write.
const WRITTEN: [&str; 5] = ["json", "text", "bytes", "csv", "logfmt"];

/// The options of what reads bytes.
pub const READ_OPTIONS: &[&str] = &[
    "format",
    "columns",
    "header",
    "delimiter",
    "quote",
    "types",
    "multiline",
];
/// The options of what writes them.
pub const WRITE_OPTIONS: &[&str] = &[
    "format",
    "columns",
    "header",
    "delimiter",
    "quote",
    "template",
];

/// What the bytes are in which a format is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A stream: records follow each other.
    Stream,
    /// Messages, each of them one record.
    Message,
}

impl Framing {
    /// Those options that are of use.
    pub fn of(self, options: &[&'static str]) -> impl Iterator<Item = &'static str> {
        let is_stream = self == Framing::Stream;
        let has = move |name: &&str| is_stream || !matches!(*name, "header" | "multiline");
        options.iter().copied().filter(has)
    }
}

/// Options as an object.
pub(super) fn object(options: &Value) -> Result<Map<String, Value>> {
    match options {
        Value::Object(map) => Ok(map.clone()),
        Value::Null => Ok(Map::new()),
        other => Err(Error::data(format!(
            "options are an object, not {}",
            quote_json(other)
        ))),
    }
}

/// # Errors
/// An option that is not among these.
pub(super) fn known(options: &Map<String, Value>, known: &[&str]) -> Result<()> {
    match options.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let hint = did_you_mean(name, known.iter().copied())
                .unwrap_or_else(|| format!("there are {}", known.join(", ")));
            Err(Error::data(format!("a format has no option {}", quote(name))).with_hint(hint))
        }
    }
}

/// The options of one node.
struct Given<'a> {
    of: &'a str,
    options: &'a Map<String, Value>,
}

impl<'a> Given<'a> {
    fn wrong(&self, name: &str, expected: &str) -> Error {
        let got = self.options.get(name).map(quote_json).unwrap_or_default();
        let of = self.of;
        Error::data(format!(
            "option {name} of {of}: {expected} expected, got {got}"
        ))
    }

    fn within(&self, name: &str) -> impl Fn(Error) -> Error {
        let place = format!("option {name} of {}", self.of);
        move |error| error.within(&place)
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.options.get(name)
    }

    /// The name of the format, or its pattern.
    fn format(&self) -> Result<(&'a str, Option<&'a str>)> {
        let expected = "the name of a format or {pattern = \"…\"}";
        match self.get("format") {
            None => Ok(("json", None)),
            Some(Value::String(name)) => Ok((name, None)),
            Some(Value::Object(map)) => match (map.get("pattern"), map.len()) {
                (Some(Value::String(pattern)), 1) => Ok(("pattern", Some(pattern))),
                _ => Err(self.wrong("format", expected)),
            },
            Some(_) => Err(self.wrong("format", expected)),
        }
    }

    fn unknown(&self, name: &str, words: &[&str]) -> Error {
        let error = format!("option format of {}: no format {}", self.of, quote(name));
        let hint = did_you_mean(name, words.iter().copied())
            .unwrap_or_else(|| format!("there are {}", words.join(", ")));
        Error::data(error).with_hint(hint)
    }

    /// Refuses options that do not fit the format.
    fn fit(&self, format: &str, options: &[(&str, bool)]) -> Result<()> {
        for (name, fits) in options {
            if self.get(name).is_some() && !fits {
                let error = format!(
                    "option {name} of {} does not fit the format {format}",
                    self.of
                );
                return Err(Error::data(error));
            }
        }
        Ok(())
    }

    fn boolean(&self, name: &str) -> Result<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(self.wrong(name, "boolean")),
        }
    }

    fn columns(&self) -> Result<Option<Vec<String>>> {
        let wrong = || self.wrong("columns", "a list of names");
        let items = match self.get("columns") {
            None => return Ok(None),
            Some(Value::Array(items)) if !items.is_empty() => items,
            Some(_) => return Err(wrong()),
        };
        let names = items.iter().map(|item| item.as_str().map(str::to_owned));
        names.collect::<Option<_>>().map(Some).ok_or_else(wrong)
    }

    /// One character of one byte; nothing where the text is empty.
    fn byte(&self, name: &str, otherwise: u8) -> Result<Option<u8>> {
        match self.get(name) {
            None => Ok(Some(otherwise)),
            Some(Value::String(text)) => match text.as_bytes() {
                [] if name == "quote" => Ok(None),
                [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n' | 0) => Ok(Some(*byte)),
                _ => Err(self.wrong(name, "one ASCII character")),
            },
            Some(_) => Err(self.wrong(name, "one ASCII character")),
        }
    }

    fn csv(&self, framing: Framing, types: Types) -> Result<Csv> {
        let columns = self.columns()?;
        let header = self.boolean("header")?.unwrap_or(columns.is_none());
        if columns.is_none() && (!header || framing == Framing::Message) {
            let error = format!("the format csv of {} needs the option columns", self.of);
            return Err(Error::data(error));
        }
        let csv = Csv {
            header,
            delimiter: self.byte("delimiter", b',')?.unwrap_or(b','),
            quote: self.byte("quote", b'"')?,
            types,
            columns,
        };
        if csv.quote == Some(csv.delimiter) {
            return Err(self.wrong("quote", "another character than the delimiter"));
        }
        if let Some(columns) = &csv.columns {
            csv.fields(columns).map_err(self.within("columns"))?;
        }
        Ok(csv)
    }

    fn multiline(&self) -> Result<Option<Multiline>> {
        let options = match self.get("multiline") {
            None => return Ok(None),
            Some(Value::Object(map)) => map,
            Some(_) => return Err(self.wrong("multiline", "{start = \"a pattern\"}")),
        };
        let given = Given {
            of: &format!("multiline of {}", self.of),
            options,
        };
        let names = ["start", "timeout", "lines"];
        known(options, &names).map_err(self.within("multiline"))?;
        let Some(Value::String(start)) = options.get("start") else {
            return Err(given.wrong("start", "a pattern"));
        };
        compile(start).map_err(given.within("start"))?;
        let start = regex::bytes::RegexBuilder::new(start).build();
        let timeout = match options.get("timeout") {
            None => Duration::from_secs(1),
            Some(Value::String(text)) => {
                parse_positive_duration(text).map_err(given.within("timeout"))?
            }
            Some(_) => return Err(given.wrong("timeout", "a time such as \"1s\"")),
        };
        let whole = |value: &Value| value.as_f64().filter(|n| n.fract() == 0.0 && *n >= 1.0);
        let lines = match options.get("lines") {
            None => 500,
            Some(value) => match whole(value) {
                Some(lines) => lines as usize,
                None => return Err(given.wrong("lines", "a whole number from 1")),
            },
        };
        Ok(Some(Multiline {
            start: start.map_err(|error| given.within("start")(Error::data(error.to_string())))?,
            timeout,
            lines,
        }))
    }
}

/// The format that the options of a node describe.
pub(super) fn read(of: &str, options: &Map<String, Value>, framing: Framing) -> Result<Format> {
    let given = Given { of, options };
    let (name, pattern) = given.format()?;
    let is_csv = name == "csv";
    let has_fields = !matches!(name, "json" | "text" | "bytes" | "syslog");
    given.fit(
        name,
        &[
            ("columns", is_csv),
            ("header", is_csv),
            ("delimiter", is_csv),
            ("quote", is_csv),
            ("types", has_fields),
            ("multiline", !is_csv),
        ],
    )?;
    let types = Types::parse(given.get("types")).map_err(given.within("types"))?;
    let kind = match (name, pattern) {
        (_, Some(pattern)) => {
            let pattern = Pattern::new(pattern, &types, &Extra::default());
            Kind::Pattern(pattern.map_err(given.within("format"))?)
        }
        ("json", _) => Kind::Json,
        ("text", _) => Kind::Text,
        ("bytes", _) => Kind::Bytes,
        ("csv", _) => Kind::Csv(given.csv(framing, types)?),
        ("logfmt", _) => Kind::Logfmt(types),
        ("syslog", _) => Kind::Syslog,
        (name, _) => match preset(name, &types) {
            Some(pattern) => Kind::Pattern(pattern.map_err(given.within("format"))?),
            None => return Err(given.unknown(name, &FORMATS)),
        },
    };
    let own = options
        .iter()
        .filter(|(name, _)| READ_OPTIONS.contains(&name.as_str()));
    Ok(Format(Arc::new(Inner {
        kind,
        multiline: given.multiline()?,
        options: own
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    })))
}

impl Encoder {
    /// The encoder that these options describe: an object with `format` and the options that belong to it, as
    /// in the guide (connectors, formats).
    ///
    /// # Errors
    /// An unknown format or option, an option that does not fit the format, a bad value.
    pub fn new(options: &Value) -> Result<Self> {
        let options = object(options)?;
        known(&options, WRITE_OPTIONS)?;
        Self::of_script("a format", &options)
    }

    /// The same of options that are known and hold no secrets; `of` is whose they are.
    pub(crate) fn of_script(of: &str, options: &Map<String, Value>) -> Result<Self> {
        let template = match options.get("template") {
            None => None,
            Some(Value::String(text)) => {
                let parsed = Template::parse(text);
                let within = |error: Error| error.within(format!("option template of {of}"));
                Some(parsed.map_err(within)?)
            }
            Some(other) => {
                let error = format!("option template of {of}: string expected");
                return Err(Error::data(format!("{error}, got {}", quote_json(other))));
            }
        };
        write(of, options, template, Framing::Stream)
    }

    /// The same of options that are known; `of` is whose they are.
    pub(crate) fn read(
        of: &str,
        options: &Map<String, Value>,
        template: Option<Template>,
        framing: Framing,
    ) -> Result<Self> {
        write(of, options, template, framing)
    }
}

/// The encoder that the options of a node describe.
fn write(
    of: &str,
    options: &Map<String, Value>,
    template: Option<Template>,
    framing: Framing,
) -> Result<Encoder> {
    let given = Given { of, options };
    let (name, pattern) = given.format()?;
    if pattern.is_some() || FORMATS.contains(&name) && !WRITTEN.contains(&name) {
        let error = format!("option format of {of}: {name} can be read only");
        return Err(Error::data(error).with_hint(format!("there are {}", WRITTEN.join(", "))));
    }
    let is_csv = name == "csv";
    given.fit(
        name,
        &[
            ("columns", is_csv),
            ("header", is_csv),
            ("delimiter", is_csv),
            ("quote", is_csv),
            ("template", name == "text"),
        ],
    )?;
    let write = match name {
        "json" => Write::Json,
        "bytes" => Write::Bytes,
        "text" => Write::Text(template),
        "logfmt" => Write::Logfmt,
        "csv" => {
            let columns = given.columns()?;
            if columns.is_none() && framing == Framing::Message {
                let error = format!("the format csv of {of} needs the option columns");
                return Err(Error::data(error));
            }
            let header = given.boolean("header")?;
            let csv = Csv {
                columns,
                header: header.unwrap_or(framing == Framing::Stream),
                delimiter: given.byte("delimiter", b',')?.unwrap_or(b','),
                quote: given.byte("quote", b'"')?,
                types: Types::default(),
            };
            if csv.quote == Some(csv.delimiter) {
                return Err(given.wrong("quote", "another character than the delimiter"));
            }
            if let Some(columns) = &csv.columns {
                csv.fields(columns).map_err(given.within("columns"))?;
            }
            Write::Csv {
                has_columns: csv.columns.is_some(),
                csv,
            }
        }
        name => return Err(given.unknown(name, &WRITTEN)),
    };
    Ok(Encoder::of(write))
}
