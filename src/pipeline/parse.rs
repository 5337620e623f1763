//! The text in a field of an event, parsed.

use crate::error::{Error, Result, quote};
use crate::event::Event;
use crate::format::{Format, Parser};
use crate::node::{Context, Node, Pipeline};
use crate::payload::Payload;
use serde_json::{Map, Value};

/// Parses the text in a field of each event, as a source in this format parses a line, and emits an event with
/// the fields that were found: in place of the event's own, or beside them ([`keep`](Self::keep)). An event
/// without the field, or whose text is not of the format, is rejected.
///
/// ```
/// use serde_json::json;
/// use tributary::{Network, Result, format::Format, pipeline::Parse};
///
/// let network = Network::new();
/// let format = Format::message(&json!({"format": "logfmt"}))?;
/// network.add_pipeline("parse", Parse::new(&format, "message").keep(true))?;
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug)]
pub struct Parse {
    parser: Parser,
    field: String,
    keep: bool,
}

impl Parse {
    /// Parses this field.
    pub fn new(format: &Format, field: impl Into<String>) -> Self {
        Parse {
            parser: Parser::new(format),
            field: field.into(),
            keep: false,
        }
    }

    /// Whether the other fields of the event stay. Of a name that both have, the one that was parsed counts.
    #[must_use]
    pub fn keep(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    fn parse(&mut self, event: &Event) -> Result<Payload> {
        let object = event.payload().object()?;
        let text = match object.get(&self.field) {
            Some(Value::String(text)) => text,
            Some(_) => {
                let error = format!("the field {} is no text", quote(&self.field));
                return Err(Error::data(error));
            }
            None => {
                let error = format!("no field {} to parse", quote(&self.field));
                return Err(Error::data(error));
            }
        };
        let within = |error: Error| error.within(format!("field {}", quote(&self.field)));
        let parsed = self.parser.payload(text.as_bytes(), event.time());
        let parsed = parsed.map_err(within)?;
        let found = parsed.object().map_err(within)?;
        if !self.keep {
            return Ok(parsed);
        }
        let mut all: Map<String, Value> = object.clone();
        all.extend(
            found
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        Ok(Value::Object(all).into())
    }
}

impl Node for Parse {}

impl Pipeline for Parse {
    fn process(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let payload = self.parse(event)?;
        cx.emit(event.derive(payload));
        Ok(())
    }
}
