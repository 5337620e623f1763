//! The real binary in a directory of its own: started, killed, told to stop, waited for.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// After this time a process that should have ended is killed, and the test fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A directory with the files of a run. What the process says goes to its file `said`.
pub struct Site {
    dir: TempDir,
    script: &'static str,
}

/// A process; one that is let go is killed.
pub struct Running {
    child: Child,
    said: PathBuf,
}

impl Site {
    /// A directory in which `net.lua` is this script.
    pub fn with(script: &'static str) -> Self {
        let dir = tempfile::tempdir().expect("there is a temporary directory");
        let site = Site { dir, script };
        site.write("net.lua", site.script);
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file can be written");
    }

    /// What a file holds; nothing where there is none.
    pub fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How long a file is.
    pub fn len(&self, name: &str) -> u64 {
        std::fs::metadata(self.path(name)).map_or(0, |meta| meta.len())
    }

    /// The call `tributary run net.lua` with these options.
    pub fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command
            .args(["run", "net.lua"])
            .args(options)
            .current_dir(self.dir.path())
            .env_remove("RUST_LOG")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    pub fn start(&self, options: &[&str]) -> Running {
        self.spawn(self.command(options))
    }

    /// Starts a call, whatever it is.
    pub fn spawn(&self, mut command: Command) -> Running {
        let said = self.path("said");
        let file = File::options().create(true).append(true).open(&said);
        command.stderr(file.expect("a file can be made"));
        let child = command.spawn().expect("the binary can be started");
        Running { child, said }
    }

    /// Runs it to its end and expects that it is a good one.
    #[track_caller]
    pub fn finish(&self, options: &[&str]) {
        self.start(options).expect(0);
    }
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it can be asked for")
    }

    /// Kills it as `kill -9` does, and says whether it still ran.
    pub fn kill(mut self) -> bool {
        if self.ended().is_some() {
            return false;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        true
    }

    /// Sends it a signal, as in `"TERM"`.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        let kill = format!("kill -{name} {}", self.child.id());
        Command::new("sh").args(["-c", &kill]).status().map(drop)
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                Instant::now() < until,
                "it did not end within {PATIENCE:?}; it said: {}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end and expects this exit code.
    #[track_caller]
    pub fn expect(mut self, code: i32) {
        let status = self.wait();
        assert_eq!(
            status.code(),
            Some(code),
            "{status}; it said: {}",
            self.said()
        );
    }

    /// The end of all that processes have said in this place.
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.said).unwrap_or_default();
        let from = text.len().saturating_sub(2_000);
        text.chars().skip(from).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
