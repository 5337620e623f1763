//! Sinks: where events go. One file each; to add one, write a file that implements
//! [`Node`](crate::Node) and [`Sink`](crate::Sink), and name it here.

mod channel;
mod closure;
mod dead_letters;
mod discarder;
mod lines;
mod recorder;
mod sql;
mod tester;

pub use channel::{ChannelSink, Receiver, channel};
pub use closure::{Collector, Handler, collect, handler};
pub use dead_letters::DeadLetterSink;
pub use discarder::Discarder;
pub use lines::{LineSink, Rotation};
pub use recorder::Recorder;
pub use sql::{SqlMode, SqlSink};
pub use tester::Tester;
