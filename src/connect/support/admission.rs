//! Which connections a listener keeps: a maximum in all, and a maximum from one address.
//!
//! The invariant: connections that are not used never shut out a new one. Where no more
//! connections may be open, the one that is used least is closed for a new one: one that never sent
//! anything, then the one that is idle longest, then one in the middle of something that has made no
//! progress for [`STALLED`]. A connection in use is never closed for another; a new one waits in the backlog then,
//! or is refused if its address has reached its maximum.

use super::settings::Settings;
use crate::error::Result;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// A connection without progress for this time may be closed for a new one.
pub(crate) const STALLED: Duration = Duration::from_secs(2);

/// The most connections, by default.
const CONNECTIONS: usize = 256;

/// Where a connection comes from. A host with IPv6 has a network of 64 bits, which counts as one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin(IpAddr);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Origin(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            address => address,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// How far a connection is in use, and since when; the least used comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Usage {
    /// It never sent anything.
    Unused(Instant),
    /// Nothing of it is under way.
    Idle(Instant),
    /// It is in the middle of something, and has made no progress for [`STALLED`].
    Stalled(Instant),
    Busy,
}

/// An open connection.
#[derive(Clone, Copy)]
pub(crate) struct Open<K> {
    pub key: K,
    pub origin: Option<Origin>,
    pub usage: Usage,
}

/// What becomes of a new connection.
#[derive(Debug, PartialEq)]
pub(crate) enum Entry<K> {
    /// There is room.
    Free,
    /// It takes the place of this one.
    Replaces(K),
    /// No connection is closed for it.
    Refused,
}

/// How many connections may be open.
#[derive(Clone, Copy)]
pub(crate) struct Admission {
    /// In all.
    pub most: usize,
    /// From one address.
    pub per_address: usize,
}

impl Admission {
    /// By the options `connections` and `connections_per_address`, which is half of all by default.
    ///
    /// # Errors
    /// Options that are no numbers.
    pub fn of(settings: &Settings) -> Result<Self> {
        let most = settings.count("connections", CONNECTIONS)?;
        let per_address = settings.count("connections_per_address", most.div_ceil(2))?;
        Ok(Admission { most, per_address })
    }

    /// Whether a new connection can be taken.
    pub fn has_room<K>(&self, open: impl ExactSizeIterator<Item = Open<K>>) -> bool {
        open.len() < self.most || { open }.any(|open| open.usage != Usage::Busy)
    }

    /// What becomes of a new connection from `origin`; `may_close` has the last word on the one that
    /// is to give way.
    pub fn admit<K: Copy>(
        &self,
        origin: Option<Origin>,
        open: impl Iterator<Item = Open<K>>,
        mut may_close: impl FnMut(K) -> bool,
    ) -> Entry<K> {
        let open: Vec<Open<K>> = open.collect();
        let is_same = |open: &Open<K>| origin.is_some() && open.origin == origin;
        let from_here = open.iter().filter(|open| is_same(open)).count();
        let has_enough = from_here >= self.per_address;
        if open.len() < self.most && !has_enough {
            return Entry::Free;
        }
        let may_go = |open: &&Open<K>| open.usage != Usage::Busy && (!has_enough || is_same(open));
        let mut candidates: Vec<&Open<K>> = open.iter().filter(may_go).collect();
        candidates.sort_by_key(|open| open.usage);
        let found = candidates.iter().find(|open| may_close(open.key));
        found.map_or(Entry::Refused, |open| Entry::Replaces(open.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::monotonic;

    const BOUNDS: Admission = Admission {
        most: 4,
        per_address: 2,
    };

    fn origin(text: &str) -> Option<Origin> {
        Some(Origin::from(text.parse::<IpAddr>().expect("an address")))
    }

    fn open(key: u32, from: &str, usage: Usage) -> Open<u32> {
        Open {
            key,
            origin: origin(from),
            usage,
        }
    }

    #[test]
    fn the_least_used_connection_gives_way() {
        let now = monotonic();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut all = vec![
            open(0, "1.1.1.1", Usage::Busy),
            open(1, "1.1.1.1", Usage::Stalled(at(0))),
            open(2, "2.2.2.2", Usage::Idle(at(2))),
            open(3, "3.3.3.3", Usage::Idle(at(1))),
        ];
        let enter = |all: &[Open<u32>], from: &str| {
            BOUNDS.admit(origin(from), all.iter().copied(), |key| key != 9)
        };
        assert_eq!(enter(&all, "4.4.4.4"), Entry::Replaces(3));
        // One with as many as it may have takes the place of one of its own.
        assert_eq!(enter(&all, "1.1.1.1"), Entry::Replaces(1));
        assert_eq!(enter(&all[..3], "4.4.4.4"), Entry::Free);
        assert_eq!(enter(&all[..3], "1.1.1.1"), Entry::Replaces(1));
        all[1].usage = Usage::Busy;
        assert_eq!(enter(&all[..3], "1.1.1.1"), Entry::Refused);
        all[3] = open(9, "3.3.3.3", Usage::Unused(at(9)));
        assert_eq!(enter(&all, "4.4.4.4"), Entry::Replaces(2));
        all[3].key = 3;
        assert_eq!(enter(&all, "4.4.4.4"), Entry::Replaces(3));
        assert!(BOUNDS.has_room(all.iter().copied()));
        all.iter_mut().for_each(|open| open.usage = Usage::Busy);
        assert!(!BOUNDS.has_room(all.iter().copied()));
        assert_eq!(enter(&all, "4.4.4.4"), Entry::Refused);
    }

    #[test]
    fn a_network_of_ipv6_is_one_origin_and_a_mapped_address_that_of_ipv4() {
        assert!(origin("2001:db8::1") == origin("2001:db8::ffff:1"));
        assert!(origin("2001:db8::1") != origin("2001:db8:0:1::1"));
        assert!(origin("::ffff:1.2.3.4") == origin("1.2.3.4"));
        let shown = origin("2001:db8::7").map(|origin| origin.to_string());
        assert_eq!(shown.as_deref(), Some("2001:db8::/64"));
        // The peers of a Unix socket have no address: no bound for each.
        let none = |key| Open {
            key,
            origin: None,
            usage: Usage::Busy,
        };
        let all = [none(0), none(1), none(2)];
        let entry = BOUNDS.admit(None, all.into_iter(), |_| true);
        assert_eq!(entry, Entry::Free);
    }
}
