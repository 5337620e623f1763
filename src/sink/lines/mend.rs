//! The end of a file to which lines are added.

use crate::error::{quote, quote_bytes};
use crate::payload::{MAX_EVENT_BYTES, check_json};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Has the file end with a whole line.
pub(super) fn mend(path: &Path, mut file: &File, is_json: bool) -> io::Result<()> {
    const MOST: u64 = MAX_EVENT_BYTES as u64 + 2;
    let len = file.metadata()?.len();
    let from = len.saturating_sub(MOST);
    // What was opened for appending cannot be read.
    let mut end = Vec::new();
    let mut reader = match File::open(path) {
        Ok(reader) => reader,
        // It may be written and not be read.
        Err(_) => return Ok(()),
    };
    reader.seek(SeekFrom::Start(from))?;
    reader.take(len - from).read_to_end(&mut end)?;
    let begins = match end.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => at + 1,
        None => 0,
    };
    let line = &end[begins..];
    if line.is_empty() {
        return Ok(());
    }
    let whole = begins > 0 || from == 0;
    if is_json && whole && matches!(line[0], b'{' | b'[' | b'"') && check_json(line).is_err() {
        log::warn!(
            "{}: cut an incomplete line at its end: {}",
            quote(path.to_string_lossy()),
            quote_bytes(line)
        );
        return file.set_len(from + begins as u64);
    }
    file.write_all(b"\n")
}
