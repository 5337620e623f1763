//! The states of keys, on their way from one VM to another.
//!
//! A successor gets them as data, in pieces, with the timers of the same interval. Functions in a state keep their
//! code, and find the globals of the VM that they come to.

use super::{Process, Timer, calls, get};
use crate::error::{Error, Result};
use crate::script::function::portable::Portable;
use crate::script::function::vm::NodeVm;
use mlua::{Table, Value};
use std::collections::BTreeSet;
use std::rc::Rc;

/// The states move in about so many pieces. One that is larger than a piece moves alone.
pub(super) const PIECES: usize = 32;

/// Moves states of keys to another VM, as many as are a piece; gives about how many bytes they take.
/// Those that cannot move come out, each with the reason.
pub(super) fn move_some<'a>(
    old: &NodeVm,
    new: &NodeVm,
    from: &Table,
    to: &Table,
    keys: &mut impl Iterator<Item = &'a Box<str>>,
    lost: &mut Vec<(Box<str>, Error)>,
) -> Result<usize> {
    let memory = old.limits().memory;
    let mut names: Vec<&str> = Vec::new();
    let piece = old.host.capture_some((memory / PIECES, memory), || {
        let Some(key) = keys.next() else {
            return Ok(None);
        };
        names.push(key);
        let state: Value = from.raw_get(&**key).map_err(wrong)?;
        Ok(Some(("its value".to_owned(), state)))
    });
    let mut bytes = 0;
    let mut put = |portable: &Portable, names: &[&str]| -> Result<()> {
        bytes += portable.bytes() + 1;
        for (key, state) in names.iter().zip(new.unpack(portable)?) {
            to.raw_set(*key, state).map_err(wrong)?;
        }
        Ok(())
    };
    if names.is_empty() {
        return Ok(0);
    }
    match piece {
        Ok(portable) => put(&portable, &names)?,
        // One of them cannot move: which one is found out one by one.
        Err(_) => {
            for key in &names {
                let state: Value = from.raw_get(&**key).map_err(wrong)?;
                let root = [("its value".to_owned(), state)];
                match old.host.capture(&root, memory) {
                    Ok(portable) => put(&portable, &[key])?,
                    Err(error) => lost.push(((*key).into(), error)),
                }
            }
        }
    }
    for key in names {
        from.raw_set(key, Value::Nil).map_err(wrong)?;
    }
    Ok(bytes)
}

pub(super) fn states(vm: &NodeVm) -> Result<Table> {
    vm.direct(&get(&calls(vm)?, "states")?, ())
}

/// The states of a node, on their way to its successor.
pub(super) struct GivenStates {
    fields: Vec<String>,
    keys: BTreeSet<Box<str>>,
    timers: Vec<Timer>,
    pieces: Vec<GivenPiece>,
}

struct GivenPiece {
    /// The keys of these states; none for the state of a node without keys.
    keys: Vec<Box<str>>,
    states: Portable,
}

impl Process {
    /// Takes the states out of the VM.
    ///
    /// # Errors
    /// A state that cannot move; then all are still there.
    pub(super) fn give_states(&mut self) -> Result<Box<GivenStates>> {
        if let Some(taken) = self.taken.take() {
            return Ok(taken);
        }
        let vm = self.home.vm()?;
        let pieces = self.capture(&vm)?;
        let states = states(&vm)?;
        for key in self.keys.iter() {
            states.raw_set(&**key, Value::Nil).map_err(wrong)?;
        }
        vm.collect();
        Ok(Box::new(GivenStates {
            fields: self.fields.clone(),
            keys: std::mem::take(&mut self.keys),
            timers: self.timers.clone(),
            pieces,
        }))
    }

    fn capture(&self, vm: &Rc<NodeVm>) -> Result<Vec<GivenPiece>> {
        let states = states(vm)?;
        let memory = vm.limits().memory;
        let mut pieces = Vec::new();
        let mut push = |keys, mut states: Portable| {
            // Globals that functions name are those of the VM that they come to.
            states.additions.clear();
            pieces.push(GivenPiece { keys, states });
        };
        if self.fields.is_empty() {
            let state: Value = states.raw_get(false).map_err(wrong)?;
            let root = [("its state".to_owned(), state)];
            push(Vec::new(), vm.host.capture(&root, memory)?);
            return Ok(pieces);
        }
        let mut left = self.keys.iter();
        loop {
            let mut keys: Vec<Box<str>> = Vec::new();
            let piece = vm.host.capture_some((memory / PIECES, memory), || {
                let Some(key) = left.next() else {
                    return Ok(None);
                };
                keys.push(key.clone());
                let state: Value = states.raw_get(&**key).map_err(wrong)?;
                Ok(Some((format!("the state of key {key}"), state)))
            })?;
            if keys.is_empty() {
                return Ok(pieces);
            }
            push(keys, piece);
        }
    }

    /// Takes the states of another node.
    ///
    /// # Errors
    /// The same, where the keys are others.
    pub(super) fn take_states(
        &mut self,
        given: Box<GivenStates>,
    ) -> std::result::Result<(), Box<GivenStates>> {
        if given.fields != self.fields {
            return Err(given);
        }
        self.taken = Some(given);
        // Otherwise when it is opened.
        if self.home.vm().is_ok()
            && let Err(error) = self.unpack_taken()
        {
            let node = &self.home.spec().node;
            log::warn!("node {node}: the states cannot be taken: {error}");
            return self.taken.take().map_or(Ok(()), Err);
        }
        Ok(())
    }

    /// Puts the states that were taken into the VM.
    pub(super) fn unpack_taken(&mut self) -> Result<()> {
        let Some(taken) = &self.taken else {
            return Ok(());
        };
        let vm = self.home.vm()?;
        let to = states(&vm)?;
        for GivenPiece { keys, states } in &taken.pieces {
            let mut unpacked = vm.unpack(states)?.into_iter();
            if keys.is_empty() {
                let state = unpacked.next().unwrap_or(Value::Nil);
                to.raw_set(false, state).map_err(wrong)?;
            }
            for (key, state) in keys.iter().zip(unpacked) {
                to.raw_set(&**key, state).map_err(wrong)?;
            }
        }
        vm.settle();
        if let Some(taken) = self.taken.take() {
            self.keys = taken.keys;
            for timer in &mut self.timers {
                let mut known = taken.timers.iter();
                let same = known.find(|known| known.every == timer.every);
                timer.due = same.and_then(|known| known.due);
            }
        }
        Ok(())
    }
}

fn wrong(error: mlua::Error) -> Error {
    Error::data(error.to_string())
}
