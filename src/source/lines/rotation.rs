//! What a followed log turns into: the file that was renamed, those that were there in between, and
//! the one that is there now, read side by side.

use super::head::{HEAD, Head, LEAST, SECOND};
use super::packed::{content_size, is_damage, is_packed};
use super::reading::Reading;
use super::siblings::{Id, Sibling, begin_alike, born, modified};
use super::{Input, LineSource};
use crate::error::{Error, Result, quote};
use crate::node::Context;
use crate::time::Timestamp;
use std::fs::File;
use std::io;
use std::path::Path;

use super::names::Aside;

/// How many files of a log are open at most; further ones are opened as these are closed.
const MOST: usize = 128;

impl LineSource {
    /// Whether a file that was read to its end is closed: nothing was added to it for long enough.
    pub(super) fn is_over(&mut self, at: usize, now: Timestamp) -> bool {
        let reading = &mut self.files[at];
        if !reading.replaced {
            return false;
        }
        let since = *reading.silent_since.get_or_insert(now);
        if now < since {
            // The clock was set back.
            reading.silent_since = Some(now);
            return false;
        }
        now.since(since) >= self.rotate_wait
    }

    /// Nothing more is read of a file.
    pub(super) fn close(&mut self, at: usize, cx: &mut Context<'_>) {
        self.end_lines(at, cx);
        if self.files[at].is_cut() {
            let name = quote(&self.files[at].name);
            log::warn!("{name} ends in the middle of its compressed content: the rest is lost");
        }
        self.forget(at);
    }

    fn forget(&mut self, at: usize) {
        let reading = self.files.remove(at);
        if let Ok(meta) = reading.file.metadata() {
            if !reading.is_packed() {
                self.log.seen.add(reading.id, born(&meta));
            }
            let begin = reading.begin(HEAD).unwrap_or_default();
            let size = if reading.is_packed() {
                content_size(&reading.file).unwrap_or(0)
            } else {
                meta.len()
            };
            self.log.was_read(Head::of(&begin, size, modified(&meta)));
        }
        if let Some(memory) = &mut self.memory {
            memory.close(reading.key);
            memory.saw_siblings(&self.log.seen);
        }
    }

    /// Checks whether the path leads to another file. Returns whether there is more to read.
    ///
    /// # Errors
    /// A file that cannot be opened, to be tried again.
    pub(super) fn look(&mut self) -> Result<bool> {
        let Input::File(path) = &self.input else {
            return Ok(false);
        };
        let path = path.clone();
        if let Some(memory) = &mut self.memory {
            let noted = memory.note_beginnings(&self.files);
            noted.map_err(|error| self.unread(&error))?;
        }
        // While it is not there, it will be.
        let Ok(there) = std::fs::metadata(&path) else {
            return Ok(false);
        };
        let at = self.files.len().saturating_sub(1);
        if let Some(current) = self.files.last().filter(|last| !last.replaced)
            && current.id == Id::of(&there)
        {
            // Nothing was read of it that would show whether it was cut: what was made beside it since
            // is its copy.
            if current.at() == 0 && current.is_regular() && !self.log.new_siblings().is_empty() {
                return self.read_before(at, &path).map_err(Error::retryable);
            }
            let has_rest = !self.rest.is_empty() && self.rest_of == current.key;
            if !current.is_regular() {
                return Ok(false);
            }
            let is_there = current.is_still_there();
            if !is_there.map_err(|error| self.unread(&error))? {
                return self.cut(at, has_rest).map_err(Error::retryable);
            }
            return Ok(false);
        }
        self.turn(&path).map_err(Error::retryable)
    }

    /// Opens what was made beside a file since the last look, to be read before it.
    fn read_before(&mut self, at: usize, path: &Path) -> Result<bool> {
        let many = self.files.len();
        self.open_siblings(path)?;
        let current = self.files.remove(at);
        if let Some(memory) = &mut self.memory {
            memory.is_current(current.key);
            memory.saw_siblings(&self.log.seen);
        }
        self.files.push(current);
        Ok(self.files.len() > many)
    }

