//! The state made anew from the table.

use super::{IncrementalState, Loaded, StateRow, groups};
use crate::error::Result;
use crate::store::{Binding, Datum, Session};
use crate::time::Timestamp;
use crate::window::analysis::{ArgumentType, RowValue};
use crate::window::answer::group_id;
use crate::window::emission::SessionBoundaries;
use crate::window::kind::WindowKind;
use crate::window::state::Digest;
use crate::window::strategy::members::argument;
use std::collections::HashMap;

impl IncrementalState {
    /// Makes the state anew from the table; what has left meanwhile stays out, and sessions that
    /// were cut stay so.
    ///
    /// # Errors
    /// A database that is gone.
    pub fn rebuild(
        &mut self,
        session: Option<&mut Session>,
        now: Timestamp,
        boundaries: &SessionBoundaries,
    ) -> Result<()> {
        self.groups = groups(&self.plan, self.keys.len(), self.state_options);
        self.listed.clear();
        self.arrived = 0;
        if let Some(session) = session {
            self.load(session, now, boundaries)?;
        }
        if self.keys.is_empty() && !self.rules.kind.is_bounded() {
            // The one group of a query without keys has a row even if there is none in the window.
            let at = self.groups.find_or_make(Digest::of(&[]), None, |_| {});
            self.groups.note_all(&[at]);
        }
        self.expire(now);
        Ok(())
    }

    fn load(
        &mut self,
        session: &mut Session,
        now: Timestamp,
        boundaries: &SessionBoundaries,
    ) -> Result<()> {
        let binding = Binding {
            now,
            event: None,
            window: None,
            keys: &[],
        };
        let items = self.plan.load.items.clone();
        let ids = self.plan.load.ids;
        let from = usize::from(self.plan.load.time);
        let place = |item: &RowValue| from + ids + place(&items, item);
        let keys: Vec<usize> = self.keys.iter().map(place).collect();
        let arguments: Vec<Option<(usize, ArgumentType)>> = self
            .plan
            .aggregates
            .iter()
            .map(|aggregate| Some((place(aggregate.arg.as_ref()?), aggregate.kind)))
            .collect();
        // Of each row of the table its members, in the order in which they are read.
        let mut members: HashMap<Digest, Vec<Loaded>> = HashMap::new();
        let mut rows: Vec<StateRow> = Vec::new();
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
                rows.push(StateRow {
                    digest,
                    time: time(row, from),
                });
            }
            Ok(())
        })?;
        if let WindowKind::Count(_) = self.rules.kind {
            // In the order of their arrival, as far as a column tells it.
            session.keys(&self.table, self.order.as_deref(), &mut |key| {
                rows.push(StateRow {
                    digest: digest_of(key),
                    time: now,
                });
            })?;
        } else if ids > 0 {
            session.data(&self.live, &binding, &mut |row| {
                rows.push(StateRow {
                    digest: digest_of(&row[from..from + ids]),
                    time: time(row, from),
                });
                Ok(())
            })?;
        }
        for entry in rows {
            let found = members.remove(&entry.digest).unwrap_or_default();
            self.restore(entry, found, now, boundaries);
        }
        Ok(())
    }

    fn restore(
        &mut self,
        entry: StateRow,
        found: Vec<Loaded>,
        now: Timestamp,
        boundaries: &SessionBoundaries,
    ) {
        if !self.takes(entry.time, now) && !self.rules.kind.is_bounded() {
            return;
        }
        if let Some(gap) = self.rules.gap() {
            self.arrived += 1;
            let ends = entry.time.as_micros().saturating_add(gap);
            for (key, given) in found {
                let cut = match boundaries.is_empty() {
                    true => None,
                    false => {
                        let group = group_id(None, &key);
                        if let Some(last) = boundaries.last(&group) {
                            let name = self.name_of(&key);
                            self.groups.note_ended(name, last);
                        }
                        boundaries.of(&group, ends)
                    }
                };
                self.join_one(key, &given, entry, gap, cut);
            }
            return;
        }
        if self.rules.kind.is_bounded() {
            self.begin(entry.time, Timestamp::from_micros(i64::MIN));
        }
        self.members.clear();
        self.arguments.clear();
        for (key, given) in found {
            let name = digest_of(&key);
            match self.rules.kind.is_bounded() {
                false => {
                    let at = self
                        .groups
                        .find_or_make(name, None, |place| place.clone_from_slice(&key));
                    self.members.push(at);
                    self.arguments.extend(given);
                }
                true => {
                    for window in self.rules.windows(entry.time) {
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

fn place(items: &[RowValue], item: &RowValue) -> usize {
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
