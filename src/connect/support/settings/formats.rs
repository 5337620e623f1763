//! Options that describe the format of bytes.

use super::Settings;
use crate::error::Result;
use crate::format::{Encoder, Format, Framing};

impl Settings {
    /// How the bytes of a source become events.
    ///
    /// # Errors
    /// Options that describe no format.
    pub fn format(&self, framing: Framing) -> Result<Format> {
        Format::read(&self.of, &self.values, framing)
    }

    /// How events become the bytes of a sink.
    ///
    /// # Errors
    /// Options that describe no format, or one that cannot be written.
    pub fn encoder(&self, framing: Framing) -> Result<Encoder> {
        let template = self.template("template")?;
        Encoder::read(&self.of, &self.values, template, framing)
    }
}
