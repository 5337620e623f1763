//! `sqlite::memory:` and `sqlite:path`.

use super::{DIALECT, Sqlite};
use crate::error::Result;
use crate::store::driver::Backend;
use crate::store::location::{Location, Scheme};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The scheme of SQLite.
pub(crate) const SCHEME: Scheme = Scheme {
    name: "sqlite",
    dialect: DIALECT,
    forms: &["sqlite::memory:", "sqlite:path"],
    parse,
};

/// A database in memory.
struct Memory;

/// A database in a file.
struct File(PathBuf);

/// The database in a file.
pub(crate) fn at(path: &Path) -> Arc<dyn Location> {
    Arc::new(File(path.to_owned()))
}

fn parse(text: &str) -> Result<Arc<dyn Location>, &'static str> {
    if text == ":memory:" {
        return Ok(Arc::new(Memory));
    }
    match text.strip_prefix("//").unwrap_or(text) {
        "" => Err("it names no file"),
        path if path.contains('\0') => Err("its path contains a NUL"),
        path => Ok(Arc::new(File(path.into()))),
    }
}

impl Location for Memory {
    fn open(&self, _patience: Duration) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Sqlite::memory()?))
    }

    fn is_memory(&self) -> bool {
        true
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sqlite::memory:")
    }
}

impl Location for File {
    fn open(&self, _patience: Duration) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Sqlite::file(&self.0)?))
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.0)
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.0.display())
    }
}
