//! What a backend makes of a URL: its scheme, and the location of a database.

use super::dialect::Dialect;
use super::driver::Backend;
use crate::error::Result;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What is wrong with a URL that ends after its scheme, or has no `//` where one is needed.
pub(crate) const INCOMPLETE: &str = "it is incomplete";

/// The scheme of one backend.
pub(crate) struct Scheme {
    /// What stands before the colon.
    pub name: &'static str,
    pub dialect: Dialect,
    /// The forms of its URLs, for hints.
    pub forms: &'static [&'static str],
    /// Parses what follows the colon; the error is what is wrong with it.
    pub parse: fn(&str) -> Result<Arc<dyn Location>, &'static str>,
}

/// A parsed URL. It is displayed without its password.
pub(crate) trait Location: fmt::Display + Send + Sync {
    /// Opens the database; a server may take this long for each answer.
    ///
    /// # Errors
    /// A server that does not answer or refuses the user, a file that cannot be opened.
    fn open(&self, patience: Duration) -> Result<Arc<dyn Backend>>;

    /// The file of the database, if it is one.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// Whether the database ends with the process.
    fn is_memory(&self) -> bool {
        false
    }
}
