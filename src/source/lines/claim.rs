//! Standard input has one reader.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a source reads standard input: two would share out its lines at random.
static CLAIMED: AtomicBool = AtomicBool::new(false);

/// The exclusive right to read standard input, until the drop.
pub(super) struct Claim(());

impl Claim {
    pub fn new() -> Result<Self> {
        if CLAIMED.swap(true, Ordering::SeqCst) {
            Err(Error::data("another node already reads standard input"))
        } else {
            Ok(Claim(()))
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.store(false, Ordering::SeqCst);
    }
}
