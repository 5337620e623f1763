//! The files that a log was before: those beside it that were made since the last look.
//!
//! A file is identified by its inode, and files are put in order by the time at which they
//! were made, which a rename does not change (where the file system keeps no such time, by the time of
//! the last write). [`Seen`] has the last one up to which all were found.

use super::names::{Aside, aside, undated};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;
/// Of how many files that were read it is known when they had last been written to.
const REMEMBERED: usize = 1_000;

/// What distinguishes a file from all others that are there at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Id {
    pub dev: u64,
    pub ino: u64,
}

impl Id {
    pub fn of(meta: &Metadata) -> Self {
        Id {
            dev: meta.dev(),
            ino: meta.ino(),
        }
    }
}

/// A file that a log was before.
#[derive(Debug)]
pub(super) struct Sibling {
    pub path: PathBuf,
    pub id: Id,
    /// When it was made, in nanoseconds since 1970.
    pub born: u64,
    /// When it was last written to.
    pub modified: u64,
    pub len: u64,
    pub aside: Aside,
}

impl Sibling {
    /// Opens it, where it is still there under its name.
    pub fn open(&self) -> io::Result<Option<File>> {
        match File::open(&self.path) {
            Ok(file) => Ok((Id::of(&file.metadata()?) == self.id).then_some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// All files that were made before an instant were seen, and these of those that were made then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    pub born: u64,
    pub inodes: Vec<u64>,
}

impl Seen {
    pub fn add(&mut self, id: Id, born: u64) {
        if born > self.born {
            self.born = born;
            self.inodes.clear();
        }
        if born == self.born && !self.inodes.contains(&id.ino) {
            self.inodes.push(id.ino);
        }
    }

    fn has(&self, sibling: &Sibling) -> bool {
        sibling.born < self.born
            || sibling.born == self.born && self.inodes.contains(&sibling.id.ino)
    }
}

/// A log by its path, and what was seen of the files that it was before.
pub(super) struct Log {
    pub path: PathBuf,
    pub seen: Seen,
    /// The files that its path has led to, where it is a symbolic link.
    targets: Vec<PathBuf>,
    /// When files that were read had last been written to, in seconds: compression keeps that.
    read: VecDeque<u64>,
}

impl Log {
    pub fn new(path: PathBuf) -> Self {
        Log {
            path,
            seen: Seen::default(),
            targets: Vec::new(),
            read: VecDeque::new(),
        }
    }

    /// The path leads here now, or has led here.
    pub fn leads_to(&mut self, target: &Path) {
        self.targets.retain(|known| known != target);
        self.targets.push(target.to_owned());
        // The last two: where it led to, and where it leads now.
        if self.targets.len() > 2 {
            self.targets.remove(0);
        }
    }

    /// A file was read that had last been written to at this time.
    pub fn was_read(&mut self, modified: u64) {
        if !self.has_read(modified) {
            self.read.push_back(modified / SECOND);
        }
        if self.read.len() > REMEMBERED {
            self.read.pop_front();
        }
    }

    /// Whether a file was read that had last been written to at this time.
    pub fn has_read(&self, modified: u64) -> bool {
        self.read.contains(&(modified / SECOND))
    }

    /// The path of the log in a checkpoint: absolute, with symbolic links unresolved.
    pub fn whole_path(&self) -> PathBuf {
        let folder = folder(&self.path).canonicalize();
        match (folder, self.path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            _ => self.path.clone(),
        }
    }

    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![folder(&self.path).to_owned()];
        for target in &self.targets {
            let folder = folder(target).to_owned();
            if !folders.iter().any(|known| is_same(known, &folder)) {
                folders.push(folder);
            }
        }
        folders
    }

    fn names(&self) -> Vec<String> {
        let of = |path: &Path| path.file_name().and_then(OsStr::to_str).map(str::to_owned);
        let mut names: Vec<String> = of(&self.path).into_iter().collect();
        for target in self.targets.iter().filter_map(|target| of(target)) {
            names.extend(undated(&target));
            names.push(target);
        }
        names.dedup();
        names
    }

    /// The files that the log was before, oldest first.
    pub fn siblings(&self) -> Vec<Sibling> {
        let names = self.names();
        let mut found = Vec::new();
        for entry in self
            .folders()
            .iter()
            .filter_map(|f| fs::read_dir(f).ok())
            .flatten()
            .flatten()
        {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some(aside) = names.iter().find_map(|base| aside(base, name)) else {
                continue;
            };
            if let Ok(meta) = entry.metadata()
                && meta.is_file()
            {
                found.push(Sibling {
                    path: entry.path(),
                    id: Id::of(&meta),
                    born: born(&meta),
                    modified: modified(&meta),
                    len: meta.len(),
                    aside,
                });
            }
        }
        found.sort_by(|a, b| {
            let made = a.born.cmp(&b.born);
            // Made in one tick of the clock: a greater number is older, a later date is younger.
            made.then_with(|| match (number(&a.path), number(&b.path)) {
                (Some(a), Some(b)) => b.cmp(&a),
                _ => a.path.cmp(&b.path),
            })
        });
        found
    }

    /// Those of them that were made since the last look.
    pub fn new_siblings(&self) -> Vec<Sibling> {
        let mut siblings = self.siblings();
        siblings.retain(|sibling| !self.seen.has(sibling));
        siblings
    }

    /// Takes all that is there for seen.
    pub fn see_all(&mut self) {
        for sibling in self.siblings() {
            self.seen.add(sibling.id, sibling.born);
        }
    }

    /// A file by its inode, whatever its name is by now.
    pub fn by_id(&self, id: Id, name: &Path) -> Option<(PathBuf, File)> {
        let mut folders = self.folders();
        folders.push(folder(name).to_owned());
        let listed = folders
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok());
        let listed = listed.flatten().flatten().map(|entry| entry.path());
        [self.path.clone(), name.to_owned()]
            .into_iter()
            .chain(listed)
            .find_map(|path| {
                let meta = fs::metadata(&path).ok()?;
                if Id::of(&meta) != id || !meta.is_file() {
                    return None;
                }
                let file = File::open(&path).ok()?;
                (Id::of(&file.metadata().ok()?) == id).then_some((path, file))
            })
    }
}

/// Whether the first `len` bytes of two files are the same, judged by their ends.
pub(super) fn begin_alike(one: &File, other: &File, len: u64) -> bool {
    const PART: u64 = 4 << 10;
    let same = |from: u64, to: u64| {
        let len = usize::try_from(to - from).unwrap_or(0);
        let (mut a, mut b) = (vec![0; len], vec![0; len]);
        one.read_exact_at(&mut a, from).is_ok()
            && other.read_exact_at(&mut b, from).is_ok()
            && a == b
    };
    same(0, len.min(PART)) && same(len.saturating_sub(PART), len)
}

/// When a file was made, or else last written to.
pub(super) fn born(meta: &Metadata) -> u64 {
    nanos(meta.created().or_else(|_| meta.modified()))
}

/// When a file was last written to.
pub(super) fn modified(meta: &Metadata) -> u64 {
    nanos(meta.modified())
}

fn nanos(at: io::Result<SystemTime>) -> u64 {
    let since = at.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|meta| Id::of(&meta));
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

/// The number at the end of a name, as of `log.3`.
fn number(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let (_, number) = name.rsplit_once('.')?;
    number.parse().ok()
}
