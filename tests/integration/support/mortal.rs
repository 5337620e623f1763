//! A MariaDB server of a test's own, which it ends and starts again as it likes.

use crate::support::mariadb::{Server, free_port, grant, wait_for};
use mysql::Conn;
use std::process::{Child, Command, Stdio};

/// The server; it ends with the test.
pub struct Mortal {
    dir: tempfile::TempDir,
    server: Server,
    process: Option<Child>,
}

impl Mortal {
    pub fn start() -> Mortal {
        let mut mortal = Mortal {
            dir: tempfile::tempdir().expect("a temporary directory"),
            server: Server { port: free_port() },
            process: None,
        };
        let data = mortal.dir.path().join("data");
        let installed = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--user=root", "--skip-test-db"])
            .arg("--auth-root-authentication-method=normal")
            .arg(format!("--datadir={}", data.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(installed.expect("MariaDB is installed").success());
        std::fs::write(mortal.dir.path().join("init.sql"), grant()).expect("it can be written to");
        mortal.revive();
        mortal
    }

    /// The URL of a new, empty database.
    pub fn database(&self) -> String {
        self.server.database()
    }

    pub fn connect(&self, database: Option<&str>) -> mysql::Result<Conn> {
        self.server.connect(database)
    }

    /// Ends the server as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Suspends the server, or lets it go on.
    pub fn suspend(&self, yes: bool) {
        let process = self.process.as_ref().expect("it runs");
        let name = if yes { "STOP" } else { "CONT" };
        crate::support::binary::signal(process, name).expect("it can be signalled");
    }

    /// Starts it again, on the same port, and waits until it answers.
    pub fn revive(&mut self) {
        let path = self.dir.path().display();
        let log = std::fs::File::create(self.dir.path().join("log")).expect("a log");
        let process = Command::new("mariadbd")
            .args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1"])
            .args([
                "--skip-name-resolve",
                "--skip-log-bin",
                "--innodb-buffer-pool-size=64M",
            ])
            .arg(format!("--port={}", self.server.port))
            .arg(format!("--datadir={path}/data"))
            .arg(format!("--socket={path}/socket"))
            .arg(format!("--pid-file={path}/pid"))
            .arg(format!("--init-file={path}/init.sql"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.expect("MariaDB is installed"));
        wait_for(&self.server, &path.to_string());
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.kill();
    }
}
