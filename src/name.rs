//! Names of nodes and of their ports.

use crate::error::{Error, Result, quote};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a node: `[A-Za-z_][A-Za-z0-9_-]{0,127}`, and not `_` alone, which drawings use for
/// an open end. A dot separates a node from its port, so a name has none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Checks a name.
    ///
    /// # Errors
    /// A name outside the grammar; the message states it.
    pub fn new(text: &str) -> Result<Self> {
        if is_word(text) {
            return Ok(Name(text.into()));
        }
        let hint = if text.contains('.') {
            "allowed is [A-Za-z_][A-Za-z0-9_-]{0,127}; a dot separates a node from its port"
        } else {
            "allowed is [A-Za-z_][A-Za-z0-9_-]{0,127}, and not \"_\" alone"
        };
        Err(Error::data(format!("bad name {}", quote(text))).with_hint(hint))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_word(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        && text.len() <= Name::MAX_LEN
        && text != "_"
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Name::new(text)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The name of a port: where a node's events leave. Same grammar as [`Name`].
///
/// Every node that sends has `out` (the default), `errors` (rejected events) and `dropped` (what
/// a filter or a rate limit let go); routing nodes have more.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(Name);

impl Port {
    /// The default port.
    pub const OUT: &'static str = "out";
    /// Rejected events, with the reason in their meta.
    pub const ERRORS: &'static str = "errors";
    /// Events dropped on purpose, with the reason in their meta.
    pub const DROPPED: &'static str = "dropped";

    /// Checks the name of a port.
    ///
    /// # Errors
    /// A name outside the grammar of [`Name`].
    pub fn new(text: &str) -> Result<Self> {
        Name::new(text).map(Port)
    }

    /// The port's name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl AsRef<str> for Port {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for Port {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Port::new(text)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Where a link begins: a node, or one of its ports, written `"node"` or `"node.port"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Endpoint {
    /// The node.
    pub node: Name,
    /// The port, `out` where none was written.
    pub port: Port,
}

impl Endpoint {
    /// Reads `"node"` or `"node.port"`.
    ///
    /// # Errors
    /// A part outside the grammar of [`Name`].
    pub fn new(text: &str) -> Result<Self> {
        let (node, port) = text.split_once('.').unwrap_or((text, Port::OUT));
        Ok(Endpoint {
            node: Name::new(node)?,
            port: Port::new(port)?,
        })
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Endpoint::new(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port.as_str() {
            Port::OUT => write!(f, "{}", self.node),
            port => write!(f, "{}.{port}", self.node),
        }
    }
}
