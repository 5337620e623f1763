//! Names of topics, and what listens to many of them.

use crate::error::{Error, quote};

/// The longest, in bytes.
const LONGEST: usize = 65_535;

/// Whether a message may have this topic.
pub(super) fn is_name(topic: &str) -> bool {
    is_text(topic) && !topic.contains(['+', '#'])
}

/// Whether one may listen to it: `+` stands for a level, `#` at the end for all that follow.
pub(super) fn is_filter(topic: &str) -> bool {
    let mut levels = topic.split('/').rev();
    let last = levels.next().unwrap_or_default();
    let is_level = |level: &str| level == "+" || !level.contains(['+', '#']);
    is_text(topic) && (last == "#" || is_level(last)) && levels.all(is_level)
}

pub(super) fn bad_name(topic: &str) -> Error {
    Error::data(format!("{} is not a topic name", quote(topic)))
}

fn is_text(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= LONGEST && !topic.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::{is_filter, is_name};

    #[test]
    fn wildcards_stand_for_whole_levels() {
        for good in ["a", "/", "a/+/b", "+", "#", "a/#", "+/+/#", "a b/ü"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a+", "a/#/b", "a#", "#/a", "+a/b", "a\0"] {
            assert!(!is_filter(bad), "{bad}");
        }
        assert!(is_name("a/b") && !is_name("a/+") && !is_name("#") && !is_name(""));
    }
}
