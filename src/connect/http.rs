//! `http://` and `https://`: a source to which others post events, a sink that posts them.
//!
//! [`ingest`] serves in the node's own thread: no server crate that is kept does without threads of
//! its own, so it is a small one, over the parser `httparse` ([`request`]) and `poll` ([`peer`]).
//! [`webhook`] sends with `ureq`, through [`client`], which says what each answer means and serves
//! other connectors too.

pub(super) mod client;
mod ingest;
mod peer;
mod request;
mod webhook;

use super::{Connector, Make};

pub(super) const HTTP: Connector = Connector {
    scheme: "http",
    templates: &["body", "headers"],
    source: Some(Make {
        options: ingest::OPTIONS,
        make: ingest::source,
    }),
    sink: Some(Make {
        options: webhook::OPTIONS,
        make: webhook::sink,
    }),
    ..Connector::NONE
};

/// What serves stands behind a proxy that speaks TLS.
pub(super) const HTTPS: Connector = Connector {
    scheme: "https",
    source: None,
    ..HTTP
};