    /// Opens what the log was since the last look, and what it is now.
    pub(super) fn turn(&mut self, path: &Path) -> Result<bool> {
        for reading in &mut self.files {
            reading.replaced = true;
        }
        let many = self.files.len();
        // Before the siblings are listed: a file that is renamed in between is a sibling at the next look.
        let here = std::fs::metadata(path).map(|meta| Id::of(&meta)).ok();
        let done = self.open_siblings(path)? && self.open_current(path, here)?;
        if let Some(memory) = &mut self.memory {
            memory.saw_siblings(&self.log.seen);
        }
        Ok(done || self.files.len() > many)
    }

    /// Returns whether all of them are open.
    fn open_siblings(&mut self, path: &Path) -> Result<bool> {
        if let Ok(target) = path.canonicalize() {
            self.log.leads_to(&target);
        }
        let here = std::fs::metadata(path).map(|meta| Id::of(&meta)).ok();
        for sibling in self.log.new_siblings() {
            if Some(sibling.id) == here {
                continue;
            }
            let is_known = self.files.iter().any(|file| file.id == sibling.id);
            if sibling.aside == Aside::Compressed {
                if !is_known && self.files.len() >= MOST {
                    return Ok(false);
                }
                if !is_known && !self.open_compressed(&sibling)? {
                    return Ok(false);
                }
                // When the others were made does not follow from its time.
                continue;
            }
            if !is_known {
                if self.files.len() >= MOST {
                    return Ok(false);
                }
                let name = sibling.path.to_string_lossy().into_owned();
                let opened = sibling.open().map_err(|e| Error::io(quote(&name), &e))?;
                // It was renamed meanwhile: the next look finds it.
                let Some(file) = opened else {
                    return Ok(false);
                };
                match self.original(&file, false, sibling.len) {
                    // Of what the log is now, which may be about to be cut: then it is needed.
                    Some(original) if !original.replaced => break,
                    Some(_) => {}
                    None => {
                        log::info!("{} is read first", quote(&name));
                        let reading = Reading::new(file, sibling.path.clone(), name, &self.format);
                        let mut reading = reading.map_err(|error| self.wrong(&error))?;
                        reading.replaced = true;
                        self.add(reading)?;
                    }
                }
            }
            self.log.seen.add(sibling.id, sibling.born);
        }
        Ok(self.files.len() < MOST)
    }

    /// Opens a file that was compressed before it was read; false where it was renamed meanwhile: the next
    /// look finds it, before it opens younger ones.
    fn open_compressed(&mut self, sibling: &Sibling) -> Result<bool> {
        let name = sibling.path.to_string_lossy().into_owned();
        let wrong = |error: &io::Error| Error::io(quote(&name), error);
        let Some(file) = sibling.open().map_err(|error| wrong(&error))? else {
            return Ok(false);
        };
        let packed = is_packed(&sibling.path, &file);
        let head = match sibling.head(&file) {
            Ok(head) => head,
            Err(error) if is_damage(&error) => {
                log::warn!("{} is damaged: its lines are lost: {error}", quote(&name));
                self.log.knows(sibling);
                return Ok(true);
            }
            Err(error) => return Err(wrong(&error)),
        };
        if self.log.has_read(&head) || packed && self.is_open(&file, &head) {
            self.log.knows(sibling);
        } else if packed {
            log::info!("{} is read first", quote(&name));
            let reading = Reading::packed(file, sibling.path.clone(), name, &self.format);
            self.add(reading.map_err(|error| self.wrong(&error))?)?;
        } else {
            log::warn!(
                "{} was compressed before it was read, by another program than gzip: its lines are lost \
                 ({} bytes compressed)",
                quote(&name),
                sibling.len
            );
            self.log.was_read(head);
            self.log.knows(sibling);
        }
        Ok(true)
    }

    /// Whether compressed content is that of a file that is open, to which more may have been added.
    fn is_open(&self, file: &File, head: &Head) -> bool {
        self.original(file, true, head.size.into()).is_some()
            || self.files.iter().any(|known| {
                let at = known.file.metadata().map(|meta| modified(&meta) / SECOND);
                let begin = known.begin(HEAD).unwrap_or_default();
                let same_time = at.is_ok_and(|at| at == head.at);
                known.is_regular() && same_time && Head::of(&begin, 0, 0).hash == head.hash
            })
    }

