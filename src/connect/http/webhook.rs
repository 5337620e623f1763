//! The sink of `http:` and `https:`: each event is a request, or several are one.

use super::check_token;
use super::client::Client;
use crate::connect::{Address, JsonTemplate, Progress, Server, Settings, Template};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::format::{Encoder, Framing};
use crate::node::{Context, Node, Sink};
use crate::secret::{self, base64};
use serde_json::Value;
use std::time::Duration;
use ureq::http::{HeaderName, HeaderValue, Method, Request};

pub(super) const OPTIONS: &[&str] = &[
    "method",
    "headers",
    "token",
    "body",
    "content_type",
    "batch",
    "format",
    "timeout",
];

/// The headers whose values are secrets.
const SECRET_HEADERS: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "x-auth-token",
];

struct Webhook {
    client: Client,
    url: String,
    method: Method,
    headers: Vec<(HeaderName, Template)>,
    content_type: HeaderValue,
    body: Body,
    /// How many events go together, and how they are written.
    batch: Option<(usize, Format)>,
    /// Writes payloads.
    encoder: Encoder,
    progress: Progress,
    /// What goes together and has not gone yet.
    waiting: Vec<Event>,
    /// The numbers of these events.
    sequences: Vec<u64>,
}

enum Body {
    Payload,
    Text(Template),
    Json(JsonTemplate),
}

/// How events are written together.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Array,
    Lines,
}

/// What the option `format` has beside the formats of all sinks: how events of JSON go together.
const TOGETHER: [(&str, Format); 2] = [("array", Format::Array), ("lines", Format::Lines)];

pub(super) fn sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    let server = address.server(match address.scheme() {
        "https" => 443,
        _ => 80,
    })?;
    let method = settings.choice("method", &["POST", "PUT", "PATCH"])?;
    let body = body(settings)?;
    let encoder = encoder(settings)?;
    if !(encoder.is_json() || matches!(body, Body::Payload)) {
        return Err(settings.refuse("option body does not go together with the option format"));
    }
    let batch = batch(settings, &encoder)?;
    let content_type = match (settings.string("content_type")?, &body, batch) {
        (Some(given), _, _) => given,
        _ if !encoder.is_json() => encoder.content_type(),
        (None, Body::Text(_), None) => "text/plain; charset=utf-8",
        (None, _, Some((_, Format::Lines))) => "application/x-ndjson",
        _ => "application/json",
    };
    let headers = headers(&server, settings)?;
    let url = url(address, &server)?;
    Ok(Box::new(Webhook {
        client: Client::new(
            address,
            settings.duration("timeout", Duration::from_secs(10))?,
        ),
        url,
        method: Method::try_from(method.unwrap_or("POST"))
            .map_err(|_| not_allowed(settings, "method"))?,
        headers,
        content_type: HeaderValue::try_from(content_type)
            .map_err(|_| not_allowed(settings, "content_type"))?,
        body,
        batch,
        encoder,
        progress: Progress::default(),
        waiting: Vec::new(),
        sequences: Vec::new(),
    }))
}

/// The template of the body.
fn body(settings: &Settings) -> Result<Body> {
    let body = match settings.json("body") {
        None => None,
        Some(Value::Object(_) | Value::Array(_)) => settings.json_template("body")?.map(Body::Json),
        Some(_) => settings.template("body")?.map(Body::Text),
    };
    Ok(body.unwrap_or(Body::Payload))
}

/// How many events are sent together, and in which format. `None` without the option `batch`.
fn batch(settings: &Settings, encoder: &Encoder) -> Result<Option<(usize, Format)>> {
    let together = together(settings);
    let format = match together {
        Some(format) => format,
        None if encoder.is_json() => Format::Array,
        None => Format::Lines,
    };
    if settings.has("batch") {
        return Ok(Some((settings.count("batch", 1)?, format)));
    }
    if together.is_some() {
        let error = settings.refuse("this option format needs the option batch");
        return Err(error.with_hint("array and lines are for events that are sent together"));
    }
    Ok(None)
}

fn together(settings: &Settings) -> Option<Format> {
    let word = settings.json("format")?.as_str()?;
    let found = TOGETHER.iter().find(|(known, _)| *known == word);
    found.map(|(_, format)| *format)
}

fn encoder(settings: &Settings) -> Result<Encoder> {
    match together(settings) {
        Some(_) => Ok(Encoder::default()),
        None => settings.encoder(Framing::Stream),
    }
}

