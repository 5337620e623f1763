//! Replacing the node of a stage. The stage stays: its frame, its tracker and its account.

use super::Stage;
use crate::ack::Token;
use crate::claim::{Claim, Lock};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Batch;
use crate::name::Port;
use crate::network::control::Successor;
use crate::network::panics::catch;
use crate::network::runner::Runner;

/// A node that is open and waits to take the place of that of the stage, or one that has left its place
/// and may get it back.
pub(crate) struct Standby {
    runner: Box<dyn Runner>,
    ports: Vec<Port>,
    locks: Vec<Lock>,
    batch_size: usize,
    /// Whether it is open: where it needs a file that the other node has, it is opened when that one has
    /// finished, and reads what that one has written.
    opened: bool,
}

/// A successor that is open.
pub(crate) enum Prepared {
    /// It has taken the state, and works in the place of the other one, which is kept until the change is
    /// certain.
    InPlace(Standby),
    /// It continues nothing: the old node finishes first.
    Waiting(Standby),
}

impl Stage {
    /// Opens a successor of the node, which may be lost. Where it does not open, the node is opened again.
    ///
    /// # Errors
    /// That the successor did not open (first), and that the node did not open again (second).
    pub fn prepare(
        &mut self,
        successor: Successor,
        lost: bool,
    ) -> std::result::Result<Prepared, (Error, Option<Error>)> {
        let Successor { runner, ports } = successor;
        let mut new = Standby {
            runner,
            ports,
            locks: Vec::new(),
            batch_size: 0,
            opened: false,
        };
        let shares = match self.lock_for(&mut new) {
            Ok(shares) => shares,
            Err(error) => return Err((error, None)),
        };
        if let Err(error) = self.check_loss(&mut new) {
            return Err((error, None));
        }
        let holds = self.holds();
        self.close_node();
        let takes = match hand_over(&mut *self.runner, &mut *new.runner) {
            Ok(takes) => takes,
            Err(error) => return Err((error, self.open().err())),
        };
        if !takes && (holds || (lost && self.holds())) {
            let error = "it holds events in store that its successor does not take";
            let error = Error::new(ErrorKind::Unavailable, error);
            let hint = "remove it and add the new one under another name: it ends when it is empty";
            return Err((error.with_hint(hint), self.open().err()));
        }
        let opened = catch(|| {
            new.batch_size = new.runner.node().batch_size();
            if shares && !takes {
                return Ok(());
            }
            new.opened = true;
            new.runner.node().open()
        });
        match opened {
            Ok(()) if takes => {
                self.swap(&mut new);
                Ok(Prepared::InPlace(new))
            }
            Ok(()) => Ok(Prepared::Waiting(new)),
            Err(error) => {
                if takes {
                    self.take_back(&mut *new.runner);
                }
                drop(new);
                Err((error, self.open().err()))
            }
        }
    }

    /// Checks that nothing is lost by the successor that was not accepted.
    fn check_loss(&mut self, new: &mut Standby) -> Result<()> {
        let now = self.now();
        let loss = catch(|| {
            let outline = self.outline.lock().clone();
            Ok(outline.and_then(|outline| new.runner.node().loss(&outline, now)))
        })?;
        match loss {
            None => Ok(()),
            Some(loss) => Err(Error::data(format!("its successor would be {loss}"))
                .with_hint("to replace it all the same: tributary reload --accept-loss, or ReloadOptions::accept_loss")),
        }
    }

    /// Undoes a change.
    ///
    /// # Errors
    /// That the node did not open again.
    pub fn undo(&mut self, prepared: Prepared) -> Result<()> {
        match prepared {
            Prepared::InPlace(mut old) => {
                self.close_node();
                self.swap(&mut old);
                self.take_back(&mut *old.runner);
            }
            Prepared::Waiting(new) => drop(new),
        }
        self.open()
    }

    /// The successor takes the place of the node, which has finished. It gets no outcomes of events that the
    /// node has tracked.
    ///
    /// # Errors
    /// That it does not open, where that is done only now.
    pub fn install(&mut self, mut new: Standby) -> Result<()> {
        self.first_token = Token(self.frame.tracker.given());
        self.swap(&mut new);
        let opened = new.opened;
        drop(new);
        if opened { Ok(()) } else { self.open() }
    }

    fn swap(&mut self, other: &mut Standby) {
        std::mem::swap(&mut self.runner, &mut other.runner);
        std::mem::swap(&mut self.locks, &mut other.locks);
        std::mem::swap(&mut self.batch_size, &mut other.batch_size);
        std::mem::swap(&mut self.frame.ports, &mut other.ports);
        let outline = catch(|| Ok(self.runner.node().outline()));
        *self.outline.lock() = outline.unwrap_or_default();
        let count = self.frame.ports.len();
        self.outbox.resize_with(count, Batch::default);
        // Whatever the old one did wrong.
        (self.panics, self.dead, self.sleeps) = (0, false, false);
        self.rests = None;
    }

    /// The numbers of the ports by name, as they are now.
    pub fn ports(&self) -> &[Port] {
        &self.frame.ports
    }

    /// Locks what the successor claims and the node does not; returns whether both claim something.
    fn lock_for(&mut self, new: &mut Standby) -> Result<bool> {
        let mut shares = false;
        let claims = catch(|| Ok(new.runner.node().claims()))?;
        for claim in claims {
            let held = self.locks.iter().find(|lock| lock.is_of(&claim));
            shares |= held.is_some();
            let lock = match held {
                Some(held) => Some(held.clone()),
                None => Claim::take(&claim)?,
            };
            new.locks.extend(lock);
        }
        Ok(shares)
    }

    /// Takes the state back from a successor that does not stay.
    fn take_back(&mut self, from: &mut dyn Runner) {
        if let Err(error) = hand_over(from, &mut *self.runner) {
            self.log_error("take", &error);
        }
    }

    fn close_node(&mut self) {
        if let Err(error) = catch(|| {
            self.runner.node().close();
            Ok(())
        }) {
            self.log_error("close", &error);
        }
    }
}

/// Hands the state of one node over to another; whether that has taken it.
///
/// # Errors
/// A panic in one of the two, with which the state is lost.
fn hand_over(from: &mut dyn Runner, to: &mut dyn Runner) -> Result<bool> {
    let Some(state) = catch(|| Ok(from.node().give()))? else {
        return Ok(false);
    };
    if let Err(state) = catch(|| Ok(to.node().take(state)))? {
        // It is the state that the node has just given.
        let _ = catch(|| Ok(from.node().take(state)))?;
        return Ok(false);
    }
    Ok(true)
}
