//! The time of a call: what takes longer is ended, whatever it tries.
//!
//! A hook looks at the time every so many instructions. What it raises is a panic of our own, which
//! no `pcall` catches; it is caught here, where the call was made, and becomes an error.

use super::failure;
use crate::error::Error;
use crate::time::{format_duration, monotonic};
use mlua::{HookTriggers, Lua, VmState};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The time is looked at after so many instructions.
const INSTRUCTIONS: u32 = 10_000;

/// What ends a call whose time is over.
struct Killed;

/// The limit of the call that is under way in one VM.
pub(super) struct Budget {
    what: Cell<&'static str>,
    limit: Cell<Duration>,
    /// When the hook first looked at the call: to ask the clock at each call would cost more than
    /// most calls.
    begun: Cell<Option<Instant>>,
    running: Cell<bool>,
    killed: Cell<bool>,
    /// Where the hook was last, for errors that know no line.
    place: RefCell<Option<String>>,
}

impl Budget {
    /// Sets the hook of a VM.
    pub fn install(lua: &Lua) -> mlua::Result<Rc<Self>> {
        let budget = Rc::new(Budget {
            what: Cell::new("call"),
            limit: Cell::new(Duration::MAX),
            begun: Cell::new(None),
            running: Cell::new(false),
            killed: Cell::new(false),
            place: RefCell::new(None),
        });
        let every = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
        let hooked = budget.clone();
        lua.set_global_hook(every, move |lua, _| {
            hooked.look(lua);
            Ok(VmState::Continue)
        })?;
        Ok(budget)
    }

    /// Ends the call if its time is over; native functions that may take long call it now and then.
    pub fn look(&self, lua: &Lua) {
        if !self.running.get() {
            return;
        }
        let now = monotonic();
        let begun = self.begun.get().unwrap_or(now);
        self.begun.set(Some(begun));
        if !self.killed.get() {
            let place = failure::place_from(lua, 0);
            if place.is_some() {
                *self.place.borrow_mut() = place;
            }
        }
        if now.duration_since(begun) > self.limit.get() {
            self.killed.set(true);
            resume_unwind(Box::new(Killed));
        }
    }

    /// Ends the call if a part of it was ended already.
    pub fn check(&self) {
        if self.killed.get() && self.running.get() {
            resume_unwind(Box::new(Killed));
        }
    }

    /// Where the call was when the hook last looked.
    pub fn last_place(&self) -> Option<String> {
        self.place.borrow().clone()
    }

    /// Runs a call within this time.
    #[inline]
    pub fn within<T>(
        &self,
        what: &'static str,
        limit: Duration,
        call: impl FnOnce() -> mlua::Result<T>,
    ) -> mlua::Result<T> {
        self.what.set(what);
        self.limit.set(limit);
        self.begun.set(None);
        self.killed.set(false);
        if self.place.borrow().is_some() {
            *self.place.borrow_mut() = None;
        }
        self.running.set(true);
        let done = catch_unwind(AssertUnwindSafe(call));
        self.running.set(false);
        match done {
            Ok(result) => result,
            Err(panic) if panic.is::<Killed>() => Err(mlua::Error::external(self.exceeded())),
            Err(panic) => resume_unwind(panic),
        }
    }

    fn exceeded(&self) -> Error {
        let limit = format_duration(self.limit.get());
        let error = Error::data(format!("{} time budget {limit} exceeded", self.what.get()));
        error.at_opt(self.last_place())
    }
}
