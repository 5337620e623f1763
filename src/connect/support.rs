//! What connectors share: addresses, options, secrets and templates; messages under way; sockets, lines and
//! the runtime of an asynchronous client.

pub(super) mod address;
pub(super) mod admission;
pub(super) mod inbox;
pub(super) mod lines;
pub(super) mod options;
pub(super) mod progress;
#[cfg(any(feature = "amqp", feature = "mqtt", feature = "nats"))]
pub(super) mod runtime;
pub(super) mod secret;
pub(super) mod settings;
pub(super) mod socket;
pub(super) mod template;
