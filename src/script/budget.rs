//! The time of a call: what takes longer is ended, whatever it tries.
//!
//! A hook looks at the time every so many instructions. What it raises is a panic of our own, which
//! no `pcall` catches; it is caught here, where the call was made, and becomes an error.
//!
//! One instruction may take long: two texts of 100 MB are compared in one. So the hook looks more
//! often where instructions take long, and where the memory has grown so fast that there may be such
//! texts. What a function of the library does in one go is charged before it does it
//! ([`Budget::charge`]); `bounds` lists what is bounded how.

use super::failure;
use crate::error::Error;
use crate::network::Pulse;
use crate::time::{format_duration, monotonic};
use mlua::{HookTriggers, Lua, Value, VmState};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time is looked at after so many instructions, where each takes no time to speak of.
const INSTRUCTIONS: u32 = 1_000;

/// Where so many instructions take longer than this, it is looked at more often, and where they take
/// less than that, less often.
const SLOW: Duration = Duration::from_millis(4);
const FAST: Duration = Duration::from_micros(200);

/// Memory that grows by so much between two looks may be one text.
const JUMP: usize = 1 << 20;
/// Instructions that each go through such a text may go through so many bytes between two looks: when
/// it is new, and when they turned out to be fast.
const BYTES_AT_FIRST: usize = 64 << 20;
const BYTES: usize = 1 << 30;
/// Not more often than this.
const LEAST: u32 = 32;
/// So many functions that wait for another are many.
const DEEP: usize = 200;

/// The time is looked at after so much work.
const WORK: usize = 1 << 20;

/// What it takes to pass one argument, in bytes copied.
const ARGUMENT: usize = 256;

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
    /// What was done since the time was looked at.
    work: Cell<usize>,
    /// The instructions between two looks.
    every: Cell<u32>,
    /// When the hook was there last.
    hooked: Cell<Option<Instant>>,
    /// The memory in use then, and how much it has grown at most between two looks.
    memory: Cell<usize>,
    largest: Cell<usize>,
    /// Where the hook was last, for errors that know no line.
    place: RefCell<Option<String>>,
    /// What the watchdog sees: the last resort, where no instruction is executed any more.
    pulse: Arc<Pulse>,
    beat: Cell<u64>,
}

impl Budget {
    /// Sets the hook of a VM; no call of it is expected to have a shorter limit than this.
    pub fn install(lua: &Lua, shortest: Duration) -> mlua::Result<Rc<Self>> {
        let budget = Rc::new(Budget {
            what: Cell::new("call"),
            limit: Cell::new(Duration::MAX),
            begun: Cell::new(None),
            running: Cell::new(false),
            killed: Cell::new(false),
            work: Cell::new(0),
            every: Cell::new(INSTRUCTIONS),
            hooked: Cell::new(None),
            memory: Cell::new(lua.used_memory()),
            largest: Cell::new(0),
            place: RefCell::new(None),
            pulse: Pulse::new(shortest),
            beat: Cell::new(0),
        });
        budget.hook(lua, INSTRUCTIONS)?;
        lua.set_app_data(budget.clone());
        Ok(budget)
    }

    /// That of a VM.
    pub fn of(lua: &Lua) -> Option<Rc<Self>> {
        lua.app_data_ref::<Rc<Budget>>()
            .map(|budget| budget.clone())
    }

