//! A payload as one line: the one encoder of all sinks of lines.

use crate::error::{Error, Result};
use crate::payload::Payload;

/// Adds the payload, without a line end. A payload that spans lines is written as compact JSON.
///
/// # Errors
/// A payload that spans lines and is not JSON.
pub(crate) fn encode(payload: &Payload, buffer: &mut Vec<u8>) -> Result<()> {
    let bytes = payload.bytes();
    if !bytes.contains(&b'\n') {
        buffer.extend(bytes);
        return Ok(());
    }
    let json = payload.json().map_err(|_| {
        Error::data("a payload that spans lines and is not JSON does not fit on a line")
    })?;
    buffer.extend(json.to_string().as_bytes());
    Ok(())
}

/// The same, with a line end.
pub(crate) fn write_line(payload: &Payload, buffer: &mut Vec<u8>) -> Result<()> {
    encode(payload, buffer)?;
    buffer.push(b'\n');
    Ok(())
}
