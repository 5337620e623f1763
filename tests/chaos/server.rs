//! A private MariaDB server that can be killed, stopped and started again: on a loopback port, in a
//! temporary directory, gone with its handle, and with the process.

use crate::limit::until;
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// Makes a server with an empty database `chaos`, and starts it.
    pub fn new() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it has an address").port();
        drop(listener);
        let dir = tempfile::tempdir().expect("there is a temporary directory");
        let user = "CREATE OR REPLACE USER 'chaos'@'%' IDENTIFIED BY 'chaos';\n\
             GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX, LOCK TABLES ON chaos.* TO 'chaos'@'%';\n\
             CREATE OR REPLACE USER 'admin'@'%' IDENTIFIED BY 'admin';\n\
             GRANT ALL ON *.* TO 'admin'@'%';\n\
             CREATE DATABASE IF NOT EXISTS chaos;\n";
        std::fs::write(dir.path().join("init.sql"), user).expect("it can be written to");
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--user=root", "--skip-test-db"])
            .arg("--auth-root-authentication-method=normal")
            .arg(format!("--datadir={}", dir.path().join("data").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "no mariadb-install-db"
        );
        let mut server = Server {
            dir,
            port,
            child: None,
        };
        server.start();
        server
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self) {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        // It ends when this thread does.
        let child = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "mariadbd",
                "--no-defaults",
                "--user=root",
            ])
            .arg(format!("--datadir={}", path("data")))
            .arg(format!("--port={}", self.port))
            .arg(format!("--socket={}", path("socket")))
            .arg(format!("--pid-file={}", path("pid")))
            .arg(format!("--init-file={}", path("init.sql")))
            .args([
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--skip-log-bin",
            ])
            // What is committed is there after a kill; a lock is waited for a second.
            .args([
                "--innodb-flush-log-at-trx-commit=1",
                "--innodb-buffer-pool-size=64M",
            ])
            .args(["--innodb-lock-wait-timeout=1", "--lock-wait-timeout=1"])
            .args(["--max-connections=12"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("setpriv is installed");
        self.child = Some(child);
        until(PATIENCE, "the server answers", || self.connect().is_ok());
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Freezes it, or lets it go on, by a signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().map_or(0, Child::id);
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "no signal {name}"
        );
    }

    /// As the program under test sees it.
    pub fn url(&self) -> String {
        format!("mysql://chaos:chaos@127.0.0.1:{}/chaos", self.port)
    }

    /// A connection past the program; one is kept free for whoever may do everything.
    pub fn connect(&self) -> mysql::Result<Conn> {
        self.connect_as("admin")
    }

    /// The same as one of the users that are there: the password is the name.
    pub fn connect_as(&self, user: &str) -> mysql::Result<Conn> {
        let options = OptsBuilder::new()
            .user(Some(user))
            .pass(Some(user))
            .ip_or_hostname(Some("127.0.0.1"))
            .tcp_port(self.port)
            .tcp_connect_timeout(Some(Duration::from_secs(2)))
            .read_timeout(Some(Duration::from_secs(10)))
            .db_name(Some("chaos"))
            .prefer_socket(false);
        Conn::new(options)
    }

    /// How many rows a table has; 0 while that is not known.
    pub fn count(&self, table: &str) -> u64 {
        let asked = self
            .connect()
            .and_then(|mut c| c.query_first::<u64, _>(format!("SELECT count(*) FROM {table}")));
        asked.ok().flatten().unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
