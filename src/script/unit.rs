//! The scripts that a runtime has executed.

use crate::time::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;

/// A script that was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unit {
    /// Its name: its path, where it is a file.
    pub name: String,
    /// A digest of its text, and of those of the modules that it requires.
    pub version: String,
    /// Its file, where it is one, and those that it requires.
    pub files: Vec<PathBuf>,
    /// When it was executed.
    pub loaded: Timestamp,
    /// Its text.
    pub text: Arc<str>,
}
