//! `telegram:TOKEN`: messages to a chat, sent by the bot whose token that is.
//!
//! Telegram accepts a message a second for one chat; the option `pace` changes that. `api` is its URL.

use super::chat::Chat;
use super::{Address, Connector, JsonTemplate, Make, Settings};
use crate::error::Result;
use crate::node::Sink;
use serde_json::Value;

pub(super) const TELEGRAM: Connector = Connector {
    scheme: "telegram",
    is_secret: true,
    templates: &["chat", "text"],
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
        bytes: None,
        make: sink,
    }),
    ..Connector::NONE
};

fn sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let token = address.rest();
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-');
    if token.is_empty() || !token.chars().all(is_token) {
        return Err(address.wrong("not a bot token"));
    }
    let chat = match settings.json("chat") {
        Some(Value::Number(number)) => Some(JsonTemplate::fixed(number.to_string())),
        _ => {
            settings.required("chat")?;
            settings.json_template("chat")?
        }
    };
    settings.required("text")?;
    let mode = settings.choice("parse_mode", &["HTML", "Markdown", "MarkdownV2"])?;
    let is_silent = settings.boolean("silent", false)?;
    let body = JsonTemplate::object([
        ("chat_id", chat),
        ("parse_mode", mode.map(JsonTemplate::fixed)),
        (
            "disable_notification",
            is_silent.then(|| JsonTemplate::fixed(true)),
        ),
    ]);
    let api = settings
        .string("api")?
        .unwrap_or("https://api.telegram.org");
    let url = format!("{}/bot{token}/sendMessage", api.trim_end_matches('/'));
    Ok(Box::new(Chat::new(address, url, body, settings)?))
}
