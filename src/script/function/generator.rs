//! A function as a source.

use super::home::Home;
use super::vm::{Spec, callable, code};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::node::{Context, Node, ReadStatus, Source};
use crate::script::value::describe;
use crate::time::{Timestamp, monotonic};
use mlua::Value;
use serde_json::json;
use std::time::Duration;

const KIND: &str = "generator";

/// How many events are made before they leave together.
const AT_ONCE: usize = 256;

/// A source that calls a function again and again, until that returns false: at every interval, or
/// as fast as its events are taken.
///
/// A call that fails leaves by `errors`, as an event that names the function.
pub(in crate::script) struct Generator {
    home: Home,
    every: Option<Duration>,
    due: Option<Timestamp>,
    ended: bool,
}

impl Generator {
    pub fn new(spec: Spec, every: Option<Duration>) -> Self {
        Generator {
            home: Home::new(spec),
            every,
            due: None,
            ended: false,
        }
    }

    /// Calls the function once; returns how many events it has emitted.
    fn call(&mut self, cx: &mut Context<'_>) -> Result<usize> {
        let vm = self.home.vm()?;
        let (verdict, value): (u8, Value) = match vm.call(callable(&vm.main)?, (), None, cx.now()) {
            Ok(answer) => answer,
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => {
                self.refuse(cx, error);
                if vm.full.get() {
                    self.home.renew(KIND)?;
                }
                return Ok(0);
            }
        };
        let made = vm.take_out();
        let count = made.len();
        made.into_iter().for_each(|event| cx.emit(event));
        match verdict {
            code::DROP => self.ended = true,
            code::MADE => {
                let error = format!(
                    "the function must return nothing or a boolean, and returned {}",
                    describe(&value)
                );
                let error = Error::data(error).at_opt(self.home.spec().place.clone());
                self.refuse(cx, error);
                return Ok(0);
            }
            _ => {}
        }
        Ok(count)
    }

    fn refuse(&self, cx: &mut Context<'_>, error: Error) {
        let payload = json!({"generator": self.home.spec().node});
        cx.reject(Event::new(payload, cx.now()), error);
    }
}

impl Node for Generator {
    fn open(&mut self) -> Result<()> {
        self.home.open(KIND)
    }

    fn wake(&self) -> Option<Timestamp> {
        self.due.filter(|_| !self.ended)
    }

    fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let now = cx.now();
        let (Some(every), Some(due)) = (self.every, self.due.filter(|due| *due <= now)) else {
            return Ok(());
        };
        self.call(cx)?;
        let next = due.saturating_add(every);
        self.due = Some(if next > now {
            next
        } else {
            now.saturating_add(every)
        });
        Ok(())
    }
}

impl Source for Generator {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        if let Some(every) = self.every {
            let next = cx.now().saturating_add(every);
            if self.due.is_none_or(|due| due > next) {
                self.due = Some(next);
            }
            return Ok(if self.ended {
                ReadStatus::End
            } else {
                ReadStatus::Idle
            });
        }
        // A function that takes its time keeps back neither its events nor a stop.
        let begun = monotonic();
        let mut count = 0;
        while !self.ended && count < AT_ONCE && (count == 0 || begun.elapsed() < wait) {
            match self.call(cx)? {
                0 if !self.ended => return Ok(ReadStatus::Idle),
                made => count += made,
            }
        }
        Ok(if self.ended {
            ReadStatus::End
        } else {
            ReadStatus::More
        })
    }
}
