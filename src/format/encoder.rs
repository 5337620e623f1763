//! Events as bytes: the one encoder of all sinks of bytes.

use super::csv::Csv;
use super::logfmt;
use super::template::Template;
use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::payload::Payload;
use serde_json::{Map, Value};

/// How a sink writes its events as bytes. JSON by default.
///
/// ```
/// use serde_json::json;
/// use tributary::format::Encoder;
/// use tributary::sink::LineSink;
///
/// let csv = Encoder::new(&json!({"format": "csv", "columns": ["id", "stake"]}))?;
/// let sink = LineSink::file("bets.csv", true).format(csv);
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Encoder(Write);

/// What a record is.
#[derive(Debug, Clone)]
pub(super) enum Write {
    Json,
    Bytes,
    /// Without a template: the field `message`.
    Text(Option<Template>),
    /// Without columns they are those of the first event, and no event has others.
    Csv {
        csv: Csv,
        has_columns: bool,
    },
    Logfmt,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder(Write::Json)
    }
}

impl Encoder {
    pub(super) fn of(write: Write) -> Self {
        Encoder(write)
    }

    /// Whether it is JSON.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.0, Write::Json)
    }

    /// The media type of what it writes.
    #[cfg(feature = "http")]
    pub(crate) fn content_type(&self) -> &'static str {
        match self.0 {
            Write::Json => "application/json",
            Write::Bytes => "application/octet-stream",
            Write::Csv { .. } => "text/csv; charset=utf-8",
            Write::Text(_) | Write::Logfmt => "text/plain; charset=utf-8",
        }
    }

    /// The payload of a message.
    ///
    /// # Errors
    /// An event that has not what the format needs.
    pub(crate) fn message(&mut self, event: &Event) -> Result<Payload> {
        if let Write::Json | Write::Bytes = self.0 {
            return Ok(event.payload().clone());
        }
        let mut out = Vec::new();
        self.encode(event, &mut out)?;
        Ok(out.into())
    }

    /// Adds an event as one record of a stream, without a line end.
    ///
    /// # Errors
    /// An event that has not what the format needs.
    pub(crate) fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<()> {
        let begun = out.len();
        let encoded = self.encode_all(event, out);
        if encoded.is_err() {
            out.truncate(begun);
        }
        encoded
    }

    fn encode_all(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<()> {
        match &mut self.0 {
            Write::Json => encode(event.payload(), out),
            Write::Bytes => {
                out.extend(event.payload().bytes());
                Ok(())
            }
            Write::Text(Some(template)) => {
                out.extend(template.render(event)?.as_bytes());
                Ok(())
            }
            Write::Text(None) => match event.payload().object()?.get("message") {
                Some(Value::String(text)) => {
                    out.extend(text.as_bytes());
                    Ok(())
                }
                _ => Err(Error::data("the event has no text \"message\"")
                    .with_hint("the option template makes text of other fields")),
            },
            Write::Csv { csv, has_columns } => {
                let object = event.payload().object()?;
                row(csv, *has_columns, object, out)
            }
            Write::Logfmt => logfmt::encode(event.payload().object()?, out),
        }
    }

    /// The same with a line end.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode).
    pub(crate) fn encode_line(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<()> {
        self.encode(event, out)?;
        out.push(b'\n');
        Ok(())
    }

    /// The line with which a stream begins, with its line end; empty where there is none.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut line = Vec::new();
        if let Write::Csv { csv, .. } = &self.0
            && let (true, Some(columns)) = (csv.header, &csv.columns)
        {
            let columns = columns.iter().map(String::as_str);
            // Names that cannot be written are refused with the first row.
            if cells(csv, columns, &mut line).is_ok() {
                line.push(b'\n');
            } else {
                line.clear();
            }
        }
        line
    }
}

/// Adds a payload as one line. One that spans lines is written as compact JSON.
///
/// # Errors
/// A payload that spans lines and is not JSON.
fn encode(payload: &Payload, buffer: &mut Vec<u8>) -> Result<()> {
    let bytes = payload.bytes();
    if !bytes.contains(&b'\n') {
        buffer.extend(bytes);
        return Ok(());
    }
    let json = payload.json().map_err(|_| {
        Error::data("a payload that spans lines and is not JSON does not fit on a line")
    })?;
    buffer.extend(json.to_string().as_bytes());
    Ok(())
}

/// Adds the fields of an object as a row.
fn row(
    csv: &mut Csv,
    has_columns: bool,
    object: &Map<String, Value>,
    out: &mut Vec<u8>,
) -> Result<()> {
    if csv.columns.is_none() && object.is_empty() {
        let error = "the first event has no fields, which would be the columns";
        return Err(Error::data(error));
    }
    let names = object.keys().cloned();
    let columns = csv.columns.get_or_insert_with(|| names.collect());
    if !has_columns && let Some(name) = object.keys().find(|name| !columns.contains(name)) {
        let error = format!("no column {}, which the first event had not", quote(name));
        return Err(Error::data(error).with_hint("name all columns in the option columns"));
    }
    let values = columns.iter().map(|name| match object.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    });
    let values: Vec<String> = values.collect();
    cells(csv, values.iter().map(String::as_str), out)
}

fn cells<'a>(csv: &Csv, cells: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) -> Result<()> {
    let begun = out.len();
    for (at, text) in cells.enumerate() {
        if at > 0 {
            out.push(csv.delimiter);
        }
        let special = |byte: u8| {
            matches!(byte, b'\r' | b'\n') || byte == csv.delimiter || Some(byte) == csv.quote
        };
        if text.contains('\0') {
            return Err(Error::data(format!("NUL in the value {}", quote(text))));
        }
        let is_plain = !text.bytes().any(special) && !text.starts_with('\u{feff}');
        match csv.quote {
            _ if is_plain => out.extend(text.as_bytes()),
            Some(quote) => {
                out.push(quote);
                for byte in text.bytes() {
                    if byte == quote {
                        out.push(quote);
                    }
                    out.push(byte);
                }
                out.push(quote);
            }
            None => {
                let error = format!("the value {} needs quotes", quote(text));
                return Err(Error::data(error).with_hint("option quote is empty"));
            }
        }
    }
    // A line without anything would be no row.
    if let (true, Some(quote)) = (out.len() == begun, csv.quote) {
        out.extend([quote, quote]);
    }
    Ok(())
}
