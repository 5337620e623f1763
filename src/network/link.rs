//! Links: one channel each, which carries batches.
//!
//! The capacity of a link is counted in events and bytes, by its sender: batches are cut so that
//! they fit, and `capacity` 1 is one batch of one event. The channel itself has no bound. A sender
//! that finds no room waits at its control channel, where the receiver wakes it once there is room.
//! So it keeps receiving control messages while it waits.
//!
//! The parts: `options` (the settings of a link), `room` (how much it holds, and how its sender is
//! woken), `sending` (how a batch gets in), `waiting` (how a sender waits for room), `receiving` (how a
//! batch gets out), `overflow_buffer` (where events wait in a link that drops or spills what it has no
//! room for), `spill` (the file of those that wait on disk). To add another policy for events that
//! have no room, add a variant of [`Overflow`] and handle it in `OverflowBuffer::put`.
//!
//! Links use neither nodes nor control messages: a node that sends implements [`WakeSender`] and
//! [`SendContext`].

mod message;
mod options;
mod overflow_buffer;
mod receiving;
mod room;
mod sending;
mod spill;
mod waiting;

pub(crate) use message::Message;
pub(crate) use options::LinkSettings;
pub use options::{Capacity, LinkOptions, Overflow, Spill};
pub(crate) use receiving::LinkReceiver;
pub(crate) use room::WakeSender;
pub(crate) use sending::{LinkSender, LinkTimeout, PendingSend};
#[doc(hidden)]
pub use spill::spilled;
pub(crate) use waiting::{Aborted, SendContext, Woken, wait};

use super::id::LinkId;
use super::stats::LinkAccount;
use crate::name::{Endpoint, Name};
use overflow_buffer::OverflowBuffer;
use room::{ReceiverGuard, Room};
#[cfg(shuttle)]
use shuttle::sync::atomic::Ordering;
use std::sync::Arc;
#[cfg(not(shuttle))]
use std::sync::atomic::Ordering;

/// Makes a link; `waker` wakes the node that sends. In a simulation it has no
/// bound, since nothing can wait there: one that blocks or spills takes everything, one that drops
/// does so there too.
pub(crate) fn link(
    id: LinkId,
    from: &Endpoint,
    to: &Name,
    settings: &LinkSettings,
    bounded: bool,
    account: Arc<LinkAccount>,
    waker: impl WakeSender + 'static,
) -> (LinkSender, LinkReceiver) {
    let shelved = match settings.overflow {
        Overflow::Block => false,
        Overflow::Spill(_) => bounded,
        Overflow::DropNewest | Overflow::DropOldest => true,
    };
    account
        .waiting_since
        .drops_newest
        .store(settings.overflow == Overflow::DropNewest, Ordering::Relaxed);
    let buffer = shelved.then(|| {
        let label = format!("{from} -> {to}");
        Arc::new(OverflowBuffer::new(label, settings, account.clone()))
    });
    let room = Arc::new(Room::new(Box::new(waker), account.clone()));
    let guard = ReceiverGuard(room.clone());
    let room = bounded.then_some(room);
    let (tx, rx) = flume::unbounded();
    let sender = LinkSender::new(id, tx, settings, account.clone(), room, buffer.clone());
    let receiver = LinkReceiver::new(id, rx, settings.capacity, account, buffer, guard);
    (sender, receiver)
}
