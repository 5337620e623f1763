//! The file that keeps the cursor of a source.

use crate::error::{Error, Result, quote};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

/// The cursor in the file, or `None` if there is no file.
pub(super) fn load(path: &Path) -> Result<Option<Value>> {
    let name = quote(path.to_string_lossy());
    match fs::read(path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(cursor @ (Value::Number(_) | Value::String(_) | Value::Array(_))) => {
                Ok(Some(cursor))
            }
            _ => Err(Error::data(format!(
                "{name} is not a checkpoint of a sql source"
            ))),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(name, &error)),
    }
}

/// Writes the cursor. The file is replaced as a whole, once the bytes are on the disk.
pub(super) fn save(path: &Path, cursor: &Value) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(cursor.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    written.map_err(|error| Error::io(quote(path.to_string_lossy()), &error).retryable())
}
