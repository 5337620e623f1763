//! What travels in the channel of a link.

use crate::event::Batch;

/// A message in the channel of a link.
pub(crate) enum Message {
    Batch(Batch),
    /// A batch waits in the overflow buffer.
    Ready,
}
