//! An event-stream processor to embed in blocking programs, and to script in Lua.
//!
//! A [`Network`] consists of named nodes, each on its own OS thread, joined by bounded links. Networks
//! are written in Lua or Rust and can be extended while they run; windows over the stream are plain SQL
//! on SQLite or MySQL. There is no async.
//!
//! ```
//! use tributary::{Network, Runtime, sink, source};
//!
//! let (numbers, source) = source::channel();
//! let (results, sink) = sink::channel();
//! let network = Network::new();
//! network.add_source("numbers", source)?;
//! network.add_sink("results", sink)?;
//! Runtime::new(&network)?.run_text("net.lua", r#"
//!     local tb = require("tributary")
//!     tb.create_filter("once", "1h")
//!     tb.chain("numbers", "once", "results")
//! "#)?;
//! network.start()?;
//! for number in ["1", "2", "1"] {
//!     numbers.send(number)?;
//! }
//! drop(numbers); // no more input
//! let seen: Vec<_> = results.iter().map(|event| event.payload().clone()).collect();
//! assert_eq!(seen, ["1".into(), "2".into()]);
//! network.wait()?;
//! # Ok::<(), tributary::Error>(())
//! ```
//!
//! # Where to look
//!
//! - [`Network`]: build, start, extend, stop, [simulate](Network::simulate), account.
//!   [`Replay`]: the same network on recorded events.
//! - [`node`]: the contracts of nodes; [`source`], [`pipeline`], [`sink`]: the built-in nodes, and closures
//!   as nodes.
//! - [`connect`]: sources and sinks by address, with secrets and templates.
//! - [`store`] and [`window`]: tables, queries and windows in SQL.
//! - [`script`]: networks in Lua.
//! - [`admin`]: a running network that shows itself.
//! - [`doc::guide`]: how to use it, page by page. [`doc::glossary`]: the terms. [`doc`]: design decisions.
//!   [`doc::changelog`], [`doc::contributing`].
//!
//! # What is promised
//!
//! - Links are bounded: a slow node holds back the nodes before it, and memory stays bounded.
//! - Order is kept along each path; events that come over different paths are merged as they come.
//! - Every event is accounted for: received is passed, consumed, dropped (with a reason), rejected
//!   or held, exactly, after every graceful stop.
//! - An event that a source tracks has exactly one outcome: delivered when every branch delivered
//!   it or dropped it on purpose, failed otherwise (an error, a panic, an abort).
//! - A stop drains: what a source has emitted by then is processed.
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `admin` | a running network shows itself: page, metrics, health, API (in `cli` too): httparse | yes |
//! | `http` | posts events, and accepts posted ones: ureq, httparse | no |
//! | `slack`, `telegram` | messages, over `http` | no |
//! | `amqp`, `kafka`, `mqtt`, `nats`, `redis` | connectors to brokers, each with its client | no |
//! | `full` | all connectors | no |
//! | `cli` | the `tributary` binary: clap, env_logger, indicatif, signals, mimalloc | yes |
//!
//! A program that uses the library only sets `default-features = false`. Events are usually freed on
//! another thread than the one that allocated them, which halves the speed of the system's allocator:
//! programs with much traffic may want mimalloc as their global allocator, with its feature `no_thp`
//! (without it a thousand nodes take several times the memory).
//!
//! # Log levels
//!
//! Through the crate `log`: `error` for what stops a node or breaks a promise; `warn` for rejected events
//! that no link takes (at most one line a second and node), for nodes that are lost and opened again (a line as
//! the pauses grow, then one a minute, and one when they are back) and for nodes that are not linked;
//! `info` for stops.

// What only the command line or a connector uses is unused in a build without it; the build with all
// features reports what nothing uses.
#![cfg_attr(
    not(all(feature = "cli", feature = "full")),
    allow(dead_code, unused_imports, reason = "used by features that are off")
)]

/// Implements `Debug` for a type with connections, closures or other parts that cannot be shown: its name,
/// and the fields that are listed.
macro_rules! opaque_debug {
    ($name:ident $(<$parameter:tt>)? $(, $field:ident)*) => {
        impl $(<$parameter>)? std::fmt::Debug for $name $(<$parameter>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), &self.$field))*
                    .finish_non_exhaustive()
            }
        }
    };
}