    /// Charges the VM that runs for the arguments of a function of the host: for how many they are,
    /// and for the bytes of texts.
    pub fn charge_arguments<'a>(lua: &Lua, values: impl IntoIterator<Item = &'a Value>) {
        let Some(budget) = Self::of(lua) else { return };
        let work = values.into_iter().map(|value| {
            let bytes = value.as_string().map_or(0, |text| text.as_bytes().len());
            bytes.saturating_mul(8).saturating_add(ARGUMENT)
        });
        budget.charge(lua, work.fold(0, usize::saturating_add));
    }

    /// Has the hook look every so many instructions, in the coroutine that runs and in those that it
    /// will create.
    fn hook(self: &Rc<Self>, lua: &Lua, every: u32) -> mlua::Result<()> {
        self.every.set(every);
        let budget = self.clone();
        let triggers = HookTriggers::new().every_nth_instruction(every);
        lua.set_global_hook(triggers, move |lua, _| {
            budget.look(lua);
            budget.adapt(lua)?;
            Ok(VmState::Continue)
        })?;
        // To set it takes time for each function that waits for another, which no instruction took.
        self.hooked.set(Some(monotonic()));
        Ok(())
    }

    /// Looks more often or less often, by what instructions have taken.
    fn adapt(self: &Rc<Self>, lua: &Lua) -> mlua::Result<()> {
        let now = monotonic();
        let took = self
            .hooked
            .replace(Some(now))
            .map(|last| now.duration_since(last));
        let every = self.every.get();
        let next = match took {
            _ if self.see_memory(lua) => self.at_first().min(every),
            Some(took) if took > SLOW => {
                let fewer = u128::from(every) * SLOW.as_micros() / took.as_micros();
                u32::try_from(fewer).map_or(1, |fewer| fewer.max(1))
            }
            Some(took) if took < FAST => every.saturating_mul(8).min(self.most()),
            _ => every,
        };
        if next == every {
            return Ok(());
        }
        // To set the hook takes time for each function that waits for another.
        let deep = lua.inspect_stack(DEEP, |_| ()).is_some();
        match deep {
            false => self.hook(lua, next),
            true if every > LEAST && next < every => self.hook(lua, LEAST),
            true => Ok(()),
        }
    }

    /// Whether the memory has grown by more than small values take.
    fn see_memory(&self, lua: &Lua) -> bool {
        let used = lua.used_memory();
        let grown = used.saturating_sub(self.memory.replace(used));
        self.largest.set(self.largest.get().max(grown).min(used));
        grown > JUMP
    }

    fn at_first(&self) -> u32 {
        u32::try_from(BYTES_AT_FIRST / self.largest.get().max(1))
            .map_or(LEAST, |n| n.clamp(1, LEAST))
    }

    fn most(&self) -> u32 {
        let most = u32::try_from(BYTES / self.largest.get().max(1));
        most.map_or(INSTRUCTIONS, |most| most.clamp(LEAST, INSTRUCTIONS))
    }

    /// Looks at the memory after a round of the collector.
    pub fn grown(self: &Rc<Self>, lua: &Lua) -> mlua::Result<()> {
        if self.see_memory(lua) {
            self.hook(lua, self.at_first().min(self.every.get()))
        } else {
            Ok(())
        }
    }

    /// Ends the call if its time is over; native functions that may take long call it now and then.
    pub fn look(&self, lua: &Lua) {
        self.work.set(0);
        if !self.running.get() {
            return;
        }
        let now = monotonic();
        let begun = self.begun.get().unwrap_or(now);
        self.begun.set(Some(begun));
        let over = now.duration_since(begun) > self.limit.get();
        // A call that has only begun has no place yet.
        if !self.killed.get() && (over || now.duration_since(begun) > FAST) {
            let place = failure::place_from(lua, 0);
            if place.is_some() {
                self.set_place(place);
            }
        }
        if over {
            self.killed.set(true);
            resume_unwind(Box::new(Killed));
        }
    }

    /// Counts work that a function does in one go, in bytes that it copies or the like, and looks at
    /// the time when much has come together.
    #[inline]
    pub fn charge(&self, lua: &Lua, work: usize) {
        let work = self.work.get().saturating_add(work);
        self.work.set(work);
        if work >= WORK {
            self.look(lua);
        }
    }

    /// Tells the watchdog that a call begins or ends.
    #[inline]
    fn beat(&self, in_call: bool) {
        // The next number that is odd or even.
        let beat = self.beat.get().div_ceil(2) * 2 + u64::from(in_call);
        self.beat.set(beat);
        self.pulse.set(beat);
    }

    /// Does something within a call that may have to wait for others, which is not the script's
    /// fault: the watchdog does not count it.
    pub fn aside<T>(&self, wait: impl FnOnce() -> T) -> T {
        let was_running = self.running.get();
        self.beat(false);
        let done = wait();
        self.beat(was_running);
        done
    }

    /// Notes where the call is, for errors that know no line.
    pub fn set_place(&self, place: Option<String>) {
        self.pulse.set_place(place.clone());
        *self.place.borrow_mut() = place;
    }

    /// Notes the script that the next calls come from.
    pub fn set_origin(&self, origin: Option<String>) {
        self.pulse.set_origin(origin);
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
        if self.limit.get() != limit || !std::ptr::eq(self.what.get(), what) {
            self.what.set(what);
            self.limit.set(limit);
            self.pulse.expect(what, limit);
        }
        self.begun.set(None);
        self.hooked.set(None);
        self.killed.set(false);
        if self.place.borrow().is_some() {
            self.set_place(None);
        }
        self.running.set(true);
        self.beat(true);
        let done = catch_unwind(AssertUnwindSafe(call));
        self.beat(false);
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
