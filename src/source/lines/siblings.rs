//! The files that a log was before: those beside it that were made since the last look.
//!
//! A file is identified by its inode, and files are put in order by the time at which they
//! were made, which a rename does not change (where the file system keeps no such time, by the time of
//! the last write). [`Seen`] has the last one up to which all were found.
//!
//! Compression makes another file. It is known by when the log was last written to, which compression
//! keeps as a rule, and by how its content begins.

use super::head::{HEAD, Head, SECOND};
use super::names::{Aside, aside, undated};
use super::packed;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Of how many files that were read it is known how they begin.
const REMEMBERED: usize = 16;

/// How often a directory is read again while it changes.
const TRIES: usize = 8;

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
    /// When it was made, in nanoseconds since 1970; of a compressed one, when it was last written to.
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

    /// How its content begins.
    pub fn head(&self, file: &File) -> io::Result<Head> {
        let packed = packed::is_packed(&self.path, file);
        let size = if packed {
            packed::content_size(file)?
        } else {
            self.len
        };
        let begin = packed::range(file, packed, 0, HEAD)?;
        Ok(Head::of(&begin, size, self.modified))
    }
}

/// All files that were made before an instant were seen, and these of those that were made then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    pub born: u64,
    pub inodes: Vec<u64>,
    pub compressed: SeenCompressed,
}

/// All compressed files that were last written to before a second were seen, and those whose content
/// begins as that of files that were read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SeenCompressed {
    pub before: u64,
    pub heads: VecDeque<Head>,
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
        match sibling.aside {
            Aside::Plain => {
                sibling.born < self.born
                    || sibling.born == self.born && self.inodes.contains(&sibling.id.ino)
            }
            // Compression keeps whole seconds only.
            Aside::Compressed => {
                let before = self.compressed.before.max(self.born / SECOND);
                sibling.modified / SECOND < before
            }
        }
    }

    fn add_head(&mut self, head: Head) {
        let heads = &mut self.compressed.heads;
        if head.len > 0 && !heads.contains(&head) {
            heads.push_back(head);
        }
        if heads.len() > REMEMBERED {
            heads.pop_front();
        }
    }
}

/// A log by its path, and what was seen of the files that it was before.
pub(super) struct Log {
    pub path: PathBuf,
    pub seen: Seen,
    /// The files that its path has led to, where it is a symbolic link.
    targets: Vec<PathBuf>,
    /// Compressed files that need not be looked at again.
    known: Vec<(Id, u64)>,
}

