//! How long rows are kept: as long as a window needs them.
//!
//! - `time` — windows whose rows leave by their time.
//! - `count` — windows of the last rows, where a row leaves because of the rows after it.

mod count;
mod time;

pub(crate) use count::CountRetention;
use std::sync::Weak;
pub(crate) use time::{TimeColumn, TimeRetention};

/// Which rows the windows of a database need.
#[derive(Default, Clone)]
pub(crate) struct Retention {
    columns: Vec<TimeColumn>,
    counts: Vec<Weak<CountRetention>>,
}
