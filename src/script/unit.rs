//! The scripts that a runtime has executed.

use crate::time::Timestamp;
use std::sync::Arc;

/// A script that was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unit {
    /// Its name: its path, where it is a file.
    pub name: String,
    /// A digest of its text.
    pub version: String,
    /// When it was executed.
    pub loaded: Timestamp,
    /// Its text.
    pub text: Arc<str>,
}
