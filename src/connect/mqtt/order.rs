//! What the broker waits for: messages that came and are not yet acked, in the order of their coming.
//!
//! The invariants: no message is acked before all that came before it by the same connection are; a
//! message that comes again by a resumed connection is the one that is known already, also when it
//! was delivered meanwhile. To be known it must have the packet id and the content that it had.

use std::collections::{HashMap, VecDeque};

/// Messages that are not yet acked.
#[derive(Default)]
pub(super) struct Order {
    /// Those of this connection.
    slots: VecDeque<Slot>,
    /// How many slots there were before these.
    first: u64,
    /// The slots of messages that are called otherwise, since they came by an earlier connection.
    moved: HashMap<u64, u64>,
    /// Those of earlier connections that have not come again, by packet id.
    old: HashMap<u16, Slot>,
    /// What was taken for good and the broker has not yet let go, by packet id: QoS 2.
    received: HashMap<u16, u64>,
}

/// The answer to the broker for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub packet: u16,
    /// QoS 2.
    pub exactly_once: bool,
}

struct Slot {
    /// What the message is called here.
    number: u64,
    answer: Answer,
    /// A hash of its content.
    mark: u64,
    is_delivered: bool,
}

impl Order {
    /// A message has come; `None` where it is known, and is not to be emitted again.
    pub fn came(&mut self, answer: Answer, mark: u64) -> Option<u64> {
        let at = self.first + self.slots.len() as u64;
        let known = |slot: &Slot| slot.mark == mark && slot.answer == answer;
        let old = self.old.remove(&answer.packet).filter(known);
        let is_received = answer.exactly_once && self.received.get(&answer.packet) == Some(&mark);
        let (number, is_delivered) = match &old {
            Some(old) => (old.number, old.is_delivered),
            None => (at, is_received),
        };
        if old.is_some() && !is_delivered {
            self.moved.insert(number, at);
        }
        self.slots.push_back(Slot {
            number,
            answer,
            mark,
            is_delivered,
        });
        (old.is_none() && !is_received).then_some(number)
    }

    /// All that was made of a message was delivered.
    pub fn delivered(&mut self, number: u64) {
        let at = self.moved.remove(&number).unwrap_or(number);
        let slot = match at.checked_sub(self.first) {
            Some(at) => self
                .slots
                .get_mut(usize::try_from(at).unwrap_or(usize::MAX)),
            // It may still come again.
            None => self.old.values_mut().find(|slot| slot.number == number),
        };
        if let Some(slot) = slot {
            slot.is_delivered = true;
        }
    }

    /// What may be acked now, in order.
    pub fn due(&self) -> impl Iterator<Item = Answer> {
        let due = self.slots.iter().take_while(|slot| slot.is_delivered);
        due.map(|slot| slot.answer)
    }

    /// The first so many were acked.
    pub fn acked(&mut self, count: usize) {
        for slot in self.slots.drain(..count) {
            self.first += 1;
            if slot.answer.exactly_once {
                self.received.insert(slot.answer.packet, slot.mark);
            }
        }
    }

    /// The broker lets a message of QoS 2 go: its packet id may be that of another one.
    pub fn released(&mut self, packet: u16) {
        self.received.remove(&packet);
    }

    /// There is a new connection. The broker has resumed the session or not.
    pub fn connected(&mut self, is_resumed: bool) {
        self.first += self.slots.len() as u64;
        self.moved.clear();
        let slots = self.slots.drain(..);
        if is_resumed {
            self.old
                .extend(slots.map(|slot| (slot.answer.packet, slot)));
        } else {
            drop(slots);
            self.old.clear();
            self.received.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Order};

    fn once(packet: u16) -> Answer {
        Answer {
            packet,
            exactly_once: false,
        }
    }

    fn twice(packet: u16) -> Answer {
        Answer {
            packet,
            exactly_once: true,
        }
    }

    fn due(order: &Order) -> Vec<u16> {
        order.due().map(|answer| answer.packet).collect()
    }

    #[test]
    fn acks_are_in_the_order_of_arrival() {
        let mut order = Order::default();
        let numbers = [7, 8, 9].map(|packet| order.came(once(packet), 0).expect("new"));
        order.delivered(numbers[2]);
        order.delivered(numbers[1]);
        assert!(due(&order).is_empty());
        order.delivered(numbers[0]);
        assert_eq!(due(&order), [7, 8, 9]);
        order.acked(2);
        assert_eq!(due(&order), [9]);
        let next = order.came(once(7), 1).expect("new");
        order.delivered(next);
        assert_eq!(due(&order), [9, 7]);
    }

    #[test]
    fn what_comes_again_is_known_and_acked_when_it_is_delivered() {
        let mut order = Order::default();
        let numbers = [1, 2, 3].map(|packet| order.came(once(packet), 5).expect("new"));
        order.delivered(numbers[1]);
        order.connected(true);
        // One is delivered before it comes again, one after.
        order.delivered(numbers[0]);
        assert!(due(&order).is_empty());
        let again = [1, 2, 3].map(|packet| order.came(once(packet), 5));
        assert_eq!(again, [None; 3]);
        assert_eq!(due(&order), [1, 2]);
        order.acked(2);
        order.connected(true);
        order.delivered(numbers[2]);
        assert_eq!(order.came(once(3), 5), None);
        assert_eq!(due(&order), [3]);
    }

    #[test]
    fn a_broker_that_has_forgotten_the_session_begins_anew() {
        let mut order = Order::default();
        let old = order.came(once(1), 5).expect("new");
        order.connected(false);
        let new = order.came(once(1), 5).expect("new");
        order.delivered(old);
        assert!(due(&order).is_empty());
        order.delivered(new);
        assert_eq!(due(&order), [1]);
        // Nor is another message taken for one that has its packet id.
        order.connected(true);
        assert!(order.came(once(1), 6).is_some());
    }

    #[test]
    fn what_was_taken_for_good_is_not_taken_twice() {
        let mut order = Order::default();
        let number = order.came(twice(4), 5).expect("new");
        order.delivered(number);
        order.acked(1);
        order.connected(true);
        assert_eq!(order.came(twice(4), 5), None);
        assert_eq!(due(&order), [4]);
        order.acked(1);
        order.released(4);
        assert!(order.came(twice(4), 5).is_some());
    }
}
