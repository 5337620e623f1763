//! `http://` and `https://`: a source that accepts posted events, a sink that posts events.
//!
//! [`ingest`] serves in the thread of its node, with the server of [`support::http`](super::support::http).
//! [`webhook`] sends with `ureq`, through [`client`], which maps each response to an outcome and serves
//! other connectors too.

mod body;
pub(super) mod client;
mod ingest;
mod webhook;

use super::listening::unfit;
use super::{Connector, Make, Settings};
use crate::error::Result;
use crate::format::Framing;

pub(super) const HTTP: Connector = Connector {
    scheme: "http",
    templates: &["body", "headers", "template"],
    source: Some(Make {
        options: ingest::OPTIONS,
        bytes: Some(Framing::Stream),
        make: ingest::source,
    }),
    sink: Some(Make {
        options: webhook::OPTIONS,
        bytes: Some(Framing::Stream),
        make: webhook::sink,
    }),
    ..Connector::NONE
};

/// Refuses a token that cannot stand in `Authorization: Bearer`, or not in one way only.
fn check_token(settings: &Settings, token: &str) -> Result<()> {
    let why = match unfit(token) {
        _ if token.is_empty() => return Err(settings.wrong("token", "a token")),
        None => return Ok(()),
        Some(why) => why,
    };
    Err(settings.refuse(format!("option token is not allowed in a header: {why}")))
}

/// A source needs a proxy in front of it for TLS.
pub(super) const HTTPS: Connector = Connector {
    scheme: "https",
    source: None,
    ..HTTP
};
