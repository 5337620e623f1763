//! Links as they are shipped: everything arrives once and in order, no link holds more than it
//! may, nobody waits for ever, and the account of each link is balanced when both ends are gone.

use super::ends::{Accounted, Control, Node, any, batches, overflowing, small, take, take_all, take_some};
use super::link::{Capacity, Overflow, Spill, LinkSettings};

use crate::schedules;
use std::collections::VecDeque;
use std::time::Duration;

fn tries(scenario: fn()) {
    shuttle::check_random(scenario, schedules());
    shuttle::check_pct(scenario, schedules(), 3);
}

const EVENTS: u64 = 6;

fn all() -> Vec<u64> {
    (0..EVENTS).collect()
}

fn is_in_order(events: &[u64]) -> bool {
    events.is_sorted_by(|one, next| one < next)
}

#[test]
fn all_events_arrive_once_in_order_within_the_capacity_of_their_link() {
    tries(|| {
        let (mut node, settings) = (Node::new(), small());
        let (link, account) = node.link(&settings);
        let taker = take_all(link, &settings);
        let sent = node.send(batches(EVENTS)).join().unwrap();
        assert_eq!(taker.join().unwrap(), all());
        assert_eq!((account.received(), account.lost()), (EVENTS, 0));
        account.assert_balanced();
        assert_eq!(sent.controls(), []);
    });
}

#[test]
fn links_of_one_sender_deliver_all_events_whichever_is_full() {
    tries(|| {
        let (mut node, settings) = (Node::new(), [small(), small()]);
        let links = settings.each_ref().map(|settings| node.link(settings));
        let takers: Vec<_> = links
            .into_iter()
            .zip(&settings)
            .map(|((link, account), settings)| (take_all(link, settings), account))
            .collect();
        node.send(batches(4)).join().unwrap();
        for (taker, account) in takers {
            assert_eq!(taker.join().unwrap(), [0, 1, 2, 3]);
            account.assert_balanced();
        }
    });
}

#[test]
fn links_of_several_senders_deliver_all_events_to_one_receiver() {
    tries(|| {
        let mut senders = Vec::new();
        let mut links = VecDeque::new();
        let mut accounts = Vec::new();
        for _ in 0..2 {
            let (mut node, settings) = (Node::new(), small());
            let (link, account) = node.link(&settings);
            senders.push(node.send(batches(4)));
            links.push_back((link, settings.capacity, Vec::new()));
            accounts.push(account);
        }
        while let Some((link, capacity, mut taken)) = links.pop_front() {
            match take(&link, capacity, 2) {
                Some(input) => {
                    taken.extend(input);
                    links.push_back((link, capacity, taken));
                }
                None => assert_eq!(taken, [0, 1, 2, 3]),
            }
        }
        senders.into_iter().for_each(|sender| {
            sender.join().unwrap();
        });
        accounts.iter().for_each(Accounted::assert_balanced);
    });
}

fn balances(members: &[LinkSettings], most: impl Fn(usize) -> usize) -> (Vec<Vec<u64>>, Vec<Accounted>) {
    let mut node = Node::new();
    let ends = node.balance(members).into_iter().enumerate();
    let (takers, accounts): (Vec<_>, Vec<_>) = ends
        // Batches are cut for the first member: none holds more than that one may.
        .map(|(at, (link, account))| (take_some(link, &members[0], most(at)), account))
        .unzip();
    node.send(batches(EVENTS)).join().unwrap();
    let taken: Vec<_> = takers.into_iter().map(|t| t.join().unwrap()).collect();
    accounts.iter().for_each(Accounted::assert_balanced);
    assert!(taken.iter().all(|taken| is_in_order(taken)), "{taken:?}");
    (taken, accounts)
}

#[test]
fn members_of_a_balance_share_all_events() {
    tries(|| {
        let settings = small();
        let (taken, _) = balances(&[settings.clone(), settings], |_| usize::MAX);
        let mut taken = taken.concat();
        taken.sort_unstable();
        assert_eq!(taken, all());
    });
}

#[test]
fn a_batch_that_is_larger_than_a_link_enters_it_when_it_is_empty() {
    tries(|| {
        // Batches are cut for the first member, which ends.
        let settings = [3, 1].map(|events| LinkSettings::from(Capacity::new().events(events).bytes(9)));
        let ends_after = any(0..=2);
        let most = |at| if at == 0 { ends_after } else { usize::MAX };
        let (taken, accounts) = balances(&settings, most);
        assert_eq!(taken.concat().len() as u64 + accounts[0].lost(), EVENTS);
    });
}

#[test]
fn a_member_of_a_balance_that_ends_leaves_the_work_to_the_others() {
    tries(|| {
        let settings = small();
        let ends_after = any(0..=2);
        let most = |at| if at == 0 { ends_after } else { usize::MAX };
        let (taken, accounts) = balances(&[settings.clone(), settings], most);
        let lost: u64 = accounts.iter().map(Accounted::lost).sum();
        assert_eq!(taken.concat().len() as u64 + lost, EVENTS);
        assert_eq!(accounts[1].lost(), 0, "what a live member lost");
    });
}

