//! Where a source begins: at the beginning of its file, or at the position of its checkpoint.

use super::checkpoint::{Saved, SavedFile};
use super::head::{HEAD, hash};
use super::names::Aside;
use super::packed::is_packed;
use super::reading::{Reading, TAIL};
use super::siblings::{Id, born};
use super::{Follow, LineSource, packed};
use crate::error::{Error, ErrorKind, Result, quote};
use crate::format::{Decoder, Format};
use rustix::fs::OFlags;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where a file of the checkpoint is now.
enum Location {
    /// At the path of the log.
    Here(File),
    /// Under another name.
    Renamed(PathBuf, File),
    /// It was cut or compressed, and this is its copy.
    Copied(PathBuf, File),
    Gone,
}

impl LineSource {
    pub(super) fn open_file(&self, path: &Path) -> Result<File> {
        let what = || quote(&self.name);
        // A named pipe without a writer is not waited for here.
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = File::options()
            .read(true)
            .custom_flags(nonblocking)
            .open(path)
            .map_err(|error| Error::io(what(), &error))?;
        let is_dir = file.metadata().is_ok_and(|meta| meta.is_dir());
        if is_dir {
            Err(Error::new(
                ErrorKind::NoInput,
                format!("{}: is a directory", what()),
            ))
        } else {
            Ok(file)
        }
    }

    pub(super) fn open_log(&mut self, path: &Path) -> Result<()> {
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let opened = self.open_file(path);
        if opened.is_ok() {
            self.log.leads_to(&target);
        }
        let Some(memory) = &mut self.memory else {
            return self.begin(opened?, target);
        };
        if let Ok(file) = &opened
            && !file.metadata().is_ok_and(|meta| meta.is_file())
        {
            let text = format!(
                "{}: only a regular file can have a checkpoint",
                quote(&self.name)
            );
            return Err(Error::data(text));
        }
        let whole = self.log.whole_path().to_string_lossy().into_owned();
        match memory.load(whole.clone())? {
            None => {
                self.begin(opened?, target)?;
                if let Some(memory) = &mut self.memory {
                    memory.saw_siblings(&self.log.seen);
                }
                Ok(())
            }
            Some(saved) => self.resume(&saved, path, &whole, opened),
        }
    }

    /// The files are read in this format from their next events on.
    ///
    /// # Errors
    /// A stream, of which nothing can be read twice; a file that cannot be read.
    pub(super) fn read_as(&mut self, format: &Format) -> io::Result<()> {
        let mut files = self.files.iter();
        if files.any(|reading| !reading.is_regular() && !reading.is_packed()) {
            return Err(io::ErrorKind::NotSeekable.into());
        }
        for reading in &mut self.files {
            reading.decoder = Decoder::new(format);
            reading.go_to(reading.offset, reading.lines)?;
        }
        self.rest = 0..0;
        self.format = format.clone();
        Ok(())
    }

    /// What is there already of other files is not read.
    fn begin(&mut self, file: File, target: PathBuf) -> Result<()> {
        let reading = Reading::new(file, target, self.name.clone(), &self.format);
        let reading = reading.map_err(|error| self.wrong(&error))?;
        self.log.see_all();
        if let Ok(meta) = reading.file.metadata() {
            self.log.seen.add(reading.id, born(&meta));
        }
        self.add(reading)
    }

    fn resume(
        &mut self,
        saved: &Saved,
        path: &Path,
        whole: &str,
        opened: Result<File>,
    ) -> Result<()> {
        let follows = self.follow == Follow::Yes;
        let here = match opened {
            Ok(file) => Some(file),
            // The log was renamed, and nothing was written since.
            Err(_) if follows && !path.exists() && saved.path == whole => None,
            Err(error) => return Err(error),
        };
        let id = here
            .as_ref()
            .and_then(|file| Some(Id::of(&file.metadata().ok()?)));
        let real = path.canonicalize().ok();
        let is_path = saved.path == whole
            || real.is_some_and(|real| real.to_string_lossy() == saved.path)
            // Before version 2 a link was known by what it led to.
            || saved.seen.is_none() && path.is_symlink() && follows;
        let is_file = saved.files.iter().any(|file| Some(file.id) == id);
        let current = saved.files.last();
        let fits = match (current, &here) {
            (Some(file), Some(here)) if is_path || Some(file.id) == id => {
                let fits = file.is_begin_of(here, false);
                fits.map_err(|error| self.unread(&error))?
            }
            _ => false,
        };
        if !(is_path || is_file) || !follows && !fits {
            return Err(self.refuse(saved, is_path));
        }
        if let Some(seen) = &saved.seen {
            self.log.seen = seen.clone();
        } else if fits && current.is_some_and(|file| Some(file.id) == id) {
            self.log.see_all();
        }
        for (at, file) in saved.files.iter().enumerate() {
            let is_current = at + 1 == saved.files.len();
            let found = self.find(file, here.as_ref(), is_current && is_path)?;
            if is_current || !(file.is_whole && matches!(found, Location::Gone)) {
                self.read_on(file, found, id, is_current && saved.seen.is_none())?;
            }
        }
        if let Some(memory) = &mut self.memory {
            memory.saw_siblings(&self.log.seen);
        }
        // Where the path leads to another file, the next ones are opened now.
        self.look()?;
        Ok(())
    }

