//! Files that one process at a time may use: checkpoints, queues, the database file of a window.
//!
//! A node names them ([`Node::claims`](crate::Node::claims)), and the network locks all of them before
//! it opens any node. The lock is an advisory `flock` on a file beside the one that is meant: the name
//! of that with `.lock` at its end. So it holds also where the file itself is replaced by another, as a
//! checkpoint is, and it does not meet the locks that SQLite takes. The system releases it when the
//! process ends, however that happens. The lock file contains the process id of the holder, for
//! messages only, and is removed by a holder that ends in an orderly way.

use crate::error::{Error, ErrorKind, Result, quote};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// A file that a node needs for itself.
///
/// ```
/// use tributary::claim::Claim;
///
/// let claim = Claim::new("checkpoint", "orders.place");
/// assert_eq!(claim.lock_path(), std::path::Path::new("orders.place.lock"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    what: &'static str,
    path: PathBuf,
    part: Option<&'static str>,
    shared: bool,
}

impl Claim {
    /// A file that no other node may use, in this process or in another one; `what` is its kind
    /// in messages.
    pub fn new(what: &'static str, path: impl Into<PathBuf>) -> Self {
        Claim {
            what,
            path: path.into(),
            part: None,
            shared: false,
        }
    }

    /// The same file, which other nodes of this process may use too, where they claim it as shared.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Only this use of the file: others may use it meanwhile in another way.
    #[must_use]
    pub fn part(mut self, part: &'static str) -> Self {
        self.part = Some(part);
        self
    }

    /// The file that is locked: beside the one that is claimed.
    pub fn lock_path(&self) -> PathBuf {
        let mut name = OsString::from(&self.path);
        if let Some(part) = self.part {
            name.push(".");
            name.push(part);
        }
        name.push(".lock");
        name.into()
    }

    /// Locks the file, if no one else has. `None` where the file could not be made either, as where its
    /// directory is not there: the node reports that when it opens.
    ///
    /// # Errors
    /// A file that is in use ([`ErrorKind::Locked`]); a lock file that cannot be made.
    pub(crate) fn take(&self) -> Result<Option<Lock>> {
        let path = self.lock_path();
        let identity = identity(&path);
        // Nobody else of this process takes or releases a lock meanwhile.
        let mut shared = SHARED.lock();
        shared.retain(|held| held.strong_count() > 0);
        if self.shared {
            let mut held = shared.iter().filter_map(Weak::upgrade);
            if let Some(held) = held.find(|held| held.identity == identity) {
                return Ok(Some(Lock(Some(held))));
            }
        }
        let Some(file) = self.lock(&path)? else {
            return Ok(None);
        };
        let held = Arc::new(Held { identity, file });
        if self.shared {
            shared.push(Arc::downgrade(&held));
        }
        Ok(Some(Lock(Some(held))))
    }

    fn lock(&self, path: &Path) -> Result<Option<File>> {
        let named = || format!("lock file {}", quote(path.to_string_lossy()));
        loop {
            let mut file = match open(path) {
                Ok(file) => file,
                Err(error) if is_of_the_directory(path, &error) => return Ok(None),
                Err(error) => return Err(Error::io(named(), &error)),
            };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::INTR) => continue,
                Err(Errno::WOULDBLOCK) => return Err(self.in_use(&mut file)),
                Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    log::warn!(
                        "{}: this file system has no locks: nothing keeps a second process out",
                        named()
                    );
                    return Ok(Some(file));
                }
                Err(error) => return Err(Error::io(named(), &error.into())),
            }
            // The last holder may have removed the file that was opened.
            let here = file.metadata().map(|meta| (meta.dev(), meta.ino()));
            let there = std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
            if here.ok() == there.ok() {
                // On a full disk, or where another user's file is only read, messages go without it.
                let _ = file.set_len(0);
                let _ = file.write_all(format!("{}\n", std::process::id()).as_bytes());
                return Ok(Some(file));
            }
        }
    }

    fn in_use(&self, file: &mut File) -> Error {
        let mut text = String::new();
        let _ = file.take(32).read_to_string(&mut text);
        let by = match text.trim().parse::<u32>() {
            Ok(id) if id == std::process::id() => "another node of this process".to_owned(),
            Ok(id) => format!("process {id}"),
            Err(_) => "another process".to_owned(),
        };
        let path = quote(self.path.to_string_lossy());
        let error = Error::new(
            ErrorKind::Locked,
            format!("{} {path} is in use by {by}", self.what),
        );
        if by.contains("node") {
            error.with_hint("each needs a file of its own")
        } else {
            error.with_hint("run --wait-lock waits until it is free")
        }
    }
}

/// A lock that is held. It is released when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Lock(Option<Arc<Held>>);

impl Lock {
    /// Whether it is the lock of this file.
    pub fn is_of(&self, claim: &Claim) -> bool {
        let identity = identity(&claim.lock_path());
        self.0
            .as_ref()
            .is_some_and(|held| held.identity == identity)
    }
}

struct Held {
    /// The whole path of the lock file.
    identity: PathBuf,
    file: File,
}

/// What nodes of this process share.
static SHARED: Mutex<Vec<Weak<Held>>> = Mutex::new(Vec::new());

impl Drop for Lock {
    fn drop(&mut self) {
        // Whoever takes a lock finds it held or released, and nothing in between.
        let _shared = SHARED.lock();
        self.0 = None;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // While it is locked: another process that has opened it finds a different file there, or none. A process
        // that was forked, to run a program, must not keep the lock.
        let _ = std::fs::remove_file(&self.identity);
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

fn open(path: &Path) -> io::Result<File> {
    let all = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    match all {
        // Left behind by another user.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && path.exists() => {
            File::open(path)
        }
        all => all,
    }
}

/// Whether nothing can be made in the directory: then the file that is meant cannot be made either.
fn is_of_the_directory(path: &Path, error: &io::Error) -> bool {
    use io::ErrorKind as Io;
    match error.kind() {
        Io::NotFound | Io::NotADirectory | Io::ReadOnlyFilesystem => true,
        Io::PermissionDenied => !path.exists(),
        _ => false,
    }
}

/// The whole path of a file that need not be there.
fn identity(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}
