//! Secrets: what must not be shown, and text without it.
//!
//! The invariant: a secret that was [added](add) is in no text that leaves the process for its readers.
//! There is one list for the process, and text is scrubbed where it is made: every [`Error`] scrubs its
//! message, place and hint, and so do events on a port `errors` and dead letters, which get theirs from
//! it; a message scrubs a value before it is cut. The command line also scrubs what it prints, panics,
//! and each record of its log, those of other crates included. Payloads are data: they are not scrubbed.
//!
//! What is looked for is the secret as it is, what common encoders make of it (`forms`), and text
//! that decodes to one of these (`views`). To find another encoding, add it to one of them: to `views`
//! where text can be decoded bytewise, else to `forms`.
//!
//! A secret of fewer than [`SHORTEST`] bytes is not looked for: too much text would match by chance.
//!
//! [`Error`]: crate::Error

mod forms;
mod prefix;
mod views;

pub(crate) use forms::{base64, percent_encoded};

use aho_corasick::AhoCorasick;
use parking_lot::RwLock;
use prefix::Prefixes;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use views::View;

/// What stands in place of a secret.
pub(crate) const MASK: &str = "***";
/// Shorter secrets are not looked for, in bytes.
pub const SHORTEST: usize = 4;
/// So much of a secret gives it away, in bytes: text may have been cut.
const TELLING: usize = 16;

/// The secrets of the process.
static KNOWN: RwLock<Option<Arc<Known>>> = RwLock::new(None);
/// Whether there are any: most processes have none, and errors may come often.
static ANY: AtomicBool = AtomicBool::new(false);

/// Secrets, and what finds them.
struct Known {
    secrets: BTreeSet<String>,
    /// All forms of them.
    forms: BTreeSet<Vec<u8>>,
    /// Finds the beginnings that give a form away.
    finder: AhoCorasick,
    /// The forms that begin with each of these.
    begun: Vec<Vec<Vec<u8>>>,
}

/// Adds a secret of the process.
pub fn add(secret: &str) {
    add_forms(secret, || forms::of(secret));
}

/// Adds the password of a user, which HTTP sends together with the user's name.
pub(crate) fn add_password(user: &str, password: &str) {
    add(password);
    if !password.is_empty() {
        let both = format!("{user}:{password}");
        let form = base64(both.as_bytes());
        add_forms(&both, || {
            BTreeSet::from([form.trim_end_matches('=').into()])
        });
    }
}

fn add_forms(secret: &str, forms: impl FnOnce() -> BTreeSet<Vec<u8>>) {
    let mut known = KNOWN.write();
    if known
        .as_ref()
        .is_some_and(|known| known.secrets.contains(secret))
    {
        return;
    }
    let (mut secrets, mut all) = match known.as_ref() {
        Some(known) => (known.secrets.clone(), known.forms.clone()),
        None => Default::default(),
    };
    secrets.insert(secret.to_owned());
    all.extend(forms().into_iter().filter(|form| form.len() >= SHORTEST));
    if let Some(next) = Known::of(secrets, all) {
        *known = Some(Arc::new(next));
        ANY.store(true, Ordering::Release);
    }
}

/// The text with `***` in place of every secret of the process, in all the forms in which one is looked
/// for: as it is, percent-encoded, escaped as in JSON, quoted as in SQL or XML, in base64 or hexadecimal.
/// A program that embeds the library scrubs the log records of the clients with it.
pub fn scrub(text: &str) -> Cow<'_, str> {
    scrubbed(text, false)
}

/// The same for text that may have been cut anywhere: the beginning of a secret at its end is one too.
pub(crate) fn scrub_cut(text: &str) -> Cow<'_, str> {
    scrubbed(text, true)
}

fn scrubbed(text: &str, is_cut: bool) -> Cow<'_, str> {
    if !ANY.load(Ordering::Acquire) {
        return text.into();
    }
    let known = KNOWN.read().clone();
    match known {
        Some(known) => known.scrub(text, is_cut),
        None => text.into(),
    }
}

impl Known {
    /// `None` where there is nothing to look for.
    fn of(secrets: BTreeSet<String>, forms: BTreeSet<Vec<u8>>) -> Option<Self> {
        let mut beginnings: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        for form in &forms {
            let beginning = form[..telling(form)].to_vec();
            beginnings.entry(beginning).or_default().push(form.clone());
        }
        let (beginnings, begun): (Vec<_>, Vec<_>) = beginnings.into_iter().unzip();
        let finder = AhoCorasick::new(&beginnings).ok();
        finder.filter(|_| !begun.is_empty()).map(|finder| Known {
            secrets,
            forms,
            finder,
            begun,
        })
    }

    fn scrub<'a>(&self, text: &'a str, is_cut: bool) -> Cow<'a, str> {
        let mut found = Vec::new();
        let whole = View::whole(text);
        self.find(whole.bytes(), is_cut, |range| found.push(range));
        for view in whole.decoded() {
            self.find(view.bytes(), is_cut, |range| found.push(view.place(range)));
        }
        if found.is_empty() {
            return text.into();
        }
        found.sort_unstable_by_key(|range| range.start);
        let mut shown = String::with_capacity(text.len());
        let mut done = 0;
        for range in found {
            let (start, end) = (before(text, range.start), behind(text, range.end));
            if start > done || shown.is_empty() && done == 0 {
                shown.push_str(&text[done..start]);
                shown.push_str(MASK);
            }
            done = done.max(end);
        }
        shown.push_str(&text[done..]);
        shown.into()
    }

    /// Where secrets are in these bytes.
    fn find(&self, bytes: &[u8], is_cut: bool, mut found: impl FnMut(Range<usize>)) {
        let mut begun = BTreeMap::new();
        for hit in self.finder.find_overlapping_iter(bytes) {
            let pattern = hit.pattern().as_usize();
            let forms = begun.entry(pattern).or_insert_with(|| {
                let forms = self.begun[pattern].iter();
                forms.map(|form| Prefixes::of(form)).collect::<Vec<_>>()
            });
            let lengths = forms.iter_mut().map(|form| form.length(bytes, hit.start()));
            found(hit.start()..hit.start() + lengths.max().unwrap_or_default());
        }
        if is_cut {
            for form in &self.forms {
                let longest = bytes.len().min(form.len().saturating_sub(1));
                let places = bytes.len() - longest..(bytes.len() + 1).saturating_sub(SHORTEST);
                let mut prefixes = Prefixes::of(form);
                let is_end = |at: &usize| prefixes.length(bytes, *at) == bytes.len() - at;
                if let Some(at) = places.into_iter().find(is_end) {
                    found(at..bytes.len());
                }
            }
        }
    }
}

/// How many bytes of a form give it away. Scheme and host of an address alone do not.
fn telling(form: &[u8]) -> usize {
    let host = form.windows(3).position(|three| three == b"://");
    let path = host.and_then(|host| {
        let rest = &form[host + 3..];
        let slash = rest.iter().position(|byte| *byte == b'/');
        slash.map(|slash| host + 3 + slash)
    });
    let least = match (host, path) {
        (_, Some(path)) => path + TELLING,
        (Some(_), None) => form.len(),
        (None, None) => TELLING,
    };
    least.min(form.len())
}

fn before(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

fn behind(text: &str, at: usize) -> usize {
    text.ceil_char_boundary(at)
}

#[cfg(test)]
mod tests;