/// The headers of each request, with those that authenticate it.
fn headers(server: &Server, settings: &Settings) -> Result<Vec<(HeaderName, Template)>> {
    let mut headers = Vec::new();
    for (name, value) in settings.pairs("headers")? {
        if value.chars().any(char::is_control) {
            return Err(not_allowed(settings, &format!("header {name}")));
        }
        if SECRET_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            // The secret follows the name of its scheme, if there is one.
            let secret = value.split_once(' ').map_or(&*value, |(_, secret)| secret);
            secret::add(secret);
        }
    }
    for (name, template) in settings.template_pairs("headers")? {
        let parsed = HeaderName::try_from(&name);
        let parsed = parsed.map_err(|_| not_allowed(settings, &format!("header {name}")))?;
        headers.push((parsed, template));
    }
    let authorization = if let Some(token) = settings.string("token")? {
        check_token(settings, token)?;
        Some(format!("Bearer {token}"))
    } else if !server.user.is_empty() {
        let both = format!("{}:{}", server.user, server.password);
        Some(format!("Basic {}", base64(both.as_bytes())))
    } else {
        None
    };
    if let Some(value) = authorization {
        headers.push((ureq::http::header::AUTHORIZATION, Template::literal(value)));
    }
    Ok(headers)
}

/// The URL of the requests. User and password are in the headers.
fn url(address: &Address, server: &Server) -> Result<String> {
    let (scheme, host) = (address.scheme(), server.host_and_port());
    let mut url = format!("{scheme}://{host}/{}", server.path);
    if let Some((_, query)) = address.rest().split_once('?') {
        url.push('?');
        url.push_str(query);
    }
    match ureq::http::Uri::try_from(&url) {
        Ok(_) => Ok(url),
        Err(_) => Err(address.wrong("not a valid URL")),
    }
}

fn not_allowed(settings: &Settings, name: &str) -> Error {
    settings.refuse(format!("{name} is not allowed in a request"))
}

impl Webhook {
    /// The body of this event.
    fn write_body(&mut self, event: &Event, body: &mut Vec<u8>) -> Result<()> {
        let is_line = self
            .batch
            .is_some_and(|(_, format)| format == Format::Lines);
        match &self.body {
            Body::Payload if is_line || !self.encoder.is_json() => {
                self.encoder.encode(event, body)?;
            }
            Body::Text(template) if is_line => {
                let line = event.derive(template.render(event)?);
                self.encoder.encode(&line, body)?;
            }
            Body::Payload => body.extend(event.payload().bytes()),
            Body::Text(template) => body.extend(template.render(event)?.as_bytes()),
            Body::Json(template) => body.extend(template.render(event)?.to_string().as_bytes()),
        }
        Ok(())
    }

    /// Sends these events as one request; its headers are those of the first.
    fn send(&mut self, events: &[Event]) -> Result<()> {
        let mut body = Vec::new();
        for (at, event) in events.iter().enumerate() {
            match self.batch {
                Some((_, Format::Array)) => body.push(if at == 0 { b'[' } else { b',' }),
                Some((_, Format::Lines)) if at > 0 => body.push(b'\n'),
                _ => {}
            }
            self.write_body(event, &mut body)?;
        }
        body.splice(..0, self.encoder.header());
        if self
            .batch
            .is_some_and(|(_, format)| format == Format::Array)
        {
            body.push(b']');
        }
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.url);
        request = request.header("content-type", self.content_type.clone());
        for (name, template) in &self.headers {
            let value = template.render(&events[0])?;
            let value = HeaderValue::try_from(value).map_err(|_| {
                Error::data(format!("the value is not allowed in the header {name}"))
            })?;
            request = request.header(name.clone(), value);
        }
        let request = request
            .body(body)
            .map_err(|error| Error::data(error.to_string()))?;
        self.client.send(request)
    }

    /// Sends what waits, together; where that is refused, one by one.
    fn send_waiting(&mut self) -> Result<()> {
        let most = self.batch.map_or(1, |(most, _)| most);
        while !self.waiting.is_empty() {
            let mut events = std::mem::take(&mut self.waiting);
            let mut together = most.min(events.len());
            while !events.is_empty() {
                let sent = self.send(&events[..together]);
                match sent {
                    Err(error) if error.is_retryable() => {
                        self.waiting = events;
                        return Err(error);
                    }
                    Err(_) if together > 1 => {
                        together = 1;
                        continue;
                    }
                    sent => {
                        events.drain(..together);
                        for sequence in self.sequences.drain(..together) {
                            self.progress.add(sequence, sent.clone());
                        }
                    }
                }
                together = together.min(events.len()).max(1);
            }
        }
        Ok(())
    }
}

impl Node for Webhook {
    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.send_waiting()?;
        self.progress.commit()
    }

    fn rollback(&mut self) {
        self.progress.rollback();
        self.waiting.clear();
        self.sequences.clear();
    }
}

impl Sink for Webhook {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        if self.batch.is_none() {
            let mut progress = std::mem::take(&mut self.progress);
            let sent = progress.once(cx, || self.send(std::slice::from_ref(event)));
            self.progress = progress;
            return sent;
        }
        if let Some(known) = self.progress.known(cx) {
            return known;
        }
        self.waiting.push(event.detached());
        self.sequences.extend(cx.sequence());
        Ok(())
    }
}
