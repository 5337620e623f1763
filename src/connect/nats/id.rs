//! Message ids, by which a stream keeps once what comes twice.
//!
//! The invariant: an event that is sent again has the id that it had, and no other event ever has it.

use crate::connect::{Settings, Template};
use crate::error::{Error, Result, quote};
use crate::event::Event;
use async_nats::header::HeaderValue;
use serde_json::Value;

/// The header of the id.
pub(super) const ID: &str = "Nats-Msg-Id";

/// The message ids.
pub(super) enum MessageIds {
    None,
    Template(Template),
    /// A name of this sink's own, and the numbers of the next event and of the batch's first.
    Numbers {
        name: String,
        next: u64,
        first: u64,
    },
}

/// The id of a message.
pub(super) enum MessageId {
    /// A number of the sink's own.
    Number(u64),
    Text(HeaderValue),
}

impl MessageIds {
    /// The ids that the options ask for; without that, of what goes to a stream, numbers.
    pub fn parse(to_stream: bool, settings: &Settings) -> Result<Self> {
        match settings.json("id") {
            None if !to_stream => Ok(MessageIds::None),
            None => Ok(MessageIds::Numbers {
                name: String::new(),
                next: 0,
                first: 0,
            }),
            Some(Value::Bool(false)) => Ok(MessageIds::None),
            Some(_) => match settings.template("id")? {
                Some(id) if id.constant().is_none() => Ok(MessageIds::Template(id)),
                _ => Err(settings.wrong("id", "a template with a placeholder")),
            },
        }
    }

    /// Gives numbered ids a unique name.
    pub fn begin(&mut self, unique: impl FnOnce() -> String) {
        if let MessageIds::Numbers { name, .. } = self
            && name.is_empty()
        {
            let unique = unique();
            *name = unique.rsplit('.').next().unwrap_or_default().to_owned();
        }
    }

    pub fn next(&mut self, event: &Event) -> Result<Option<MessageId>> {
        match self {
            MessageIds::None => Ok(None),
            MessageIds::Template(id) => header(&id.render(event)?).map(MessageId::Text).map(Some),
            MessageIds::Numbers { next, .. } => {
                let number = *next;
                *next += 1;
                Ok(Some(MessageId::Number(number)))
            }
        }
    }

    /// What stands before the numbers.
    pub fn name(&self) -> &str {
        match self {
            MessageIds::Numbers { name, .. } => name,
            MessageIds::None | MessageIds::Template(_) => "",
        }
    }

    /// The batch is over, or what it was numbered is not to be used again.
    pub fn go_on(&mut self) {
        if let MessageIds::Numbers { next, first, .. } = self {
            *first = *next;
        }
    }

    /// The batch comes again.
    pub fn go_back(&mut self) {
        if let MessageIds::Numbers { next, first, .. } = self {
            *next = *first;
        }
    }
}

/// A header of this value.
pub(super) fn header(value: &str) -> Result<HeaderValue> {
    let parsed = value.parse();
    parsed.map_err(|_| Error::data(format!("{} is not allowed in a header", quote(value))))
}
