//! Lines out of what was read, and what the end of a stream means.

use super::memory::Memory;
use super::reading::Reading;
use super::{Follow, Input, LineSource};
use crate::error::Result;
use crate::format::{Decoded, Found};
use crate::node::{Context, ReadStatus};

impl LineSource {
    /// Emits the lines that end in the rest of the buffer, as many as may be under way.
    pub(super) fn take(&mut self, cx: &mut Context<'_>) {
        let (now, limit) = (cx.now(), cx.max_event_bytes());
        let (rest, rest_of, memory) = (&mut self.rest, self.rest_of, &mut self.memory);
        let Some(reading) = self.files.iter_mut().find(|file| file.key == rest_of) else {
            *rest = 0..0;
            return;
        };
        while rest.start < rest.end && !memory.as_ref().is_some_and(Memory::is_full) {
            let bytes = &self.buffer[rest.clone()];
            let (taken, found) = reading.decoder.next(bytes, limit, now);
            rest.start += taken;
            if let Some(found) = found {
                emit(found, reading, memory, cx);
            }
        }
    }

    /// The stream of this file has ended: what is held is an event.
    pub(super) fn end_lines(&mut self, at: usize, cx: &mut Context<'_>) {
        let (now, limit) = (cx.now(), cx.max_event_bytes());
        let reading = &mut self.files[at];
        while let Some(found) = reading.decoder.end(limit, now) {
            emit(found, reading, &mut self.memory, cx);
        }
    }

    /// Nothing follows for now: an event ends to which nothing was added for long enough. Returns whether there
    /// was one.
    pub(super) fn flush(&mut self, at: usize, cx: &mut Context<'_>) -> bool {
        let (now, limit) = (cx.now(), cx.max_event_bytes());
        let reading = &mut self.files[at];
        if reading.decoder.due().is_none_or(|due| now < due) {
            return false;
        }
        let found = reading.decoder.flush(limit, now);
        found.is_some_and(|found| {
            emit(found, reading, &mut self.memory, cx);
            true
        })
    }

    /// All was read, for good.
    pub(super) fn end(&mut self, cx: &mut Context<'_>) -> ReadStatus {
        for at in 0..self.files.len() {
            self.end_lines(at, cx);
        }
        match &mut self.memory {
            // What fails is to be emitted again.
            Some(memory) if !memory.is_empty() => {
                memory.end();
                ReadStatus::Idle
            }
            _ => ReadStatus::End,
        }
    }

    /// A stream has ended: its writer has closed it.
    pub(super) fn end_stream(&mut self, at: usize, cx: &mut Context<'_>) -> Result<ReadStatus> {
        let reading = &self.files[at];
        let (is_pipe, replaced) = (reading.is_pipe(), reading.replaced);
        match &self.input {
            Input::File(path) if self.follow == Follow::Yes => {
                let path = path.clone();
                if replaced {
                    self.close(at, cx);
                } else if is_pipe {
                    self.end_lines(at, cx);
                    // Opened before the other one is closed: what the next writer has written stays.
                    // The new handle is ready when a writer opens the pipe.
                    let Ok(file) = self.open_file(&path) else {
                        return Ok(ReadStatus::Idle);
                    };
                    let next = Reading::new(file, path, self.name.clone(), &self.format);
                    let mut next = next.map_err(|error| self.wrong(&error))?;
                    (next.key, next.lines) = (self.files[at].key, self.files[at].lines);
                    self.files[at] = next;
                } else {
                    self.look()?;
                    return Ok(ReadStatus::Idle);
                }
                Ok(ReadStatus::More)
            }
            _ => Ok(self.end(cx)),
        }
    }
}

fn emit(found: Found, reading: &mut Reading, memory: &mut Option<Memory>, cx: &mut Context<'_>) {
    let begins = reading.lines + 1;
    reading.offset += found.place.bytes;
    reading.lines += found.place.lines;
    if let Decoded::Nothing = found.what {
        return (0..found.place.lines).for_each(|_| cx.skip_line());
    }
    // An event has one line, as far as lines are counted.
    (1..found.place.lines).for_each(|_| cx.skip_line());
    match found.what {
        Decoded::Nothing => {}
        Decoded::Event(mut event) => {
            if let Some(memory) = memory {
                memory.track(&mut event, reading, cx);
            }
            cx.emit(event);
        }
        Decoded::Refused(mut event, error) => {
            if let Some(memory) = memory {
                memory.track_once(&mut event, reading, cx);
            }
            cx.reject(event, error.at(format!("{}:{begins}", reading.name)));
        }
    }
}
