//! `slack:https://hooks.slack.com/services/..`: messages to a channel, by an incoming webhook.
//!
//! Slack takes a message a second by a webhook; the option `pace` changes that.

use super::chat::Chat;
use super::{Address, Connector, JsonTemplate, Make, Settings};
use crate::error::Result;
use crate::node::Sink;
use serde_json::json;

pub(super) const SLACK: Connector = Connector {
    scheme: "slack",
    is_secret: true,
    templates: &["body", "text"],
    sink: Some(Make {
        options: &["text", "body", "pace", "timeout"],
        bytes: None,
        make: sink,
    }),
    ..Connector::NONE
};

fn sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let body = match settings.json("body") {
        Some(_) if settings.has("text") => {
            return Err(settings.refuse("text and body exclude each other"));
        }
        Some(body) if body.is_object() => settings.json_template("body")?,
        Some(_) => return Err(settings.wrong("body", "an object")),
        None => {
            settings.required("text")?;
            None
        }
    };
    let body = body.unwrap_or_else(|| JsonTemplate::fixed(json!({})));
    let url = address.rest().to_owned();
    Ok(Box::new(Chat::new(address, url, body, settings)?))
}
