//! The HTTP server of the crate: connections that are served by the thread that asks for their requests.
//!
//! Maintained server crates start threads of their own, so this is a small server over the parser `httparse`
//! ([`request`]) and `poll` ([`peer`]). [`server`] accepts connections, bounds them, and calls a [`Service`]
//! for each request: the source of `http:`, and the page and the API of a running network.

pub(crate) mod peer;
pub(crate) mod request;
pub(crate) mod server;

pub(crate) use peer::{Peer, Response, State, Whole, taken};
#[cfg(test)]
pub(crate) use request::head;
pub(crate) use request::{Head, Refused, same};
pub(crate) use server::{Limits, Server, Service};
