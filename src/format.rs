//! Formats: the layer between bytes and events, the same for every source and sink of bytes.
//!
//! Connectors know bytes only. A source gives what it reads to a `Decoder`, one for each stream, or
//! each message to a `Parser`; a sink has an [`Encoder`] write its events.
//!
//! - `options` — the options `format`, `types`, `multiline` and so on, read once.
//! - `decoder` — framing: which bytes of a stream are one record. It counts what each event takes of the
//!   stream, so that positions are exact.
//! - `parser` — the event of a record. `csv`, `logfmt`, `pattern` (with `presets`) and `syslog` are formats;
//!   `lines`, `multiline` and `octets` are framing.
//! - `record` writes the payload, a JSON object; `types` the values.
//! - `encoder` — the opposite direction; `template` is text that an event fills in.
//!
//! JSON passes through as it is: its bytes are checked, and copied into the payload once. All other formats
//! write the JSON text of the payload at once, without a tree.
//!
//! To add a format: see `src/doc/contributing.md`.

mod csv;
mod decoder;
mod encoder;
mod lines;
mod logfmt;
mod multiline;
mod octets;
mod options;
mod parser;
mod pattern;
mod presets;
mod record;
mod syslog;
mod template;
mod types;

use crate::error::Result;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

pub(crate) use decoder::{Decoded, Decoder, Found};
pub use encoder::Encoder;
pub(crate) use lines::{Line, Lines};
pub(crate) use options::Framing;
#[doc(hidden)]
pub use options::{FORMATS, READ_OPTIONS, WRITE_OPTIONS};
pub(crate) use parser::Parser;
pub use template::{JsonTemplate, Template};

/// How the bytes that a source reads become events. JSON by default.
///
/// ```
/// use serde_json::json;
/// use tributary::format::Format;
/// use tributary::source::{Follow, LineSource};
///
/// let format = Format::new(&json!({"format": "csv", "types": {"stake": "real"}}))?;
/// let source = LineSource::file("bets.csv", Follow::No).format(format);
///
/// let error = Format::new(&json!({"format": "cvs"})).expect_err("no such format");
/// assert!(error.to_string().ends_with("did you mean \"csv\"?"));
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Clone)]
pub struct Format(Arc<Inner>);

struct Inner {
    kind: Kind,
    multiline: Option<multiline::Multiline>,
    /// What it was made of: equal options make equal formats.
    options: Map<String, Value>,
}

/// What a record is.
enum Kind {
    Json,
    Bytes,
    Text,
    Csv(csv::Csv),
    Logfmt(types::Types),
    Syslog,
    Pattern(pattern::Pattern),
}

impl Format {
    /// The format that these options describe, for streams: an object with `format` and the options that
    /// belong to it, as in the guide (connectors, formats).
    ///
    /// # Errors
    /// An unknown format or option, an option that does not fit the format, a bad value.
    pub fn new(options: &Value) -> Result<Self> {
        let options = options::object(options)?;
        options::known(&options, READ_OPTIONS)?;
        Self::read("a format", &options, Framing::Stream)
    }

    /// The same for messages, each of them one record, and for [`Parse`](crate::pipeline::Parse).
    ///
    /// # Errors
    /// Those of [`new`](Self::new), and options that are for streams only.
    pub fn message(options: &Value) -> Result<Self> {
        let options = options::object(options)?;
        let names: Vec<&str> = Framing::Message.of(READ_OPTIONS).collect();
        options::known(&options, &names)?;
        Self::read("a format", &options, Framing::Message)
    }

    /// The same of options that are known; `of` is whose they are.
    pub(crate) fn read(of: &str, options: &Map<String, Value>, framing: Framing) -> Result<Self> {
        options::read(of, options, framing)
    }

    /// Whether it finds no fields.
    pub(crate) fn is_bytes(&self) -> bool {
        matches!(self.kind(), Kind::Bytes)
    }

    fn kind(&self) -> &Kind {
        &self.0.kind
    }
}

impl Default for Format {
    fn default() -> Self {
        Format(Arc::new(Inner {
            kind: Kind::Json,
            multiline: None,
            options: Map::new(),
        }))
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.0.options == other.0.options
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Format({:?})", self.0.options)
    }
}
