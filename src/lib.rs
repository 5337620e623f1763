//! An event-stream processor to embed in blocking programs.

pub mod ack;
pub mod error;
pub mod event;
pub mod name;
pub mod node;
pub mod payload;
pub mod store;
pub mod time;
pub mod window;

pub use ack::{Outcome, Token};
pub use error::{Error, ErrorKind, Result};
pub use event::{Batch, Event, Meta};
pub use name::{Endpoint, Name, Port};
pub use node::{Context, Node, Pipeline, Read, Sink, Source};
pub use payload::Payload;
pub use store::{Database, Table};