    fn find(&self, saved: &SavedFile, here: Option<&File>, is_current: bool) -> Result<Location> {
        let id = here.and_then(|file| Some(Id::of(&file.metadata().ok()?)));
        let clone = |file: &File| file.try_clone().map_err(|error| self.wrong(&error));
        let fits = |file: &File, packed: bool| {
            let fits = saved.is_begin_of(file, packed);
            fits.map_err(|error| self.unread(&error))
        };
        // A younger file may have got the inode of one that is gone: where nothing is known of how that
        // began, the time at which it was made distinguishes them.
        let seen = self.log.seen.born;
        let is_younger = |file: &File| {
            !saved.has_head() && seen > 0 && file.metadata().is_ok_and(|meta| born(&meta) > seen)
        };
        if let Some(here) = here
            && Some(saved.id) == id
            && !is_younger(here)
            && fits(here, false)?
        {
            return clone(here).map(Location::Here);
        }
        let name = Path::new(&saved.path);
        if let Some((path, file)) = self.log.by_id(saved.id, name, saved.has_head())
            && fits(&file, is_packed(&path, &file))?
        {
            return Ok(Location::Renamed(path, file));
        }
        if !saved.has_head() {
            return Ok(Location::Gone);
        }
        // Another file with the same content has taken its place.
        if let Some(here) = here
            && is_current
            && Some(saved.id) != id
            && fits(here, false)?
        {
            return clone(here).map(Location::Here);
        }
        for sibling in self.log.siblings() {
            // A file that was open may have been compressed at any time.
            if sibling.aside == Aside::Plain && !self.log.is_new(&sibling) {
                continue;
            }
            let Some(file) = sibling.open().ok().flatten() else {
                continue;
            };
            let packed = is_packed(&sibling.path, &file);
            if (sibling.aside == Aside::Plain || packed) && fits(&file, packed)? {
                return Ok(Location::Copied(sibling.path, file));
            }
        }
        Ok(Location::Gone)
    }

    fn read_on(
        &mut self,
        saved: &SavedFile,
        found: Location,
        here: Option<Id>,
        is_only: bool,
    ) -> Result<()> {
        let name = quote(&self.name);
        let (path, file, replaced) = match found {
            Location::Here(file) => (self.log.whole_path(), file, false),
            Location::Renamed(path, file) => {
                log::info!("{name} was replaced: the previous file is read to its end first");
                (path, file, true)
            }
            Location::Copied(path, file) => {
                if is_packed(&path, &file) {
                    log::info!(
                        "{name} was compressed: {} is read to its end first",
                        quote(path.to_string_lossy())
                    )
                } else {
                    log::info!("{name} was cut: its copy is read to its end first")
                }
                (path, file, true)
            }
            // It was empty. What it is by now is not known, and is read from its beginning.
            Location::Gone if !saved.has_head() && self.has_new_packed() => return Ok(()),
            Location::Gone => {
                let offset = saved.offset;
                if here == Some(saved.id) {
                    log::warn!(
                        "{name} was cut: what it had behind byte {offset} is lost, and it is read from \
                         its beginning"
                    )
                } else {
                    log::warn!(
                        "{name} was replaced and what it was before is gone: what that had behind byte \
                         {offset} is lost"
                    )
                }
                if is_only {
                    self.log.see_all();
                }
                return Ok(());
            }
        };
        let shown = if replaced {
            path.to_string_lossy().into_owned()
        } else {
            self.name.clone()
        };
        let wrong = |error: &std::io::Error| Error::io(&name, error).retryable();
        let path = path.canonicalize().unwrap_or(path);
        let packed = replaced && is_packed(&path, &file);
        let reading = if packed {
            Reading::packed(file, path, shown, &self.format)
        } else {
            Reading::new(file, path, shown, &self.format)
        };
        let mut reading = reading.map_err(|e| wrong(&e))?;
        reading.replaced = replaced;
        let gone_to = reading.go_to(saved.offset, saved.line);
        gone_to.map_err(|e| wrong(&e))?;
        if !packed {
            let meta = reading.file.metadata().map_err(|e| wrong(&e))?;
            self.log.seen.add(reading.id, born(&meta));
        }
        self.add(reading)
    }

    /// Whether compressed files are beside the log that were not seen.
    fn has_new_packed(&self) -> bool {
        let mut siblings = self.log.new_siblings().into_iter();
        siblings.any(|sibling| {
            let file = sibling.open().ok().flatten();
            sibling.aside == Aside::Compressed
                && file.is_some_and(|file| is_packed(&sibling.path, &file))
        })
    }

    fn refuse(&self, saved: &Saved, is_path: bool) -> Error {
        let checkpoint = self.memory.as_ref().map(|memory| memory.name());
        let text = format!(
            "{} belongs to another file than {}",
            checkpoint.unwrap_or_default(),
            quote(self.log.whole_path().to_string_lossy())
        );
        let hint = if is_path {
            "the file was replaced; to read it from its beginning, remove the checkpoint".to_owned()
        } else {
            format!("it is that of {}", quote(&saved.path))
        };
        Error::data(text).with_hint(hint)
    }
}

impl SavedFile {
    /// Whether a file has what was read of the one that was saved.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn is_begin_of(&self, file: &File, packed: bool) -> io::Result<bool> {
        let same = |from: u64, to: u64, expected: &str| {
            let bytes = packed::whole_range(file, packed, from, to)?;
            Ok::<_, io::Error>(bytes.is_some_and(|bytes| hash(&bytes) == expected))
        };
        let is_long = if packed {
            // Nothing is known of its size but what the last check reads.
            !self.tail.is_empty() && self.mark >= self.offset
        } else {
            file.metadata()?.len() >= self.offset
        };
        let from = self.mark.saturating_sub(TAIL as u64);
        Ok(is_long
            && same(0, self.head.min(HEAD), &self.hash)?
            && (self.tail.is_empty() || same(from, self.mark, &self.tail)?))
    }

    /// Whether something is known by which a copy of it can be recognised.
    pub fn has_head(&self) -> bool {
        self.head > 0
    }
}
