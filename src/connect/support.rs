//! What connectors share: addresses, options, secrets and templates; messages under way; sockets, lines and
//! the runtime of an asynchronous client.

pub(crate) mod address;
pub(crate) mod admission;
#[cfg(any(feature = "admin", feature = "http"))]
pub(crate) mod http;
pub(super) mod inbox;
pub(super) mod lines;
pub(super) mod options;
pub(super) mod progress;
#[cfg(any(
    feature = "amqp",
    feature = "kafka",
    feature = "mqtt",
    feature = "redis"
))]
pub(super) mod redelivery;
#[cfg(any(feature = "amqp", feature = "mqtt", feature = "nats"))]
pub(super) mod runtime;
pub(crate) mod secret;
pub(super) mod settings;
pub(crate) mod socket;
