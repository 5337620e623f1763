//! Handles of nodes, and what can stand at the two ends of a link.
//!
//! The types forbid what is always wrong: a sink's handle does not [send](Sends), a
//! source's does not [receive](Receives). Names given as text are checked when they are used.

use crate::name::Name;

/// Where a link can begin: a handle of a source or pipeline, a port of it, or a name as text
/// (`"node"` or `"node.port"`).
pub trait Sends {
    /// The endpoint as text.
    fn output(&self) -> String;
}

/// Where a link can lead: a handle of a pipeline or sink, or a name as text.
pub trait Receives {
    /// The node's name.
    fn input(&self) -> String;
}

/// A source that was added.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceNode(pub(super) Name);

/// A pipeline that was added.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PipelineNode(pub(super) Name);

/// A sink that was added. It has no output, so it can only receive; its port `errors` sends.
///
/// ```compile_fail
/// use tributary::{Network, pipeline::Forwarder, sink::Discarder};
///
/// let network = Network::new();
/// let sink = network.add_sink("sink", Discarder).unwrap();
/// let node = network.add_pipeline("node", Forwarder).unwrap();
/// network.link(&sink, &node).unwrap(); // a sink does not send
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SinkNode(pub(super) Name);

/// One port of a node that was added.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodePort(String);

macro_rules! handle {
    ($handle:ident) => {
        impl $handle {
            /// The node's name.
            pub fn name(&self) -> &Name {
                &self.0
            }

            /// A port of the node, to link from.
            pub fn port(&self, port: &str) -> NodePort {
                NodePort(format!("{}.{port}", self.0))
            }
        }
    };
}
handle!(SourceNode);
handle!(PipelineNode);
handle!(SinkNode);

impl Sends for SourceNode {
    fn output(&self) -> String {
        self.0.to_string()
    }
}
impl Sends for PipelineNode {
    fn output(&self) -> String {
        self.0.to_string()
    }
}
impl Sends for NodePort {
    fn output(&self) -> String {
        self.0.clone()
    }
}
impl Sends for str {
    fn output(&self) -> String {
        self.to_owned()
    }
}
impl Sends for String {
    fn output(&self) -> String {
        self.clone()
    }
}
impl<T: Sends + ?Sized> Sends for &T {
    fn output(&self) -> String {
        (**self).output()
    }
}

impl Receives for PipelineNode {
    fn input(&self) -> String {
        self.0.to_string()
    }
}
impl Receives for SinkNode {
    fn input(&self) -> String {
        self.0.to_string()
    }
}
impl Receives for str {
    fn input(&self) -> String {
        self.to_owned()
    }
}
impl Receives for String {
    fn input(&self) -> String {
        self.clone()
    }
}
impl<T: Receives + ?Sized> Receives for &T {
    fn input(&self) -> String {
        (**self).input()
    }
}
