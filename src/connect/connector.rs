//! What a connector is: a scheme, and how a source and a sink are made for it.

use super::support::address::Address;
use super::support::settings::Settings;
use crate::error::Result;
use crate::format::{Framing, READ_OPTIONS, WRITE_OPTIONS};
use crate::node::{Sink, Source};

/// How a node is made for an address, and the options that it has.
pub(super) struct Make<N: ?Sized> {
    /// Those of its own; one of bytes has the options of formats too.
    pub options: &'static [&'static str],
    /// What the bytes are that it reads or writes.
    pub bytes: Option<Framing>,
    pub make: fn(&Address, &Settings) -> Result<Box<N>>,
}

/// The nodes that can be made for a scheme.
pub(super) struct Connector {
    pub scheme: &'static str,
    /// Whether all that follows the scheme is a secret.
    pub is_secret: bool,
    /// Whether it starts programs.
    pub is_program: bool,
    /// The options of its sink that each event fills in.
    pub templates: &'static [&'static str],
    pub source: Option<Make<dyn Source>>,
    pub sink: Option<Make<dyn Sink>>,
}

impl Connector {
    pub const NONE: Connector = Connector {
        scheme: "",
        is_secret: false,
        is_program: false,
        templates: &[],
        source: None,
        sink: None,
    };
}

impl<N: ?Sized> Make<N> {
    fn with(&self, formats: &[&'static str]) -> Vec<&'static str> {
        let mut names = self.options.to_vec();
        if let Some(framing) = self.bytes {
            let others = framing.of(formats);
            names.extend(others.filter(|name| !self.options.contains(name)));
        }
        names
    }
}

impl Make<dyn Source> {
    /// All its options.
    pub fn all_options(&self) -> Vec<&'static str> {
        self.with(READ_OPTIONS)
    }
}

impl Make<dyn Sink> {
    /// All its options.
    pub fn all_options(&self) -> Vec<&'static str> {
        self.with(WRITE_OPTIONS)
    }
}
