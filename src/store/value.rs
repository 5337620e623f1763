//! Values of answers as JSON: what neither database may do otherwise than the other.

use super::row::unsigned;
use crate::error::{Error, Result, quote};
use serde_json::{Number, Value};

/// A double, of which a zero has no sign; JSON has none that are infinite.
pub(crate) fn real(column: &str, value: f64) -> Result<Value> {
    match Number::from_f64(unsigned(value)) {
        Some(number) => Ok(Value::Number(number)),
        None => Err(Error::data(format!(
            "column {} of the answer is {value}, which JSON cannot hold",
            quote(column)
        ))),
    }
}

/// A text; what is not UTF-8 is shown as bytes are.
pub(crate) fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => base64(bytes).into(),
    }
}

/// Bytes in base64, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for place in 0..4u32 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            if place as usize <= chunk.len() {
                text.push(DIGITS[digit as usize] as char)
            } else {
                text.push('=')
            }
        }
    }
    text
}

/// Bytes as pairs of hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

/// What [`to_hex`] wrote.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8))
        .collect()
}
