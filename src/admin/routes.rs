//! What is where.

use super::access::Access;
use super::changes::{Change, Waiting};
use super::taps::Taps;
use super::{Shown, api, metrics, page};
use crate::connect::server::{Head, Peer, Response, State};
use crate::error::{Error, ErrorKind, quote};
use crate::network::Network;
use crate::script::ReloadOptions;
use crate::secret::scrub;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::atomic::Ordering;

/// Nothing of an answer is kept by a browser or a proxy, or taken for something else than it is.
const PLAIN: &str = "cache-control: no-store\r\nx-content-type-options: nosniff\r\n";

/// Where a connection goes whose answer is not there yet, or has no end.
pub(super) struct Later<'a> {
    pub taps: &'a mut Taps,
    pub waiting: &'a mut Waiting,
    pub id: u64,
}

/// Answers a request that is allowed.
pub(super) fn answer(
    shown: &Shown,
    access: &Access,
    later: Later<'_>,
    peer: &mut Peer,
    head: &Head,
) {
    let path = decoded(&head.path);
    let reads = matches!(head.method.as_str(), "GET" | "HEAD");
    let closes = head.closes;
    if let Some(at) = path.strip_prefix("/api/v1/tap/").filter(|_| reads) {
        let tap = shown.network().ok_or_else(none).and_then(|n| n.tap(at));
        return match tap {
            Ok(tap) => {
                let response = response(200, "application/x-ndjson", "");
                peer.begin_stream(&response, head.is_old);
                later.taps.add(later.id, tap);
            }
            Err(error) => peer.respond(&failure(404, &error), closes),
        };
    }
    if let Some(change) = change(&path, head).filter(|_| head.method == "POST") {
        let asked = change.and_then(|change| shown.ask(change));
        return match asked {
            Ok(reply) => {
                peer.turn(State::Waiting {
                    left: 1,
                    failed: false,
                    closes,
                });
                later.waiting.add(later.id, closes, reply);
            }
            Err(error) if error.kind() == ErrorKind::Config => {
                peer.respond(&failure(501, &error), closes);
            }
            Err(error) => peer.respond(&failure(400, &error), closes),
        };
    }
    let response = match (path.as_ref(), reads) {
        ("/", true) => page::response(),
        ("/healthz", true) => {
            let state = shown.network().map(|network| network.state().as_str());
            json_response(200, &json!({"alive": true, "state": state}))
        }
        ("/readyz", true) => {
            let (ready, body) = api::ready(shown, access.sees_all(head));
            json_response(if ready { 200 } else { 503 }, &body)
        }
        ("/metrics", true) => with(shown, |network| {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            response(200, kind, &metrics::text(shown, network))
        }),
        ("/api/v1/network", true) => with_json(shown, |network| Ok(api::network(shown, network))),
        ("/api/v1/stats", true) => with_json(shown, |network| Ok(api::stats(network))),
        ("/api/v1/plan", true) => json_response(200, &api::plans(shown)),
        ("/api/v1/errors", true) => with_json(shown, |network| Ok(api::errors(network))),
        ("/api/v1/units", true) => json_response(200, &api::units(shown)),
        ("/api/v1/stop", false) if head.method == "POST" => with_json(shown, |network| {
            shown.stop.store(true, Ordering::Relaxed);
            log::warn!("stopping: a client of the admin address asked for it");
            network.request_stop();
            Ok(json!({"state": "stopping"}))
        }),
        (path, true) => match path.strip_prefix("/api/v1/explain/") {
            Some(node) => match api::explain(shown, node) {
                Ok(explained) => json_response(200, &explained),
                Err(error) => failure(404, &error),
            },
            None if CHANGES.contains(&path) => {
                refused(405, "a change is posted", "allow: POST\r\n")
            }
            None => refused(404, "nothing is here", ""),
        },
        (_, false) => refused(405, "it can only be read", "allow: GET, HEAD\r\n"),
    };
    peer.respond(&response, closes);
}

/// What changes a network.
const CHANGES: [&str; 4] = [
    "/api/v1/stop",
    "/api/v1/reload",
    "/api/v1/load",
    "/api/v1/unload",
];

/// The change that a request asks for, apart from a stop.
fn change(path: &str, head: &Head) -> Option<Result<Change, Error>> {
    let pairs = head.query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let pairs: Vec<(&str, String)> = pairs
        .map(|(key, value)| (key, decoded(value).into_owned()))
        .collect();
    let value = |wanted: &str| {
        let mut pairs = pairs.iter();
        let found = pairs.find(|(key, _)| *key == wanted);
        found.map(|(_, value)| value.clone())
    };
    let is_set = |key: &str| value(key).is_some_and(|value| value != "0" && value != "false");
    let mut options = ReloadOptions::new();
    if is_set("dry_run") {
        options = options.dry_run();
    }
    if is_set("accept_loss") {
        options = options.accept_loss();
    }
    let named = || {
        let missing = Error::data("the name of the script is missing");
        value("unit").ok_or_else(|| missing.with_hint("add ?unit=NAME"))
    };
    let known: &[&str] = match path {
        "/api/v1/reload" | "/api/v1/load" => &["unit", "dry_run", "accept_loss"],
        "/api/v1/unload" => &["unit"],
        _ => return None,
    };
    if let Some((key, _)) = pairs.iter().find(|(key, _)| !known.contains(key)) {
        let error = Error::data(format!("unknown parameter {}", quote(*key)));
        return Some(Err(
            error.with_hint(format!("allowed is {}", known.join(", ")))
        ));
    }
    Some(match path {
        "/api/v1/reload" => Ok(Change::Reload {
            unit: value("unit"),
            options,
        }),
        "/api/v1/load" => named().map(|path| Change::Load { path, options }),
        _ => named().map(|unit| Change::Unload { unit }),
    })
}

/// The answer to a change that was made, or was not.
pub(super) fn changed(result: Result<Value, Error>) -> Response {
    match result {
        Ok(plans) => json_response(200, &plans),
        Err(error) if error.kind() == ErrorKind::Closed => failure(503, &error),
        Err(error) => failure(422, &error),
    }
}

fn none() -> Error {
    Error::data("there is no network yet")
}

fn with(shown: &Shown, answer: impl FnOnce(&Network) -> Response) -> Response {
    match shown.network() {
        Some(network) => answer(&network),
        None => failure(503, &none()),
    }
}

fn with_json(shown: &Shown, answer: impl FnOnce(&Network) -> Result<Value, Error>) -> Response {
    with(shown, |network| match answer(network) {
        Ok(value) => json_response(200, &value),
        Err(error) => failure(400, &error),
    })
}

fn json_response(status: u16, value: &Value) -> Response {
    response(status, "application/json", &format!("{value}\n"))
}

fn failure(status: u16, error: &Error) -> Response {
    let text = match error.place() {
        Some(place) => format!("{place}: {}", error.message()),
        None => error.message().to_owned(),
    };
    json_response(status, &json!({"error": text, "hint": error.hint()}))
}

fn refused(status: u16, why: &str, headers: &'static str) -> Response {
    Response {
        headers,
        ..json_response(status, &json!({ "error": why }))
    }
}

/// An answer without secrets.
fn response(status: u16, content_type: &'static str, body: &str) -> Response {
    Response {
        status,
        content_type,
        headers: PLAIN,
        body: scrub(body).into_owned().into_bytes(),
    }
}

/// A path whose percent signs are resolved; one that is none, or is not UTF-8 then, stays as it is.
fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(path), Cow::Owned)
}
