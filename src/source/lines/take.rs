//! Lines out of what was read, and what the end of a stream means.

use super::memory::Memory;
use super::reading::Reading;
use super::{Decoded, Follow, Input, LineSource};
use crate::error::Result;
use crate::node::{Context, ReadStatus};
use crate::time::Timestamp;

impl LineSource {
    /// Emits the lines that end in the rest of the buffer, as many as may be under way.
    pub(super) fn take(&mut self, cx: &mut Context<'_>) {
        let (now, limit) = (cx.now(), cx.max_event_bytes());
        let (rest, rest_of, memory) = (&mut self.rest, self.rest_of, &mut self.memory);
        let Some(reading) = self.files.iter_mut().find(|file| file.key == rest_of) else {
            *rest = 0..0;
            return;
        };
        let mut decoder = std::mem::take(&mut reading.decoder);
        while rest.start < rest.end && !memory.as_ref().is_some_and(Memory::is_full) {
            let (taken, found) = decoder.next(&self.buffer[rest.clone()], limit);
            rest.start += taken;
            reading.offset += taken as u64;
            if let Some(found) = found {
                line(found, reading, memory, now, cx);
            }
        }
        reading.decoder = decoder;
    }

    /// The stream of this file has ended: what is held of a line is one.
    pub(super) fn end_lines(&mut self, at: usize, cx: &mut Context<'_>) {
        let reading = &mut self.files[at];
        let mut decoder = std::mem::take(&mut reading.decoder);
        if let Some(found) = decoder.end(cx.max_event_bytes()) {
            line(found, reading, &mut self.memory, cx.now(), cx);
        }
        reading.decoder = decoder;
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
                    let next = Reading::new(file, path, self.name.clone());
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

fn line(
    found: Decoded<'_>,
    reading: &mut Reading,
    memory: &mut Option<Memory>,
    now: Timestamp,
    cx: &mut Context<'_>,
) {
    reading.lines += 1;
    match found.into_event(cx.max_event_bytes(), now) {
        None => cx.skip_line(),
        Some(Ok(mut event)) => {
            if let Some(memory) = memory {
                memory.track(&mut event, reading, cx);
            }
            cx.emit(event);
        }
        Some(Err((mut event, error))) => {
            if let Some(memory) = memory {
                memory.track_once(&mut event, reading, cx);
            }
            let location = format!("{}:{}", reading.name, reading.lines);
            cx.reject(event, error.at(location));
        }
    }
}
