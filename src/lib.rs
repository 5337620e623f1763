//! An event-stream processor to embed in blocking programs.

pub mod ack;
pub mod error;
pub mod event;
pub mod name;
pub mod network;
pub mod node;
pub mod payload;
pub mod pipeline;
pub mod script;
pub mod sink;
pub mod source;
pub mod store;
pub mod time;
pub mod window;

pub use ack::{Outcome, Token};
pub use error::{Error, ErrorKind, Result};
pub use event::{Batch, Event, Meta};
pub use name::{Endpoint, Name, Port};
pub use network::{Capacity, Draft, Kind, Network, Simulation, Stats};
pub use node::{Context, Node, Pipeline, Read, Sink, Source};
pub use payload::Payload;
pub use script::Runtime;
pub use store::{Database, Table};
