//! Rows of an answer, and what their groups are called.

use super::emission::GroupId;
use crate::payload::Payload;
use crate::store::Datum;

/// What is known of one group after something has happened.
pub(super) struct Answer {
    pub group_id: GroupId,
    /// Its row in the answer, if it has one.
    pub row: Option<Payload>,
    /// Whether the event in hand has touched the group.
    pub touched: bool,
}

/// What a group is called: its keys, and when its window begins where windows end, as JSON.
pub(super) fn group_id(window: Option<(i64, i64)>, key: &[Datum]) -> GroupId {
    let mut text = vec![b'['];
    if let Some((start, _)) = window {
        text.extend_from_slice(start.to_string().as_bytes());
    }
    for datum in key {
        if text.len() > 1 {
            text.push(b',');
        }
        // A double that JSON cannot hold is called as it is shown.
        if datum.write_json("", &mut text).is_err() {
            text.extend_from_slice(format!("{datum:?}").as_bytes());
        }
    }
    text.push(b']');
    String::from_utf8(text).expect("JSON is UTF-8").into()
}
