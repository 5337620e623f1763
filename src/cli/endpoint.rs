//! `NODE=FILE`: a source or a sink that is asked for on the command line.

use crate::sink::LineSink;
use crate::source::{Follow, LineSource};
use std::fmt;

/// A node and the file behind it; `-` is standard input or output.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub node: String,
    file: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.node, self.file)
    }
}

impl Endpoint {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((node, file)) if !file.is_empty() => {
                crate::Name::new(node).map_err(|error| error.to_string())?;
                Ok(Endpoint {
                    node: node.to_owned(),
                    file: file.to_owned(),
                })
            }
            _ => Err("write NODE=FILE, as in bets=bets.jsonl, or NODE=-".to_owned()),
        }
    }

    /// The file as a person calls it.
    pub fn file(&self) -> &str {
        match self.file.as_str() {
            "-" => "standard input",
            path => path,
        }
    }

    /// How large the file is, where that can be known before it is read.
    pub fn size(&self) -> Option<u64> {
        let known = std::fs::metadata(&self.file).ok()?;
        (known.is_file() && !self.is_standard()).then_some(known.len())
    }

    /// Whether it is standard input or output.
    pub fn is_standard(&self) -> bool {
        self.file == "-"
    }

    pub fn source(&self) -> LineSource {
        match self.file.as_str() {
            "-" => LineSource::stdin(),
            path => LineSource::file(path, Follow::No),
        }
    }

    pub fn sink(&self) -> LineSink {
        match self.file.as_str() {
            "-" => LineSink::stdout(),
            path => LineSink::file(path, false),
        }
    }
}
