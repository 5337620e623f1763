//! The state made anew from the table.

use super::{Entry, Incremental, Loaded, groups};
use crate::error::Result;
use crate::store::{Binding, Datum, Session};
use crate::time::Timestamp;
use crate::window::answer::identity;
use crate::window::emission::Cuts;
use crate::window::options::Extent;
use crate::window::plan::{Item, Numeric};
use crate::window::rows::argument;
use crate::window::state::Digest;
use std::collections::HashMap;

impl Incremental {
    /// Makes the state anew from the table; what has left meanwhile stays out, and sessions that
    /// were cut stay so.
    ///
    /// # Errors
    /// A database that is gone.
    pub fn rebuild(
        &mut self,
        session: Option<&mut Session>,
        now: Timestamp,
        cuts: &Cuts,
    ) -> Result<()> {
        self.groups = groups(&self.plan, self.keys.len(), self.keeping);
        self.listed.clear();
        self.arrived = 0;
        if let Some(session) = session {
            self.load(session, now, cuts)?;
        }
        if self.keys.is_empty() && !self.span.extent.is_bounded() {
            // The one group of a query without keys has a row even if there is none in the window.
            let at = self.groups.find_or_make(Digest::of(&[]), None, |_| {});
            self.groups.note_all(&[at]);
        }
        self.expire(now);
        Ok(())
    }

    fn load(&mut self, session: &mut Session, now: Timestamp, cuts: &Cuts) -> Result<()> {
        let binding = Binding {
            now,
            event: None,
            window: None,
            keys: &[],
        };
        let items = self.plan.load.items.clone();
        let ids = self.plan.load.ids;
        let from = usize::from(self.plan.load.time);
        let place = |item: &Item| from + ids + place(&items, item);
        let keys: Vec<usize> = self.keys.iter().map(place).collect();
        let arguments: Vec<Option<(usize, Numeric)>> = self
            .plan
            .aggregates
            .iter()
            .map(|aggregate| Some((place(aggregate.arg.as_ref()?), aggregate.kind)))
            .collect();
        // Of each row of the table its members, in the order in which they are read.
        let mut members: HashMap<Digest, Vec<Loaded>> = HashMap::new();
        let mut rows: Vec<Entry> = Vec::new();
        let mut number = 0;
        session.data(&self.load, &binding, &mut |row| {
            let digest = match ids {
                0 => Digest::numbered(number),
                _ => digest_of(&row[from..from + ids]),
            };
            number += 1;
            let key = keys.iter().map(|at| row[*at].clone()).collect();
            let given = arguments.iter().map(|given| match given {
                Some((at, kind)) => argument(*kind, &row[*at].cell()),
                None => Ok(Datum::Integer(1)),
            });
            let given = given.collect::<Result<_>>()?;
            members.entry(digest).or_default().push((key, given));
            if ids == 0 {
                rows.push(Entry {
                    digest,
                    time: time(row, from),
                });
            }
            Ok(())
        })?;
        if let Extent::Count(_) = self.span.extent {
            // In the order of their arrival, as far as a column tells it.
            session.keys(&self.table, self.order.as_deref(), &mut |key| {
                rows.push(Entry {
                    digest: digest_of(key),
                    time: now,
                });
            })?;
        } else if ids > 0 {
            session.data(&self.live, &binding, &mut |row| {
                rows.push(Entry {
                    digest: digest_of(&row[from..from + ids]),
                    time: time(row, from),
                });
                Ok(())
            })?;
        }
        for entry in rows {
            let found = members.remove(&entry.digest).unwrap_or_default();
            self.restore(entry, found, now, cuts);
        }
        Ok(())
    }

    fn restore(&mut self, entry: Entry, found: Vec<Loaded>, now: Timestamp, cuts: &Cuts) {
        if !self.takes(entry.time, now) && !self.span.extent.is_bounded() {
            return;
        }
        if let Some(gap) = self.span.gap() {
            self.arrived += 1;
            let ends = entry.time.as_micros().saturating_add(gap);
            for (key, given) in found {
                let cut = match cuts.is_empty() {
                    true => None,
                    false => {
                        let group = identity(None, &key);
                        if let Some(last) = cuts.last(&group) {
                            let name = self.name_of(&key);
                            self.groups.note_ended(name, last);
                        }
                        cuts.of(&group, ends)
                    }
                };
                self.join_one(key, &given, entry, gap, cut);
            }
            return;
        }
        if self.span.extent.is_bounded() {
            self.begin(entry.time, Timestamp::from_micros(i64::MIN));
        }
        self.members.clear();
        self.arguments.clear();
        for (key, given) in found {
            let name = digest_of(&key);
            match self.span.extent.is_bounded() {
                false => {
                    let at = self
                        .groups
                        .find_or_make(name, None, |place| place.clone_from_slice(&key));
                    self.members.push(at);
                    self.arguments.extend(given);
                }
                true => {
                    for window in self.span.windows(entry.time) {
                        let name = name.in_window(window.0);
                        let at = self
                            .groups
                            .find_or_make(name, Some(window), |place| place.clone_from_slice(&key));
                        self.members.push(at);
                        self.arguments.extend_from_slice(&given);
                    }
                }
            }
        }
        let leaves = self.leaves(entry.time);
        self.arrived += 1;
        self.groups
            .add(entry.digest, leaves, &self.members, &self.arguments);
    }
}

fn place(items: &[Item], item: &Item) -> usize {
    let found = items.iter().position(|known| known == item);
    found.expect("every key and argument is loaded")
}

fn time(row: &[Datum], from: usize) -> Timestamp {
    let time = row.first().filter(|_| from > 0).and_then(Datum::as_time);
    time.unwrap_or(Timestamp::from_micros(0))
}

fn digest_of(key: &[Datum]) -> Digest {
    let mut bytes = Vec::new();
    key.iter()
        .for_each(|datum| Datum::encode(&datum.cell(), &mut bytes));
    Digest::of(&bytes)
}
