//! Sources: where events come from. One file each; to add one, write a file that implements
//! [`Node`](crate::Node) and [`Source`](crate::Source), and name it here.

mod channel;
mod iter;
mod lines;
mod requeue;
mod ticker;

pub use channel::{ChannelSource, Sender, channel};
pub use iter::{FromIter, from_iter};
#[doc(hidden)]
pub use lines::sealed_checkpoint;
pub use lines::{Follow, LineSource};
pub use requeue::Requeue;
pub use ticker::Ticker;
