//! When a file has had enough, and what becomes of it then.
//!
//! The invariant: a line is in exactly one file, and a file that was set aside is whole: it is renamed
//! first, and its compressed copy takes its place only when that is on the disk.

use crate::time::Timestamp;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When a file that is written is set aside under another name, and how many of those are kept.
///
/// ```
/// use std::time::Duration;
/// use tributary::sink::{LineSink, Rotation};
///
/// let daily = Rotation::new().time(Duration::from_secs(86_400)).keep(7).gzip(true);
/// let sink = LineSink::file("alerts.jsonl", true).rotated(daily);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rotation {
    bytes: Option<u64>,
    time: Option<Duration>,
    keep: Option<usize>,
    gzip: bool,
}

impl Rotation {
    /// Sets nothing aside.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file has at most this many bytes, unless one batch has more.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// A file has the lines of at most so much time: of one of the stretches of this length that
    /// begin in 1970, so a day is one of UTC.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// At most this many rotated files are kept, the newest.
    #[must_use]
    pub fn keep(mut self, files: usize) -> Self {
        self.keep = Some(files);
        self
    }

    /// Files that were set aside are compressed.
    #[must_use]
    pub fn gzip(mut self, yes: bool) -> Self {
        self.gzip = yes;
        self
    }

    /// Whether a file of this length, last written at `last`, has had enough before `more` is added.
    pub(super) fn is_due(&self, len: u64, more: usize, last: Timestamp, now: Timestamp) -> bool {
        if len == 0 {
            return false;
        }
        let full = self.bytes.is_some_and(|most| len + more as u64 > most);
        let old = self.time.is_some_and(|time| {
            let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX).max(1);
            last.as_micros().div_euclid(micros) < now.as_micros().div_euclid(micros)
        });
        full || old
    }

    /// Removes what a rotation that was cut short has left: a compressed copy that is not whole, and a
    /// file whose copy is.
    pub(super) fn tidy(&self, path: &Path) {
        let left = || {
            let ends = set_aside(path, is_ours_or_unfinished)?;
            for end in &ends {
                let packed = ends.contains(&format!("{end}.gz"));
                if end.ends_with(UNFINISHED) || packed {
                    fs::remove_file(named(path, &format!(".{end}")))?;
                }
            }
            Ok(())
        };
        if let Err::<(), io::Error>(error) = left() {
            log::warn!("{path:?}: cannot remove a file of an earlier rotation: {error}");
        }
    }

    /// Sets the file aside.
    pub(super) fn set_aside(&self, path: &Path, now: Timestamp) -> io::Result<()> {
        let mut aside = free_name(path, now)?;
        fs::rename(path, &aside)?;
        if self.gzip {
            aside = pack(&aside)?;
        }
        log::info!("{:?} was set aside", aside);
        match self.keep {
            Some(keep) => forget(path, keep),
            None => Ok(()),
        }
    }
}

/// Compresses a file, whose place the copy takes.
fn pack(aside: &Path) -> io::Result<PathBuf> {
    let packed = named(aside, ".gz");
    let writing = named(aside, UNFINISHED);
    let written = (|| {
        let mut encoder = GzEncoder::new(File::create(&writing)?, Compression::default());
        io::copy(&mut File::open(aside)?, &mut encoder)?;
        encoder.finish()?.sync_all()?;
        fs::rename(&writing, &packed)
    })();
    if written.is_err() {
        // It would take room on a disk that may be full.
        let _ = fs::remove_file(&writing);
    }
    written?;
    fs::remove_file(aside)?;
    Ok(packed)
}

fn named(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// `path.2025-11-24T16:00:00Z-0000`. The number is behind all of that second, also where the first ones
/// were removed since: names stay in the order of their times.
fn free_name(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let second = format!("{}-", Timestamp::from_secs(now.as_secs()));
    let mut number = 0;
    for end in set_aside(path, is_ours)? {
        if let Some(taken) = end.strip_prefix(&second) {
            let taken = taken.strip_suffix(".gz").unwrap_or(taken);
            number = number.max(
                taken
                    .parse()
                    .map_or(0, |taken: u32| taken.saturating_add(1)),
            );
        }
    }
    Ok(named(path, &format!(".{second}{number:04}")))
}

/// What stands behind the names of the files that were set aside, and the dot before it.
fn set_aside(path: &Path, wanted: fn(&str) -> bool) -> io::Result<Vec<String>> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(name) = path.file_name() else {
        return Ok(Vec::new());
    };
    let begin = format!("{}.", name.to_string_lossy());
    let mut ends = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let end = name
            .to_string_lossy()
            .strip_prefix(&begin)
            .map(str::to_owned);
        ends.extend(end.filter(|end| wanted(end)));
    }
    Ok(ends)
}

/// Removes all but the newest that were set aside.
fn forget(path: &Path, keep: usize) -> io::Result<()> {
    let mut ends = set_aside(path, is_ours)?;
    // Their names are in the order of their times.
    ends.sort();
    for end in ends.iter().rev().skip(keep) {
        fs::remove_file(named(path, &format!(".{end}")))?;
    }
    Ok(())
}

/// What stands behind the name of a file while its compressed copy is written.
const UNFINISHED: &str = ".gz.new";

fn is_ours_or_unfinished(end: &str) -> bool {
    is_ours(
        end.strip_suffix(".new")
            .filter(|end| end.ends_with(".gz"))
            .unwrap_or(end),
    )
}

/// Whether this is a suffix of a rotated file: no other file is ever removed.
fn is_ours(end: &str) -> bool {
    let end = end.strip_suffix(".gz").unwrap_or(end);
    let Some((time, number)) = end.rsplit_once('-') else {
        return false;
    };
    let is_number = number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && time.parse::<jiff::Timestamp>().is_ok()
}
