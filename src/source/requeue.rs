//! A source that feeds dead letters back to the nodes that rejected them.

use crate::ack::{Outcome, Token};
use crate::claim::Claim;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Node, ReadStatus, Source};
use crate::store::{Connection, DeadLetters, LetterFilter, Store};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many letters are read at a time.
const AT_ONCE: usize = 64;

/// Emits dead letters, each by a port of the node that rejected it, and then ends. A letter is
/// removed only when its event was delivered; one that fails again stays, or comes to the dead letters
/// again where the network sends what fails. Letters that come meanwhile are not looked at. A second one of
/// the same letters, in this process or in another, is refused while this one runs.
pub struct Requeue {
    letters: DeadLetters,
    filter: LetterFilter,
    /// The nodes; the port of each is named after its place.
    nodes: Vec<String>,
    connection: Option<Connection>,
    /// Whether it had a connection.
    opened: bool,
    /// The number of the letter that was emitted last.
    at: u64,
    left: usize,
    sent: HashMap<Token, u64>,
    delivered: Vec<u64>,
    removed: Arc<AtomicU64>,
}

opaque_debug!(Requeue, filter);

impl Requeue {
    /// Finds out whose letters there are.
    ///
    /// # Errors
    /// A file that is not there or holds no letters, a database that does not answer.
    pub fn new(letters: DeadLetters, filter: LetterFilter) -> Result<Self> {
        let found = letters.nodes(&filter)?;
        let last = found.iter().map(|(_, _, last)| *last).max();
        let nodes = found.into_iter().map(|(node, ..)| node).collect();
        Ok(Requeue {
            letters,
            left: filter.limit.unwrap_or(usize::MAX),
            filter: LetterFilter {
                last: Some(last.unwrap_or(0)),
                ..filter
            },
            nodes,
            connection: None,
            opened: false,
            at: 0,
            sent: HashMap::new(),
            delivered: Vec::new(),
            removed: Arc::default(),
        })
    }

    /// Counts the letters that were delivered and removed.
    #[doc(hidden)]
    pub fn removed(&self) -> Arc<AtomicU64> {
        self.removed.clone()
    }

    /// The nodes that rejected the letters, each with the port by which it gets its own.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, String)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.map(|(at, node)| (node.as_str(), port(at)))
    }
}

fn port(at: usize) -> String {
    format!("node{at}")
}

impl Node for Requeue {
    fn claims(&self) -> Vec<Claim> {
        self.letters.claim().into_iter().collect()
    }

    fn open(&mut self) -> Result<()> {
        self.connection = None;
        let mut connection = self.letters.connection()?;
        connection.lock_letters().map_err(|error| {
            if self.opened {
                // The server may not have noticed yet that the connection before is gone.
                error.retryable()
            } else {
                error.within(&self.letters)
            }
        })?;
        self.opened = true;
        self.connection = Some(connection);
        Ok(())
    }

    fn ports(&self) -> Vec<String> {
        (0..self.nodes.len()).map(port).collect()
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        let Some(connection) = self
            .connection
            .as_mut()
            .filter(|_| !self.delivered.is_empty())
        else {
            return Ok(());
        };
        connection.begin()?;
        for id in &self.delivered {
            connection.remove_letter(*id)?;
        }
        connection.commit()?;
        let removed = self.delivered.drain(..).count() as u64;
        self.removed.fetch_add(removed, Ordering::SeqCst);
        Ok(())
    }

    /// What was delivered stays to be removed.
    fn rollback(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.rollback();
        }
    }

    fn settle(&mut self, token: Token, outcome: Outcome, _: &mut Context<'_>) -> Result<()> {
        if let Some(id) = self.sent.remove(&token)
            && outcome == Outcome::Delivered
        {
            self.delivered.push(id);
        }
        Ok(())
    }
}

impl Source for Requeue {
    fn read(&mut self, cx: &mut Context<'_>, _wait: Duration) -> Result<ReadStatus> {
        let Some(connection) = &mut self.connection else {
            return Ok(ReadStatus::End);
        };
        let filter = LetterFilter {
            limit: Some(self.left.min(AT_ONCE)),
            ..self.filter.clone()
        };
        let letters = connection.letters(&filter, self.at, None)?;
        if letters.is_empty() {
            return Ok(ReadStatus::End);
        }
        for letter in letters {
            self.at = letter.id;
            self.left -= 1;
            if letter.is_cut() {
                let id = letter.id;
                log::warn!("letter {id} stays: only the head of its payload was kept");
                continue;
            }
            let Some(node) = self.nodes.iter().position(|node| *node == letter.node) else {
                return Err(Error::data(format!(
                    "a dead letter of node {} arrived after the start",
                    letter.node
                )));
            };
            let mut event = Event::new(letter.payload, letter.time);
            for (key, value) in letter.meta {
                event = event.with_meta(&key, value);
            }
            self.sent.insert(cx.track(&mut event), letter.id);
            cx.emit_to(&port(node), event)?;
        }
        Ok(ReadStatus::More)
    }
}
