//! Rows of an answer, and the ids of their groups.

use super::emission::GroupId;
use super::kind::WindowBounds;
use crate::payload::Payload;
use crate::store::Datum;

/// A group that may have changed.
pub(super) struct Answer {
    pub group_id: GroupId,
    /// Its row in the answer, if it has one.
    pub row: Option<Payload>,
    /// Whether the current event touches the group.
    pub touched: bool,
}

/// The id of a group: the start of its window, where windows close, and its key, as a JSON array.
pub(super) fn group_id(window: Option<WindowBounds>, key: &[Datum]) -> GroupId {
    let mut text = vec![b'['];
    if let Some(window) = window {
        text.extend_from_slice(window.start.to_string().as_bytes());
    }
    for datum in key {
        if text.len() > 1 {
            text.push(b',');
        }
        // JSON cannot hold some doubles.
        if datum.write_json("", &mut text).is_err() {
            text.extend_from_slice(format!("{datum:?}").as_bytes());
        }
    }
    text.push(b']');
    String::from_utf8(text).expect("JSON is UTF-8").into()
}
