//! Drives the real binary in a directory of its own, and holds it to what it should have said.

use crate::support::text::difference;
use std::error::Error;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After this time a process that should have ended is killed, and the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

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
            std::fs::write(site.path(name), text)?;
        }
        Ok(site)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> io::Result<String> {
        std::fs::read_to_string(self.path(name))
    }

    /// A call of the binary that was not made yet, all three streams piped.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command
            .args(args)
            .current_dir(self.0.path())
            .env_remove("RUST_LOG");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Calls the binary with nothing to read and waits for it to end.
    pub fn call(&self, args: &[&str]) -> Result<Done, Box<dyn Error>> {
        self.feed(args, "")
    }

    /// Calls the binary with this to read and waits for it to end.
    pub fn feed(&self, args: &[&str], input: &str) -> Result<Done, Box<dyn Error>> {
        Done::fed(self.command(args), input)
    }
}

/// What a process that has ended left.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// Makes a call with this to read and waits for it to end.
    pub fn fed(mut command: Command, input: &str) -> Result<Done, Box<dyn Error>> {
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().ok_or("no standard input")?;
        let input = input.to_owned();
        // A process that doesn't read to the end closes the pipe.
        std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        Done::of(child)
    }

    /// Waits for a process to end.
    pub fn of(mut child: Child) -> Result<Done, Box<dyn Error>> {
        let stdout = child.stdout.take().map(drain);
        let stderr = child.stderr.take().map(drain);
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() > until {
                child.kill()?;
                let status = child.wait()?;
                let said = stderr.map(join).unwrap_or_default();
                return Err(format!("did not end within {PATIENCE:?} ({status}): {said}").into());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Ok(Done {
            code: status.code(),
            stdout: stdout.map(join).unwrap_or_default(),
            stderr: stderr.map(join).unwrap_or_default(),
        })
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

fn drain(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came until the pipe broke is what there is.
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn join(reader: JoinHandle<String>) -> String {
    reader.join().unwrap_or_default()
}

/// Sends a signal (`"TERM"`) to a process.
pub fn signal(child: &Child, name: &str) -> io::Result<()> {
    let kill = format!("kill -{name} {}", child.id());
    Command::new("sh").args(["-c", &kill]).status().map(drop)
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
