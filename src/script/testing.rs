//! Tests of networks, written in Lua: `tb.test(name, function(t) ... end)`.
//!
//! A test loads scripts into a network of its own, in virtual time ([`bench`], whose methods are in [`methods`]): sources that would
//! read and sinks that would write are stood in for, and what passes at every port is recorded.
//! What differs from what was expected is shown line by line ([`diff`]). Two runs of a test are
//! equal.

mod bench;
mod diff;
mod methods;

use super::args::Args;
use super::build_context::BuildContext;
use super::limits::ScriptLimits;
use super::runtime::Runtime;
use crate::error::{Error, Result, quote};
use crate::network::Network;
use crate::sink::Recorder;
use crate::store::Database;
use bench::Bench;
use mlua::Function;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// How long one test may take.
const TEST_TIME: Duration = Duration::from_secs(60);

/// What makes the functions that a host adds to scripts.
type Prepare = Rc<dyn Fn(&Runtime) -> Result<()>>;

/// The tests of one file.
///
/// ```
/// use tributary::script::{ScriptLimits, Tests};
///
/// let directory = std::env::temp_dir().join("tributary-doc-tests");
/// std::fs::create_dir_all(&directory).unwrap();
/// std::fs::write(directory.join("net.lua"), r#"
///     local tb = require("tributary")
///     tb.create_map("double", function(e) return { n = e.data.n * 2 } end)
///     tb.chain("numbers", "double", "results")
/// "#).unwrap();
/// std::fs::write(directory.join("net_test.lua"), r#"
///     require("tributary").test("it doubles", function(t)
///         t:load("net.lua")
///         t:inject("numbers", { n = 4 })
///         t:expect("results", { { n = 8 } })
///     end)
/// "#).unwrap();
/// let tests = Tests::load(directory.join("net_test.lua"), ScriptLimits::default(), |_| Ok(()))?;
/// assert_eq!(tests.names(), ["it doubles"]);
/// tests.run("it doubles")?;
/// # Ok::<(), tributary::Error>(())
/// ```
pub struct Tests {
    runtime: Runtime,
    directory: PathBuf,
    limits: ScriptLimits,
    prepare: Prepare,
    found: Rc<RefCell<Vec<(String, Function)>>>,
    recorder: Recorder,
}

opaque_debug!(Tests, directory);

impl Tests {
    /// Loads a file of tests. `prepare` adds the functions of a host to each runtime, before a
    /// script is loaded.
    ///
    /// # Errors
    /// Whatever is wrong with the file; two tests of one name.
    pub fn load(
        path: impl AsRef<Path>,
        limits: ScriptLimits,
        prepare: impl Fn(&Runtime) -> Result<()> + 'static,
    ) -> Result<Self> {
        let path = path.as_ref();
        let database = Database::open("sqlite::memory:")?;
        let runtime = Runtime::with_limits(&Network::new(), &database, limits)?;
        prepare(&runtime)?;
        let found: Rc<RefCell<Vec<(String, Function)>>> = Rc::default();
        let tests = found.clone();
        let test = move |_: &BuildContext, args: &Args| {
            args.at_most(2)?;
            let (name, function) = (args.string(1)?, args.function(2)?);
            let mut tests = tests.borrow_mut();
            if tests.iter().any(|(known, _)| *known == name) {
                return Err(Error::data(format!("a second test {}", quote(name))));
            }
            tests.push((name, function));
            Ok(true.into())
        };
        runtime.add("test", Rc::new(test))?;
        runtime.run(path)?;
        Ok(Tests {
            runtime,
            directory: path.parent().map(Path::to_owned).unwrap_or_default(),
            limits,
            prepare: Rc::new(prepare),
            found,
            recorder: Recorder::new(),
        })
    }

    /// The names of the tests, in the order in which they stand in the file.
    pub fn names(&self) -> Vec<String> {
        let found = self.found.borrow();
        found.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The sinks that would have left the process, and how many events each got in the tests so far.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Runs one test.
    ///
    /// # Errors
    /// An expectation that failed, with its line and what differs; any other error of the test.
    pub fn run(&self, name: &str) -> Result<()> {
        let found = self.found.borrow();
        let test = found.iter().find(|(known, _)| known == name);
        let Some((_, function)) = test else {
            return Err(Error::data(format!("no test {}", quote(name))));
        };
        let (directory, prepare) = (self.directory.clone(), self.prepare.clone());
        let bench = Bench::new(directory, self.limits, prepare, &self.recorder)?;
        self.runtime.call("test", TEST_TIME, |lua| {
            let t = methods::table(lua, &Rc::new(RefCell::new(bench)))?;
            function.call::<()>(t)
        })
    }
}
