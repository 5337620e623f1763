//! What a connector is: a scheme, and how a source and a sink are made for it.

use super::support::address::Address;
use super::support::settings::Settings;
use crate::error::Result;
use crate::node::{Sink, Source};

/// How a node is made for an address, and the options that it has.
pub(super) struct Make<N: ?Sized> {
    pub options: &'static [&'static str],
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
