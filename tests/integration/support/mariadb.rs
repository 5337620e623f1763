//! Private MariaDB servers: on a free port of the loopback, in a temporary directory, ended with their
//! value. [`server`] is one for all tests of a process; a test that ends its server starts its own.

use super::process::{Process, free_port};
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use rustix::process::Signal;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A user with all rights; the password has all that a URL must encode.
const USER: &str = "tributary";
const PASSWORD: &str = "p@ss:/#%";
const ENCODED: &str = "p%40ss%3A%2F%23%25";

/// How long a server may take until it answers.
const STARTUP: Duration = Duration::from_secs(60);

pub struct Server {
    pub port: u16,
    options: Vec<&'static str>,
    // Before its directory: it is ended first.
    process: Option<Process>,
    dir: TempDir,
    /// Whether its directory is left to the guard of the process: a static is never dropped.
    is_shared: bool,
}

/// The server of all tests of this process, started when the first of them needs it. What is committed
/// need not survive a crash of it.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let options = [
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-lock-wait-timeout=1",
    ];
    SERVER.get_or_init(|| Server::install("", &options, true))
}

impl Server {
    /// Starts a server of one's own.
    pub fn start() -> Server {
        Server::with("", &[])
    }

    /// The same with more statements that it runs at each start, and more options.
    pub fn with(statements: &str, options: &[&'static str]) -> Server {
        Server::install(statements, options, false)
    }

    fn install(statements: &str, options: &[&'static str], is_shared: bool) -> Server {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = File::create(dir.path().join("install.log")).expect("a file");
        let installed = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--user=root", "--skip-test-db"])
            .arg("--auth-root-authentication-method=normal")
            .arg(format!("--datadir={}", dir.path().join("data").display()))
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log)
            .status();
        assert!(
            installed.is_ok_and(|status| status.success()),
            "mariadb-install-db failed: install mariadb-server"
        );
        let users = format!(
            "CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL ON *.* TO '{USER}'@'%';\n{statements}"
        );
        std::fs::write(dir.path().join("init.sql"), users).expect("a file");
        let mut server = Server {
            port: free_port(),
            options: options.to_vec(),
            process: None,
            dir,
            is_shared,
        };
        server.restart();
        server
    }

    /// Starts it again on the same port after [`kill`](Self::kill), and waits until it answers.
    pub fn restart(&mut self) {
        let path = |name: &str| self.dir.path().join(name);
        let log = File::options().create(true).append(true).open(path("log"));
        let log = log.expect("a file");
        let mut command = Command::new("mariadbd");
        command
            .args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1"])
            .args(["--skip-name-resolve", "--skip-log-bin"])
            .arg("--innodb-buffer-pool-size=64M")
            .args(&self.options)
            .arg(format!("--port={}", self.port))
            .arg(format!("--datadir={}", path("data").display()))
            .arg(format!("--socket={}", path("socket").display()))
            .arg(format!("--pid-file={}", path("pid").display()))
            .arg(format!("--init-file={}", path("init.sql").display()))
            .stdout(Stdio::null())
            .stderr(log);
        let directory: &[&Path] = if self.is_shared {
            &[self.dir.path()]
        } else {
            &[]
        };
        self.process = Some(Process::start_with(&mut command, self.port, directory));
        let deadline = Instant::now() + STARTUP;
        while self.connect(None).is_err() {
            assert!(
                Instant::now() < deadline,
                "mariadbd does not answer: {}",
                std::fs::read_to_string(path("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the server as `kill -9` does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Suspends the server, so that it accepts connections and does not answer.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends the suspension.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("a server that runs");
        process.signal(signal);
    }

    /// The URL of a new, empty database.
    pub fn database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let mut connection = self.connect(None).expect("the server answers");
        connection
            .query_drop(format!("CREATE DATABASE {name}"))
            .expect("a new database");
        format!("mysql://{USER}:{ENCODED}@127.0.0.1:{}/{name}", self.port)
    }

    /// A connection to a database without the library.
    pub fn connect(&self, database: Option<&str>) -> mysql::Result<Conn> {
        self.connect_as(USER, PASSWORD, database)
    }

    /// The same as another user.
    pub fn connect_as(
        &self,
        user: &str,
        password: &str,
        database: Option<&str>,
    ) -> mysql::Result<Conn> {
        Conn::new(
            OptsBuilder::new()
                .user(Some(user))
                .pass(Some(password))
                .ip_or_hostname(Some("127.0.0.1"))
                .tcp_port(self.port)
                .tcp_connect_timeout(Some(Duration::from_secs(2)))
                .read_timeout(Some(Duration::from_secs(30)))
                .db_name(database)
                .prefer_socket(false),
        )
    }
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn the_private_server_answers() {
    let mut connection = server().connect(None).unwrap();
    let version: Option<String> = connection.query_first("SELECT version()").unwrap();
    assert!(version.unwrap().contains("MariaDB"));
}