pub mod ack;
#[cfg(feature = "admin")]
pub mod admin;
pub mod claim;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod connect;
pub mod error;
pub mod event;
pub mod format;
#[doc(hidden)]
pub mod fuzz;
mod host;
pub mod name;
pub mod network;
pub mod node;
pub mod payload;
pub mod pipeline;
pub mod script;
pub mod secret;
pub mod sink;
pub mod source;
pub mod store;
pub mod time;
pub mod window;

/// The targets of links between documents. A document defines them as files, for readers on a code host;
/// the definition that comes first counts, so for rustdoc it is this one.
macro_rules! document_links {
    () => {
        concat!(
            "[changelog]: crate::doc::changelog\n",
            "[contributing]: crate::doc::contributing\n",
            "[design]: crate::doc\n",
            "[glossary]: crate::doc::glossary\n",
            "[getting_started]: crate::doc::guide::getting_started\n",
            "[windows]: crate::doc::guide::windows\n",
            "[time]: crate::doc::guide::time\n",
            "[delivery]: crate::doc::guide::delivery\n",
            "[links]: crate::doc::guide::links\n",
            "[connectors]: crate::doc::guide::connectors\n",
            "[formats]: crate::doc::guide::formats\n",
            "[lua_nodes]: crate::doc::guide::lua_nodes\n",
            "[functions]: crate::doc::guide::functions\n",
            "[testing]: crate::doc::guide::testing\n",
            "[command_line]: crate::doc::guide::command_line\n",
            "[processes]: crate::doc::guide::processes\n",
            "[embedding]: crate::doc::guide::embedding\n",
            "[changing]: crate::doc::guide::changing\n",
            "[nodes]: crate::doc::guide::nodes\n",
            "[limits]: crate::doc::guide::limits\n",
            "[operations]: crate::doc::guide::operations\n",
        )
    };
}

/// The documents of the project: design, guide, glossary, changelog.
pub mod doc {
    #![doc = include_str!("doc/design.md")]

    #[doc = document_links!()]
    #[doc = include_str!("doc/changelog.md")]
    pub mod changelog {}

    #[doc = document_links!()]
    #[doc = include_str!("doc/contributing.md")]
    pub mod contributing {}

    #[doc = document_links!()]
    #[doc = include_str!("doc/glossary.md")]
    pub mod glossary {}

    #[doc = document_links!()]
    #[doc = include_str!("doc/guide/index.md")]
    pub mod guide {
        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/getting_started.md")]
        pub mod getting_started {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/windows.md")]
        pub mod windows {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/time.md")]
        pub mod time {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/delivery.md")]
        pub mod delivery {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/links.md")]
        pub mod links {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/connectors.md")]
        pub mod connectors {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/formats.md")]
        pub mod formats {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/lua_nodes.md")]
        pub mod lua_nodes {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/functions.md")]
        pub mod functions {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/testing.md")]
        pub mod testing {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/command_line.md")]
        pub mod command_line {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/processes.md")]
        pub mod processes {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/embedding.md")]
        pub mod embedding {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/changing.md")]
        pub mod changing {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/nodes.md")]
        pub mod nodes {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/limits.md")]
        pub mod limits {}

        #[doc = document_links!()]
        #[doc = include_str!("doc/guide/operations.md")]
        pub mod operations {}
    }
}

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;

pub use ack::{Outcome, Token};
pub use error::{Error, ErrorKind, Result};
pub use event::{Batch, Event, Meta};
pub use name::{Endpoint, Name, Port};
pub use network::{
    Capacity, Draft, DrawingFormat, LinkOptions, Network, NodeKind, OnError, Overflow, Replay,
    Simulation, Spill, Stats,
};
pub use node::{Context, Handover, Loss, Node, Outline, Pipeline, ReadStatus, Sink, Source};
pub use payload::Payload;
pub use script::Runtime;
pub use store::{Database, Table};
