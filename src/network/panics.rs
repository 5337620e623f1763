//! Panics of node code become errors.

use crate::error::{Error, ErrorKind, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs node code; a panic in it becomes an error.
pub(crate) fn catch<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// The error for a panic with this message.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    let kind = ErrorKind::Failed;
    match text {
        Some(text) => Error::new(kind, format!("panicked: {text}")),
        None => Error::new(kind, "panicked"),
    }
    .of_panic()
}
