//! The file that keeps how far the files of a log were read: one JSON object.
//!
//! It is replaced as a whole (written beside, synced, renamed, the directory synced), so that it is
//! there as it was or as it is to be, whenever the process or the machine ends. Its last field is a
//! hash of the others: a place that a disk has changed would skip lines without a word.

use super::head::{Head, hash};
use super::siblings::{Id, Seen, SeenCompressed};
use crate::claim::Claim;
use crate::error::{Error, ErrorKind, Result, quote};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What this version of the crate writes. It reads version 1 too, which is of one file.
const VERSION: u64 = 2;
/// The field that vouches for the others.
const CHECK: &str = "check";
/// The most that is written of a checkpoint: what is longer is something else.
const LONGEST: u64 = 64 << 10;

/// How far the files of a log were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saved {
    /// The log, by its whole path.
    pub path: String,
    /// The oldest first; the last one is what the log was then.
    pub files: Vec<SavedFile>,
    /// Which of the files that the log was before were seen; not in version 1.
    pub seen: Option<Seen>,
}

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SavedFile {
    pub path: String,
    pub id: Id,
    pub offset: u64,
    pub line: u64,
    /// How many bytes at the beginning of the file the hash is of.
    pub head: u64,
    pub hash: String,
    /// Up to where it was read, and the hash of what lies before that; none in version 1.
    pub mark: u64,
    pub tail: String,
    /// All that was in it is delivered.
    pub is_whole: bool,
}

/// The checkpoint of a source.
pub(super) struct Checkpoint {
    path: PathBuf,
}

impl Checkpoint {
    pub fn at(path: PathBuf) -> Self {
        Checkpoint { path }
    }

    pub fn claim(&self) -> Claim {
        Claim::new("checkpoint", &self.path)
    }

    /// How messages name it.
    pub fn name(&self) -> String {
        format!("checkpoint {}", quote(self.path.to_string_lossy()))
    }

    /// What was saved; `None` where there is no such file.
    ///
    /// # Errors
    /// A directory, a file that is no checkpoint or that a newer version has written.
    pub fn load(&self) -> Result<Option<Saved>> {
        let wrong = |text: &str| Error::data(format!("{}: {text}", self.name()));
        let meta = match std::fs::metadata(&self.path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(self.name(), &error)),
        };
        if meta.is_dir() {
            return Err(wrong("is a directory").with_kind(ErrorKind::CannotCreate));
        }
        let strange =
            || wrong("is no checkpoint").with_hint("use a file of its own, which need not exist");
        if !meta.is_file() || meta.len() > LONGEST {
            return Err(strange());
        }
        let bytes = std::fs::read(&self.path).map_err(|error| Error::io(self.name(), &error))?;
        let mut value: Value = serde_json::from_slice(&bytes).map_err(|_| strange())?;
        match value["tributary_checkpoint"].as_u64() {
            Some(1 | VERSION) => {}
            Some(version) => {
                let text = format!("is of version {version}, this program knows 1 to {VERSION}");
                return Err(wrong(&text));
            }
            None => return Err(strange()),
        }
        let check = value
            .as_object_mut()
            .and_then(|fields| fields.shift_remove(CHECK));
        if check != Some(Value::String(hash(value.to_string().as_bytes()))) {
            return Err(wrong("is damaged")
                .with_hint("to read the file from its beginning, remove the checkpoint"));
        }
        read(&value).ok_or_else(strange).map(Some)
    }

    /// Replaces what was saved.
    ///
    /// # Errors
    /// Errors of the system: no such directory, no permission, no space.
    pub fn save(&self, saved: &Saved) -> Result<()> {
        let files = saved.files.iter().map(|file| {
            json!({
                "path": file.path,
                "dev": file.id.dev,
                "ino": file.id.ino,
                "offset": file.offset,
                "line": file.line,
                "head": file.head,
                "hash": file.hash,
                "mark": file.mark,
                "tail": file.tail,
                "whole": file.is_whole,
            })
        });
        let seen = saved.seen.as_ref();
        let mut value = json!({
            "tributary_checkpoint": VERSION,
            "path": saved.path,
            "files": files.collect::<Value>(),
            "seen": seen.map(write_seen),
        });
        seal(&mut value);
        let written = self.replace(format!("{value}\n").as_bytes());
        written.map_err(|error| {
            let error = Error::io(self.name(), &error);
            if self.folder().is_dir() {
                error
            } else {
                error.with_kind(ErrorKind::CannotCreate).with_hint(format!(
                    "there is no directory {}",
                    quote(self.folder().to_string_lossy())
                ))
            }
        })
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        std::fs::rename(&beside, &self.path)?;
        File::open(self.folder())?.sync_all()
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
}

/// Adds the hash of all other fields.
fn seal(value: &mut Value) {
    value[CHECK] = hash(value.to_string().as_bytes()).into();
}

/// These fields as a checkpoint that is not damaged, where they are an object. For fuzz targets.
pub fn sealed_checkpoint(bytes: &[u8]) -> Option<String> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    value.as_object_mut()?.shift_remove(CHECK);
    seal(&mut value);
    Some(value.to_string())
}

fn read(value: &Value) -> Option<Saved> {
    let files = match value["files"].as_array() {
        Some(files) => files.iter().map(read_file).collect::<Option<_>>()?,
        None => vec![read_file(value)?],
    };
    let seen = value.get("seen").filter(|seen| !seen.is_null());
    let seen = seen.map(read_seen);
    Some(Saved {
        path: value["path"].as_str()?.to_owned(),
        files,
        seen: match seen {
            Some(seen) => Some(seen?),
            None => None,
        },
    })
}

fn write_seen(seen: &Seen) -> Value {
    let heads = seen.compressed.heads.iter();
    let heads = heads.map(|head| json!([head.len, head.hash, head.size, head.at]));
    json!({
        "born": seen.born,
        "inodes": seen.inodes,
        "before": seen.compressed.before,
        "heads": heads.collect::<Value>(),
    })
}

fn read_seen(value: &Value) -> Option<Seen> {
    let inodes = value["inodes"].as_array()?.iter().map(Value::as_u64);
    let head = |head: &Value| {
        Some(Head {
            len: head[0].as_u64()?,
            hash: head[1].as_str()?.to_owned(),
            size: u32::try_from(head[2].as_u64()?).ok()?,
            at: head[3].as_u64()?,
        })
    };
    // Checkpoints of earlier versions have neither of them.
    let heads = value["heads"].as_array().into_iter().flatten().map(head);
    Some(Seen {
        born: value["born"].as_u64()?,
        inodes: inodes.collect::<Option<_>>()?,
        compressed: SeenCompressed {
            before: value["before"].as_u64().unwrap_or_default(),
            heads: heads.collect::<Option<_>>()?,
        },
    })
}

fn read_file(value: &Value) -> Option<SavedFile> {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    Some(SavedFile {
        path: text("path")?,
        id: Id {
            dev: value["dev"].as_u64()?,
            ino: value["ino"].as_u64()?,
        },
        offset: value["offset"].as_u64()?,
        line: value["line"].as_u64()?,
        head: value["head"].as_u64()?,
        hash: text("hash")?,
        mark: value["mark"].as_u64().unwrap_or_default(),
        tail: text("tail").unwrap_or_default(),
        is_whole: value["whole"].as_bool().unwrap_or_default(),
    })
}