impl Log {
    pub fn new(path: PathBuf) -> Self {
        Log {
            path,
            seen: Seen::default(),
            targets: Vec::new(),
            known: Vec::new(),
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

    /// A file was read whose content begins so.
    pub fn was_read(&mut self, head: Head) {
        let compressed = &mut self.seen.compressed;
        compressed.before = compressed.before.max(head.at);
        self.seen.add_head(head);
    }

    /// Whether a file was read whose content begins so.
    pub fn has_read(&self, head: &Head) -> bool {
        let mut heads = self.seen.compressed.heads.iter();
        heads.any(|known| known.is_of(head))
    }

    /// A compressed file needs not be looked at again, while the process runs.
    pub fn knows(&mut self, sibling: &Sibling) {
        self.known.push((sibling.id, sibling.modified));
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
                let modified = modified(&meta);
                found.push(Sibling {
                    path: entry.path(),
                    id: Id::of(&meta),
                    born: match aside {
                        Aside::Plain => born(&meta),
                        Aside::Compressed => modified,
                    },
                    modified,
                    len: meta.len(),
                    aside,
                });
            }
        }
        // Being compressed: what it is made of is there until it is done.
        let plain = found.iter().filter(|one| one.aside == Aside::Plain);
        let plain: Vec<PathBuf> = plain.map(|one| one.path.clone()).collect();
        found.retain(|one| {
            one.aside == Aside::Plain || !plain.contains(&one.path.with_extension(""))
        });
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
    ///
    /// A file that is renamed while its directory is read may be missed. So where something is new, it is
    /// read again until it is the same twice: a file that were found later would be read after those that
    /// are younger.
    pub fn new_siblings(&self) -> Vec<Sibling> {
        let mut siblings = self.listed_as_new();
        for _ in 0..TRIES {
            if siblings.is_empty() {
                break;
            }
            let again = self.listed_as_new();
            let name = |one: &Sibling| (one.path.clone(), one.id);
            let is_same = again.iter().map(name).eq(siblings.iter().map(name));
            siblings = again;
            if is_same {
                break;
            }
        }
        siblings
    }

    fn listed_as_new(&self) -> Vec<Sibling> {
        let mut siblings = self.siblings();
        siblings.retain(|sibling| self.is_new(sibling));
        siblings
    }

    /// Whether a file was not there at the last look.
    pub fn is_new(&self, sibling: &Sibling) -> bool {
        let known = (sibling.id, sibling.modified);
        !(self.seen.has(sibling) || self.known.contains(&known))
    }

    /// Takes all that is there for seen.
    pub fn see_all(&mut self) {
        let siblings = self.siblings();
        let latest = siblings.iter().map(|one| one.modified / SECOND).max();
        let compressed = &mut self.seen.compressed;
        compressed.before = compressed.before.max(latest.unwrap_or(0));
        for sibling in siblings {
            // What is not compressed yet, and what was written to in the last second.
            if sibling.aside == Aside::Plain || !self.seen.has(&sibling) {
                let file = sibling.open().ok().flatten();
                let head = file.and_then(|file| sibling.head(&file).ok());
                head.into_iter().for_each(|head| self.seen.add_head(head));
            }
            if sibling.aside == Aside::Plain {
                self.seen.add(sibling.id, sibling.born);
            }
        }
    }

    /// A file by its inode, whatever its name is by now; or, unless it can be `verified`, under the name
    /// of a log that was set aside: the inode of one that is gone may be that of anything.
    pub fn by_id(&self, id: Id, name: &Path, verified: bool) -> Option<(PathBuf, File)> {
        let names = self.names();
        let may_be = |path: &PathBuf| {
            let name = path.file_name().and_then(OsStr::to_str);
            verified
                || name.is_some_and(|name| names.iter().any(|base| aside(base, name).is_some()))
        };
        let mut folders = self.folders();
        folders.push(folder(name).to_owned());
        let listed = folders
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok());
        let listed = listed.flatten().flatten().map(|entry| entry.path());
        let listed = listed.filter(may_be);
        [self.path.clone(), name.to_owned()]
            .into_iter()
            .chain(listed)
            .find_map(|path| {
                let meta = fs::metadata(&path).ok()?;
                if Id::of(&meta) != id || !meta.is_file() {
                    return None;
                }
                // A younger file has got the inode of one that is gone.
                if !verified && self.seen.born > 0 && born(&meta) > self.seen.born {
                    return None;
                }
                let file = File::open(&path).ok()?;
                (Id::of(&file.metadata().ok()?) == id).then_some((path, file))
            })
    }
}

/// Whether the first `len` bytes of a file and of another one, which may be compressed, are the same,
/// judged by their ends.
pub(super) fn begin_alike(one: &File, other: &File, packed: bool, len: u64) -> bool {
    const PART: u64 = 4 << 10;
    let same = |from: u64, to: u64| {
        let one = packed::range(one, false, from, to);
        let other = packed::range(other, packed, from, to);
        matches!((one, other), (Ok(one), Ok(other))
            if one.len() as u64 == to - from && one == other)
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

/// The number at the end of a name, as of `log.3` and `log.3.gz`.
fn number(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let (_, number) = name.strip_suffix(".gz").unwrap_or(name).rsplit_once('.')?;
    number.parse().ok()
}
