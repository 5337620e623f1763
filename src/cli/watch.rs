//! Notices changes of the files of scripts.
//!
//! The files are looked at, not watched by the system: that works on every file system, also where an editor
//! or a config map replaces a file by another one, and scripts are few.

use crate::Runtime;
use crate::time::monotonic;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How often the files are looked at. A change counts when a file has stayed the same from one look to the
/// next: it may be written in parts.
const LOOK: Duration = Duration::from_millis(200);

/// Its length and its time, or a hash; nothing where there is no file.
type Stamp = Option<(u64, Option<SystemTime>)>;

/// The files of scripts as they were last.
pub struct ScriptFiles {
    looked: Instant,
    files: BTreeMap<PathBuf, Seen>,
    /// Whether a script was not loaded for an error: a file that it lacks may come, so its directory counts.
    failed: bool,
}

/// A file, or the directory of one.
struct Seen {
    is_directory: bool,
    /// As it was when the scripts were loaded.
    loaded: Stamp,
    /// As it was at the last look.
    last: Stamp,
}

impl ScriptFiles {
    /// The files of these scripts as they are now.
    pub fn of(runtime: &Runtime) -> Self {
        let mut files = ScriptFiles {
            looked: monotonic(),
            files: BTreeMap::new(),
            failed: false,
        };
        files.loaded(runtime, false);
        files
    }

    /// Scripts were loaded again; `failed` where one was not.
    pub fn loaded(&mut self, runtime: &Runtime, failed: bool) {
        self.failed = failed;
        let mut before = std::mem::take(&mut self.files);
        for (path, is_directory) in paths(runtime) {
            // As it was before: what has changed since then was perhaps not read.
            let known = before.remove(&path).map(|seen| seen.last);
            let last = known.unwrap_or_else(|| stamp(&path, is_directory));
            let loaded = last;
            let seen = Seen {
                is_directory,
                loaded,
                last,
            };
            self.files.insert(path, seen);
        }
    }

    /// The scripts whose files have changed, and are not being written any more.
    pub fn changed(&mut self, runtime: &Runtime) -> Vec<String> {
        if self.looked.elapsed() < LOOK {
            return Vec::new();
        }
        self.looked = monotonic();
        let mut changed = Vec::new();
        let mut settled = true;
        for (path, seen) in &mut self.files {
            let now = stamp(path, seen.is_directory);
            settled &= now == seen.last;
            seen.last = now;
            if seen.is_directory && !self.failed {
                seen.loaded = now;
            }
            if now != seen.loaded {
                changed.push(path.clone());
            }
        }
        if changed.is_empty() || !settled {
            return Vec::new();
        }
        let mut units = runtime.units();
        units.retain(|unit| !unit.files.is_empty());
        let is_of_one = |path: &PathBuf| units.iter().any(|unit| unit.files.contains(path));
        // What belongs to no script by itself belongs to all: helpers, and directories.
        let common = !changed.iter().all(is_of_one);
        let has_changed = |path: &PathBuf| changed.contains(path);
        let units = units
            .iter()
            .filter(|unit| common || unit.files.iter().any(has_changed));
        units.map(|unit| unit.name.clone()).collect()
    }
}

/// The files of the scripts and of the helpers, and the directories of scripts, of which it is known that they
/// are directories.
fn paths(runtime: &Runtime) -> Vec<(PathBuf, bool)> {
    let helpers = runtime.prelude_files().into_iter();
    let mut paths: Vec<(PathBuf, bool)> = helpers.map(|path| (path, false)).collect();
    for unit in runtime.units() {
        let directories = unit.files.iter().filter_map(|path| path.parent());
        // A file without a directory is in the present one.
        paths.extend(directories.map(|path| (Path::new(".").join(path), true)));
        paths.extend(unit.files.into_iter().map(|path| (path, false)));
    }
    paths
}

/// What a file looks like, or which scripts a directory has: other files there come and go.
fn stamp(path: &Path, is_directory: bool) -> Stamp {
    if is_directory {
        let entries = std::fs::read_dir(path).ok()?.flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.retain(|name| name.as_bytes().ends_with(b".lua"));
        names.sort();
        let mut hasher = DefaultHasher::new();
        names.hash(&mut hasher);
        return Some((hasher.finish(), None));
    }
    let data = std::fs::metadata(path).ok()?;
    Some((data.len(), data.modified().ok()))
}
