//! The driver of the binary: a directory for its files, its process, and what it left when it ended.

use super::text::difference;
use rustix::process::{Pid, kill_process};
use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;

type Tested<T> = Result<T, Box<dyn Error>>;

/// After this time a process that should have ended is killed, and the test fails; the same for what a
/// test waits for.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How often it is checked whether what a test waits for is there.
const POLL: Duration = Duration::from_millis(2);

/// A directory with the files that a call works on.
pub struct Site(tempfile::TempDir);

impl Site {
    pub fn new() -> io::Result<Self> {
        tempfile::tempdir().map(Site)
    }

    /// A directory with these files, by name and text.
    pub fn with(files: &[(&str, &str)]) -> io::Result<Self> {
        let site = Site::new()?;
        for (name, text) in files {
            site.write(name, text)?;
        }
        Ok(site)
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> io::Result<String> {
        std::fs::read_to_string(self.path(name))
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> io::Result<()> {
        std::fs::write(self.path(name), text)
    }

    /// A call of the binary that was not made yet, all three streams piped.
    pub fn command(&self, args: &[&str]) -> Command {
        command_in(self.root(), args)
    }

    /// The same by another program, to which the binary and its arguments are appended.
    pub fn command_by<S: AsRef<OsStr>>(&self, program: &[S], args: &[&str]) -> Command {
        let mut command = Command::new(&program[0]);
        command
            .args(&program[1..])
            .arg(env!("CARGO_BIN_EXE_tributary"))
            .args(args);
        piped(self.root(), command)
    }

    /// The same after these commands of a shell, as in `"ulimit -v 3000000"`.
    pub fn command_after(&self, shell: &str, args: &[&str]) -> Command {
        let script = format!("{shell}; exec \"$0\" \"$@\"");
        self.command_by(&["sh", "-c", &script], args)
    }

    /// Starts the binary.
    pub fn start(&self, args: &[&str]) -> io::Result<Running> {
        Running::of(self.command(args))
    }

    /// Calls the binary without input and waits for it to end.
    pub fn call(&self, args: &[&str]) -> Tested<Done> {
        self.feed(args, "")
    }

    /// Calls the binary with this input and waits for it to end.
    pub fn feed(&self, args: &[&str], input: &str) -> Tested<Done> {
        Done::fed(self.command(args), input)
    }

    /// Calls it until it ends by itself with 0, and kills it at most so often, each time some 20 to 200 ms after
    /// its start; returns how often it was.
    pub fn killed_again_and_again(&self, args: &[&str], most: usize, seed: u32) -> Tested<usize> {
        let (mut random, mut kills) = (u64::from(seed), 0);
        loop {
            let running = self.start(args)?;
            if kills < most {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                // The moment of the kill is what is tried.
                std::thread::sleep(Duration::from_millis(20 + (random >> 33) % 180));
                running.signal(Signal::KILL)?;
            }
            let done = running.wait()?;
            match done.code {
                None => kills += 1,
                Some(0) => return Ok(kills),
                Some(code) => {
                    return Err(format!("exit code {code}, seed {seed}: {}", done.stderr).into());
                }
            }
        }
    }
}

/// A call of the binary in a directory that was not made yet, all three streams piped.
pub fn command_in(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.args(args);
    piped(directory, command)
}

fn piped(directory: &Path, mut command: Command) -> Command {
    command
        .current_dir(directory)
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A process that runs; it is killed when the value is dropped. Its standard error is read from the start,
/// so that it never waits for a reader of its log.
pub struct Running {
    child: Child,
    pub stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    log: Option<Log>,
}

/// A stream that is read by a thread.
struct Log {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Log {
    fn of(mut stream: impl Read + Send + 'static) -> Log {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let read = bytes.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 8_192];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                let mut bytes = read.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.extend_from_slice(&buffer[..count]);
            }
        });
        Log { bytes, reader }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// All of it, once the stream has ended.
    fn end(self) -> String {
        let Log { bytes, reader } = self;
        // What came until the pipe broke is what there is.
        let _ = reader.join();
        let bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl From<Child> for Running {
    fn from(mut child: Child) -> Self {
        Running {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            log: child.stderr.take().map(Log::of),
            child,
        }
    }
}

impl Running {
    pub fn of(mut command: Command) -> io::Result<Self> {
        command.spawn().map(Running::from)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The status of a process that has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of this process")
    }

    /// A size of its memory in bytes, by its name in `/proc/…/status`, as in `VmHWM`; 0 once it has ended.
    pub fn memory(&self, name: &str) -> usize {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
        kib.unwrap_or(0) << 10
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        self.log.as_ref().map(Log::text).unwrap_or_default()
    }

    /// Its standard output, which is not part of [`Done`] then.
    pub fn stdout(&mut self) -> Tested<BufReader<ChildStdout>> {
        Ok(self.stdout.take().ok_or("standard output is not piped")?)
    }

    /// Writes to its standard input.
    pub fn send(&mut self, text: &str) -> Tested<()> {
        let stdin = self.stdin.as_mut().ok_or("standard input is closed")?;
        Ok(stdin.write_all(text.as_bytes())?)
    }

    /// Writes a line to its standard input; gives the next line of its standard output.
    pub fn ask(&mut self, line: &str) -> Tested<String> {
        self.send(&format!("{line}\n"))?;
        let stdout = self.stdout.as_mut().ok_or("standard output is not piped")?;
        let mut answer = String::new();
        if stdout.read_line(&mut answer)? == 0 {
            return Err(format!("the process has ended: {}", self.log()).into());
        }
        Ok(answer.trim_end_matches('\n').to_owned())
    }

    /// Waits for this while it runs.
    pub fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) -> Tested<()> {
        self.until_with(what, |_| condition())
    }

    /// Waits until its log has this text.
    pub fn until_log(&mut self, text: &str) -> Tested<()> {
        self.until_with(text, |running| running.log().contains(text))
    }

    fn until_with(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) -> Tested<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.status();
            if condition(self) {
                return Ok(());
            }
            if let Some(status) = status {
                return Err(format!("{what}: it has ended: {status}: {}", self.log()).into());
            }
            if Instant::now() > deadline {
                return Err(format!("{what}: not within {LIMIT:?}: {}", self.log()).into());
            }
            std::thread::sleep(POLL);
        }
    }

    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Asks it to stop by SIGTERM, and waits for its end.
    pub fn stop(self) -> Tested<Done> {
        self.signal(Signal::TERM)?;
        self.wait()
    }

    /// Kills it as `kill -9` does.
    pub fn kill(mut self) -> Tested<Done> {
        self.child.kill()?;
        self.wait()
    }

    /// Waits for its end within [`LIMIT`].
    pub fn wait(self) -> Tested<Done> {
        self.wait_within(LIMIT)
    }

    /// Waits for its end; after this time it is killed, and that is an error.
    pub fn wait_within(mut self, limit: Duration) -> Tested<Done> {
        let stdout = self.stdout.take().map(Log::of);
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.status() {
                break status;
            }
            if Instant::now() > deadline {
                return Err(format!("it did not end within {limit:?}: {}", self.log()).into());
            }
            std::thread::sleep(POLL);
        };
        Ok(Done {
            code: status.code(),
            stdout: stdout.map(Log::end).unwrap_or_default(),
            stderr: self.log.take().map(Log::end).unwrap_or_default(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process that has ended left.
pub struct Done {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// Makes a call with this input and waits for it to end.
    pub fn fed(command: Command, input: &str) -> Tested<Done> {
        let mut running = Running::of(command)?;
        let mut stdin = running.stdin.take().ok_or("no standard input")?;
        let input = input.to_owned();
        // A process that doesn't read to the end closes the pipe.
        std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        running.wait()
    }

    /// Makes a call whose input, if any, is part of the command, and waits for it to end.
    pub fn of(command: Command) -> Tested<Done> {
        Running::of(command)?.wait()
    }

    /// Asserts exit code, standard output and standard error; `…` stands for anything within a
    /// line.
    #[track_caller]
    pub fn expect(&self, code: i32, stdout: &str, stderr: &str) {
        let mut wrong = String::new();
        if self.code != Some(code) {
            wrong += &format!("exit code {code} wanted, got {:?}\n", self.code);
        }
        for (name, wanted, got) in [
            ("standard output", stdout, &self.stdout),
            ("standard error", stderr, &self.stderr),
        ] {
            if let Some(parts) = difference(wanted, got) {
                wrong += &format!("{name}:\n{parts}");
            }
        }
        if !wrong.is_empty() {
            wrong += &format!(
                "all of standard output:\n{}all of standard error:\n{}",
                cut(&self.stdout),
                cut(&self.stderr)
            );
        }
        assert!(wrong.is_empty(), "\n{wrong}");
    }
}

fn cut(text: &str) -> String {
    text.chars().take(2_000).collect()
}

/// A line of `tributary functions`: `name(arguments)`, and what the function does.
#[derive(Debug, PartialEq)]
pub struct Function {
    pub name: String,
    pub arguments: String,
    pub about: String,
}

/// The functions that `tributary functions` lists, with these options.
pub fn functions(options: &[&str]) -> Result<Vec<Function>, Box<dyn Error>> {
    let listed = Site::new()?.call(&[&["functions"], options].concat())?;
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    let lines: Vec<&str> = listed.stdout.lines().collect();
    let function = |lines: &[&str]| {
        let (name, arguments) = lines[0].split_once('(').ok_or("no arguments")?;
        Ok(Function {
            name: name.to_owned(),
            arguments: arguments.strip_suffix(')').ok_or("no end")?.to_owned(),
            about: lines[1].trim().to_owned(),
        })
    };
    lines.chunks(2).map(function).collect()
}