    /// The file of which another one is a copy.
    fn original(&self, file: &File, packed: bool, len: u64) -> Option<&Reading> {
        self.files.iter().rev().find(|known| {
            len >= LEAST && known.is_regular() && begin_alike(&known.file, file, packed, len)
        })
    }

    /// Opens what the path leads to, if that is still the file that it led to when the siblings were
    /// listed: otherwise files that were renamed since would be passed over.
    fn open_current(&mut self, path: &Path, here: Option<Id>) -> Result<bool> {
        let file = match self.open_file(path) {
            Ok(file) => file,
            Err(_) if !path.exists() => return Ok(false),
            Err(error) => return Err(error),
        };
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let reading = Reading::new(file, target, self.name.clone(), &self.format);
        let reading = reading.map_err(|error| self.wrong(&error))?;
        if Some(reading.id) != here {
            return Ok(false);
        }
        // It has its name again.
        if let Some(at) = self.files.iter().position(|file| file.id == reading.id) {
            let mut known = self.files.remove(at);
            known.replaced = false;
            known.silent_since = None;
            if let Some(memory) = &mut self.memory {
                memory.is_current(known.key);
            }
            self.files.push(known);
            return Ok(true);
        }
        if self.memory.is_some() && !reading.is_regular() {
            let text = format!(
                "{}: only a regular file can have a checkpoint",
                quote(&self.name)
            );
            return Err(Error::data(text));
        }
        if let Ok(meta) = reading.file.metadata() {
            self.log.seen.add(reading.id, born(&meta));
        }
        self.add(reading)?;
        Ok(true)
    }

    /// A file no longer has what was read of it: reads on in its copy, where there is one. One that
    /// has no copy waits until the rest of what was read of it is taken.
    pub(super) fn cut(&mut self, at: usize, has_rest: bool) -> Result<bool> {
        let Input::File(path) = &self.input else {
            return Ok(false);
        };
        let path = path.clone();
        let name = quote(&self.files[at].name);
        if self.files[at].replaced {
            log::warn!("{name} was cut after it was renamed: it is read from its beginning");
            let restarted = self.restart_file(at).map(|()| true);
            return restarted.map_err(|error| self.wrong(&error));
        }
        let reading = &self.files[at];
        let mut copy = None;
        for sibling in self.log.new_siblings() {
            let Some(file) = sibling.open().ok().flatten() else {
                continue;
            };
            let packed = is_packed(&sibling.path, &file);
            let may_be = sibling.aside == Aside::Plain || packed;
            let fits = may_be && reading.is_begin_of(&file, packed).unwrap_or(false);
            if fits {
                copy = Some((sibling, file));
                break;
            }
        }
        match copy {
            Some((sibling, file)) => {
                log::info!("{name} was cut: its copy is read to its end first");
                if sibling.aside == Aside::Plain {
                    self.log.seen.add(sibling.id, sibling.born);
                }
                let reading = &mut self.files[at];
                let copied = reading.read_copy(file, sibling.id, sibling.path);
                copied.map_err(|error| Error::io(&name, &error))?;
                if let Some(memory) = &mut self.memory {
                    memory.moved(reading);
                }
            }
            None if has_rest => return Ok(false),
            None => {
                let offset = self.files[at].at();
                log::warn!(
                    "{name} was cut: what it had behind byte {offset} is lost, and it is read from its \
                     beginning"
                );
                let reading = self.files.remove(at);
                if let Some(memory) = &mut self.memory {
                    memory.close(reading.key);
                }
            }
        }
        self.turn(&path)?;
        Ok(true)
    }

    fn restart_file(&mut self, at: usize) -> io::Result<()> {
        let old = &self.files[at];
        let mut restarted = Reading::new(
            old.file.try_clone()?,
            old.path.clone(),
            old.name.clone(),
            &self.format,
        )?;
        restarted.replaced = true;
        restarted.key = self.next;
        self.next += 1;
        if let Some(memory) = &mut self.memory {
            memory.add(&restarted)?;
            memory.close(self.files[at].key);
        }
        self.files[at] = restarted;
        Ok(())
    }
}
