//! `telegram:TOKEN`: messages to a chat, sent by the bot whose token that is.
//!
//! Telegram takes a message a second to one chat; `pace` says otherwise. `api` is where it is asked.

use super::chat::Chat;
use super::{Address, Connector, Make, Settings};
use crate::error::Result;
use crate::node::Sink;
use serde_json::{Value, json};

pub(super) const TELEGRAM: Connector = Connector {
    scheme: "telegram",
    is_secret: true,
    sink: Some(Make {
        options: &[
            "chat",
            "text",
            "parse_mode",
            "silent",
            "api",
            "pace",
            "timeout",
        ],
        make: sink,
    }),
    ..Connector::NONE
};

fn sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let token = address.rest();
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-');
    if token.is_empty() || !token.chars().all(is_token) {
        return Err(address.wrong("it is no token of a bot"));
    }
    let chat = match settings.json("chat") {
        Some(Value::Number(number)) => number.to_string().into(),
        _ => Value::from(settings.required("chat")?),
    };
    settings.required("text")?;
    let mut body = json!({ "chat_id": chat });
    if let Some(mode) = settings.choice("parse_mode", &["HTML", "Markdown", "MarkdownV2"])? {
        body["parse_mode"] = mode.into();
    }
    if settings.boolean("silent", false)? {
        body["disable_notification"] = true.into();
    }
    let api = settings
        .string("api")?
        .unwrap_or("https://api.telegram.org");
    let url = format!("{}/bot{token}/sendMessage", api.trim_end_matches('/'));
    Ok(Box::new(Chat::new(address, url, &body, settings)?))
}