/// A node that is gone takes nothing; its sender goes on, and its sibling gets all.
fn ends_early(overflow: &Overflow) {
    let mut node = Node::new();
    let ended = overflowing(overflow.clone());
    let sibling = small();
    let (link, account) = node.link(&ended);
    let (other, other_account) = node.link(&sibling);
    let taker = take_some(link, &ended, any(0..=3));
    let live = take_all(other, &sibling);
    node.send(batches(EVENTS)).join().unwrap();
    let taken = taker.join().unwrap();
    assert_eq!(account.received(), taken.len() as u64);
    assert!(is_in_order(&taken), "{taken:?}");
    account.assert_balanced();
    assert_eq!(live.join().unwrap(), all());
    other_account.assert_balanced();
}

#[test]
fn a_receiver_that_ends_frees_a_sender_that_waits_and_what_it_left_is_lost() {
    tries(|| ends_early(&Overflow::Block));
    tries(|| ends_early(&Overflow::DropNewest));
    tries(|| ends_early(&Overflow::DropOldest));
    tries(|| ends_early(&spill()));
}

#[test]
fn a_sender_that_waits_keeps_control_messages_for_later() {
    tries(|| {
        let (mut node, settings) = (Node::new(), small());
        let (link, _) = node.link(&settings);
        let control = node.control.0.clone();
        let sender = node.send(batches(EVENTS));
        let taker = take_all(link, &settings);
        // One that comes after its end is not received.
        let _ = control.send(Control::Wake);
        let _ = control.send(Control::Stop);
        assert_eq!(taker.join().unwrap(), all());
        let controls = sender.join().unwrap().controls();
        assert!(
            [Control::Wake, Control::Stop].starts_with(&controls),
            "{controls:?}"
        );
    });
}

#[test]
fn a_sender_that_is_aborted_waits_for_no_room() {
    tries(|| {
        let (mut node, settings) = (Node::new(), small());
        let (link, account) = node.link(&settings);
        let (other, other_account) = node.link(&settings);
        let control = node.control.0.clone();
        let sender = node.send(batches(EVENTS));
        let live = take_all(other, &settings);
        let _ = control.send(Control::Abort);
        // The receiver is in its own code all the while.
        sender.join().unwrap();
        let taken = take_all(link, &settings).join().unwrap();
        assert!(all().starts_with(&taken), "{taken:?}");
        assert!(all().starts_with(&live.join().unwrap()));
        account.assert_balanced();
        other_account.assert_balanced();
    });
}

#[test]
fn a_sender_waits_for_a_link_no_longer_than_its_timeout() {
    tries(|| {
        let mut node = Node::new();
        let settings = LinkSettings {
            timeout: Some(Duration::from_secs(1)),
            ..small()
        };
        let (link, account) = node.link(&settings);
        let (other, other_account) = node.link(&small());
        let other = take_all(other, &LinkSettings::from(Capacity::default()));
        let sender = node.send(batches(EVENTS));
        let (taken, sent) = match any(0..=1) {
            0 => {
                let taken = take_all(link, &settings).join().unwrap();
                (taken, sender.join().unwrap())
            }
            // The receiver is in its own code all the while.
            _ => {
                let sent = sender.join().unwrap();
                (take_all(link, &settings).join().unwrap(), sent)
            }
        };
        assert!(is_in_order(&taken), "{taken:?}");
        assert_eq!(account.received() + account.lost(), EVENTS);
        account.assert_balanced();
        assert!(sent.timeouts.len() <= 1, "times that it was reported");
        // When it was, something may have been taken at last.
        assert!(account.lost() == 0 || sent.timeouts.len() == 1);
        assert_eq!(other.join().unwrap(), all());
        other_account.assert_balanced();
    });
}

#[test]
fn a_link_that_drops_the_newest_passes_the_rest_in_order() {
    tries(|| {
        let mut node = Node::new();
        let settings = overflowing(Overflow::DropNewest);
        let (link, account) = node.link(&settings);
        let taker = take_all(link, &settings);
        node.send(batches(EVENTS)).join().unwrap();
        let taken = taker.join().unwrap();
        assert!(is_in_order(&taken) && taken[0] == 0, "{taken:?}");
        assert_eq!(taken.len() as u64 + account.dropped(), EVENTS);
        account.assert_balanced();
    });
}

#[test]
fn a_link_that_drops_the_oldest_passes_the_last_one() {
    tries(|| {
        let mut node = Node::new();
        let settings = overflowing(Overflow::DropOldest);
        let (link, account) = node.link(&settings);
        let taker = take_all(link, &settings);
        node.send(batches(EVENTS)).join().unwrap();
        let taken = taker.join().unwrap();
        assert!(is_in_order(&taken), "{taken:?}");
        assert_eq!(taken.last(), Some(&(EVENTS - 1)));
        assert_eq!(taken.len() as u64 + account.dropped(), EVENTS);
        account.assert_balanced();
    });
}

/// To a file that takes a batch, or a few of them, or none.
fn spill() -> Overflow {
    let size = [8, 30, 64, 1_000][any(0..=3)];
    Overflow::Spill(Spill::new().size(size))
}

#[test]
fn a_link_that_spills_passes_all_events_in_order() {
    tries(|| {
        let mut node = Node::new();
        let settings = overflowing(spill());
        let (link, account) = node.link(&settings);
        let taker = take_all(link, &settings);
        node.send(batches(EVENTS)).join().unwrap();
        assert_eq!(taker.join().unwrap(), all());
        assert_eq!((account.lost(), account.dropped()), (0, 0));
        account.assert_balanced();
    });
}
