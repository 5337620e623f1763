//! How a function of the module is listed.

/// A function of the module: how it is called, and one line about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    /// The name.
    pub name: String,
    /// The arguments, as one would write them.
    pub arguments: String,
    /// What it does, in one line.
    pub about: String,
}
