//! A private MariaDB server: on a free loopback port, in a temporary directory, started once for
//! the process and gone with it, whatever way that ends.

use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A user that may do everything; its password has all that a URL must encode.
const USER: &str = "tributary";
const PASSWORD: &str = "p@ss:/#%";
const ENCODED: &str = "p%40ss%3A%2F%23%25";

pub struct Server {
    pub port: u16,
}

/// The server, started by whoever asks first.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

impl Server {
    /// The URL of a new, empty database.
    pub fn database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let mut connection = self.connect(None).expect("the server answers");
        connection
            .query_drop(format!("CREATE DATABASE {name}"))
            .expect("a database can be made");
        format!("mysql://{USER}:{ENCODED}@127.0.0.1:{}/{name}", self.port)
    }

    /// A connection of our own to a database, past the library.
    pub fn connect(&self, database: Option<&str>) -> mysql::Result<Conn> {
        Conn::new(
            OptsBuilder::new()
                .user(Some(USER))
                .pass(Some(PASSWORD))
                .ip_or_hostname(Some("127.0.0.1"))
                .tcp_port(self.port)
                .db_name(database)
                .prefer_socket(false),
        )
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it has an address").port()
}

/// What a server does when it starts.
pub fn grant() -> String {
    format!(
        "CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL ON *.* TO '{USER}'@'%';\n"
    )
}

pub fn wait_for(server: &Server, path: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.connect(None).is_err() {
        assert!(
            Instant::now() < deadline,
            "the server has not started: see {path}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start() -> Server {
    let port = free_port();
    let dir = tempfile::tempdir().expect("there is a temporary directory");
    // The shell below removes it.
    let dir = dir.keep();
    let path = dir.display();
    let init = dir.join("init.sql");
    std::fs::write(&init, grant()).expect("it can be written to");
    // When the thread that has started it ends, the shell is told, ends the server and removes
    // the directory. That thread never ends before the process does.
    let script = format!(
        "trap 'kill -9 $server 2>/dev/null; rm -rf {path}; exit' TERM INT\n\
         mariadb-install-db --no-defaults --user=root --datadir={path}/data \
           --skip-test-db --auth-root-authentication-method=normal >{path}/install.log 2>&1 &\n\
         server=$!\n\
         wait $server\n\
         mariadbd --no-defaults --user=root --datadir={path}/data --port={port} \
           --bind-address=127.0.0.1 --socket={path}/socket --pid-file={path}/pid \
           --init-file={path}/init.sql --skip-name-resolve --skip-log-bin \
           --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=64M \
           --innodb-lock-wait-timeout=1 >{path}/server.log 2>&1 &\n\
         server=$!\n\
         wait $server"
    );
    std::thread::spawn(move || {
        let mut shell = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "sh", "-c", &script])
            .stdin(Stdio::null())
            .spawn()
            .expect("setpriv is installed");
        let _ = shell.wait();
        loop {
            std::thread::park();
        }
    });
    let server = Server { port };
    wait_for(&server, &format!("{path}/server.log"));
    server
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn the_private_server_answers() {
    let mut connection = server().connect(None).unwrap();
    let version: Option<String> = connection.query_first("SELECT version()").unwrap();
    assert!(version.unwrap().contains("MariaDB"));
}
