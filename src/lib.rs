//! An event-stream processor to embed in blocking programs.

pub mod ack;
pub mod error;
pub mod event;
pub mod name;
pub mod network;
pub mod node;
pub mod payload;
pub mod pipeline;
pub mod sink;
pub mod source;
pub mod time;

pub use ack::{Outcome, Token};
pub use error::{Error, ErrorKind, Result};
pub use event::{Batch, Event, Meta};
pub use name::{Endpoint, Name, Port};
pub use network::{Capacity, Draft, Format, Kind, Network, Simulation, Stats};
pub use node::{Context, Node, Pipeline, Read, Sink, Source};
pub use payload::Payload;
