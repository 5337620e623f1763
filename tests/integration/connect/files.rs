//! `file:`, which needs no server: it holds the suite to what a connector can do.

use super::{At, Connector, Promises, Refusal, conforms};
use tempfile::TempDir;
use tributary::connect::Options;
use tributary::{Error, Result};

struct Files(TempDir);

impl Files {
    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

impl Connector for Files {
    const PROMISES: Promises = Promises {
        order: true,
        redelivery: true,
        acks: true,
        groups: false,
        durable: true,
    };

    fn start() -> Result<Self> {
        let place = tempfile::tempdir();
        place
            .map(Files)
            .map_err(|error| Error::io("a directory", &error))
    }

    fn stop(&mut self) -> Result<()> {
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        Ok(())
    }

    fn prepare(&mut self, name: &str) -> Result<()> {
        std::fs::write(self.path(name), "").map_err(|error| Error::io("a file", &error))
    }

    fn source(&self, name: &str) -> At {
        let options = Options::new()
            .with("follow", true)
            .with("checkpoint", self.path(&format!("{name}.place")));
        (format!("file:{}", self.path(name)), options)
    }

    fn sink(&self, name: &str) -> At {
        (format!("file:{}", self.path(name)), Options::new())
    }

    fn missing(&self) -> Option<(At, &'static str)> {
        let nothing = "no such file or directory";
        Some((
            (format!("file:{}", self.path("nothing")), Options::new()),
            nothing,
        ))
    }

    fn picky_sink(&self, name: &str) -> At {
        self.sink(name)
    }

    /// What it writes to takes any line: see the table of `conformance`.
    fn refuse(&mut self, _name: &str, _: Refusal) -> Result<Option<usize>> {
        Ok(None)
    }

    fn relent(&mut self, _name: &str) -> Result<()> {
        Ok(())
    }
}

conforms!(Files, "takes seconds");
