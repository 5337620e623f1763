//! The payload of an event, written as the JSON text of an object.

use super::types::{Type, write_text};
use crate::error::{Error, Result, quote};

/// A field: its name as JSON, and its type.
#[derive(Debug, Clone)]
pub(super) struct Field {
    name: String,
    key: Vec<u8>,
    pub kind: Type,
}

impl Field {
    pub fn new(name: impl Into<String>, kind: Type) -> Self {
        let name = name.into();
        let mut key = Vec::new();
        write_text(&name, &mut key);
        key.push(b':');
        Field { name, key, kind }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes the value that a text stands for.
    ///
    /// # Errors
    /// Text that is not of the type.
    pub fn write(&self, text: &str, out: &mut Vec<u8>) -> Result<()> {
        let written = self.kind.write(text, out);
        written.map_err(|error| error.within(format!("field {}", quote(&self.name))))
    }
}

/// An object that is being written.
pub(super) struct Record<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Record<'a> {
    /// Begins an object; what was written before is gone.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.clear();
        out.push(b'{');
        Record {
            out,
            is_empty: true,
        }
    }

    fn comma(&mut self) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
    }

    /// Adds a field whose value the text is.
    ///
    /// # Errors
    /// Text that is not of the type.
    pub fn add(&mut self, field: &Field, text: &str) -> Result<()> {
        self.comma();
        self.out.extend(&field.key);
        field.write(text, self.out)
    }

    /// Adds a field whose value is written already.
    pub fn written(&mut self, field: &Field, value: &[u8]) {
        self.comma();
        self.out.extend(&field.key);
        self.out.extend(value);
    }

    pub fn null(&mut self, field: &Field) {
        self.written(field, b"null");
    }

    /// Adds a field by its name; the value is written as JSON.
    pub fn value(&mut self, name: &str) -> &mut Vec<u8> {
        self.comma();
        write_text(name, self.out);
        self.out.push(b':');
        self.out
    }

    /// Adds a text, or null where there is none.
    pub fn text(&mut self, name: &str, text: Option<&str>) {
        let out = self.value(name);
        match text {
            Some(text) => write_text(text, out),
            None => out.extend(b"null"),
        }
    }

    pub fn end(self) {
        self.out.push(b'}');
    }
}

/// Bytes as text.
///
/// # Errors
/// Bytes that are not UTF-8.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Error::data(format!("not UTF-8 at byte {at}"))
            .with_hint("format = \"bytes\" takes bytes as they are")
    })
}
