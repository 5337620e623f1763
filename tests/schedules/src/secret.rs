//! Links have no secrets.

use std::borrow::Cow;

pub fn scrub(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}
