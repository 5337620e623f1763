//! The names that programs give to a log when they set it aside.
//!
//! `app.log` becomes `app.log.1`, `app.log-20260131`, `app.log.old`, `app-2026-01-31.log` or
//! `app.1.log`, and `.gz` and the like are added when it is compressed. A number alone between dash and
//! extension (`app-1.log`) is rather the log of another process, and is not taken for one set aside.

/// The endings of compressed files.
const COMPRESSED: [&str; 8] = [".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma", ".zip", ".Z"];
/// Words for what is set aside.
const WORDS: [&str; 3] = ["old", "bak", "prev"];
/// How many digits a date has at least.
const DATE: usize = 6;

/// What is set aside, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aside {
    Plain,
    Compressed,
}

/// Whether a file of this name is what the log `base` was before.
pub(super) fn aside(base: &str, name: &str) -> Option<Aside> {
    let plain = COMPRESSED.iter().find_map(|end| name.strip_suffix(end));
    let (name, aside) = match plain {
        Some(name) => (name, Aside::Compressed),
        None => (name, Aside::Plain),
    };
    let rest = name.strip_prefix(base);
    let behind = rest.is_some_and(|rest| match split(rest) {
        Some((_, tag)) => is_tag(tag),
        None => aside == Aside::Compressed && rest.is_empty(),
    });
    let before_extension = || {
        let (stem, extension) = base.rsplit_once('.')?;
        let tag = name.strip_prefix(stem)?.strip_suffix(extension)?;
        let (separator, tag) = split(tag.strip_suffix('.')?)?;
        Some(is_tag(tag) && (separator == '.' || digits(tag) >= DATE))
    };
    (behind || !base.starts_with('.') && before_extension() == Some(true)).then_some(aside)
}

/// The name without the date that is in it.
pub(super) fn undated(name: &str) -> Option<String> {
    let is_date = |c: char| c.is_ascii_digit() || "-_.:T".contains(c);
    let mut from = 0;
    while let Some(begin) = name[from..].find(is_date).map(|at| from + at) {
        let len = name[begin..].find(|c| !is_date(c));
        let end = len.map_or(name.len(), |len| begin + len);
        let run = &name[begin..end];
        if digits(run) >= DATE {
            // A dot that begins the extension is not part of the date.
            let keep = if run.ends_with('.') { end - 1 } else { end };
            return Some(format!("{}{}", &name[..begin], &name[keep..]));
        }
        from = end;
    }
    None
}

/// A separator, and what follows it.
fn split(rest: &str) -> Option<(char, &str)> {
    let separator = rest.chars().next()?;
    ".-_".contains(separator).then(|| (separator, &rest[1..]))
}

fn is_tag(tag: &str) -> bool {
    let is_date = |c: char| c.is_ascii_digit() || "-_.:T@+Z".contains(c);
    WORDS.contains(&tag) || digits(tag) > 0 && tag.chars().all(is_date)
}

fn digits(text: &str) -> usize {
    text.chars().filter(char::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_set_aside_is_known_by_its_name() {
        for (base, name) in [
            ("log", "log.1"),
            ("log", "log.12"),
            ("app.log", "app.log.1"),
            ("app.log", "app.log-20260131"),
            ("app.log", "app.log-20260131-1769840000"),
            ("app.log", "app.log.2026-01-31T12:00:00Z"),
            ("app.log", "app.log.1769840000-0001"),
            ("app.log", "app.log.old"),
            ("app.log", "app-2026-01-31.log"),
            ("app.log", "app.1.log"),
            ("worker-1.log", "worker-1.log.2"),
        ] {
            assert_eq!(aside(base, name), Some(Aside::Plain), "{base} {name}");
            let packed = format!("{name}.gz");
            assert_eq!(aside(base, &packed), Some(Aside::Compressed), "{packed}");
        }
        for (base, name) in [
            ("log", "log"),
            ("log", "logs.1"),
            ("log", "log1"),
            ("log", "log.tmp"),
            ("log", "log.1.tmp"),
            ("app.log", "app.err"),
            ("app.log", "app-1.log"),
            ("app.log", "app.log.place"),
            ("worker-1.log", "worker-2.log"),
            (".log", ".1.log"),
        ] {
            assert_eq!(aside(base, name), None, "{base} {name}");
        }
    }

    #[test]
    fn a_date_is_taken_out_of_a_name() {
        for (name, expected) in [
            ("app-20260131.log", Some("app.log")),
            ("app.2026-01-31.log", Some("app.log")),
            ("app.log-20260131", Some("app.log")),
            ("20260131.log", Some(".log")),
            ("app-1.log", None),
            ("app", None),
        ] {
            assert_eq!(undated(name).as_deref(), expected, "{name}");
        }
    }
}
