//! Private servers of NATS and MariaDB: on free ports of the loopback, in a given directory, ended with
//! their value, and by the kernel should this process be killed.

use super::{Done, until};
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process that ends with the value, also in a panic.
pub struct Guarded(pub Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `setpriv` has the kernel kill the server when the thread that started it is gone.
fn start(program: &str, args: &[String]) -> Done<Guarded> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]).args(args);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = command
        .spawn()
        .map_err(|error| format!("setpriv {program}: {error}"))?;
    Ok(Guarded(child))
}

fn free_port() -> Done<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A NATS server with JetStream.
pub struct Bus {
    port: u16,
    _process: Guarded,
}

impl Bus {
    pub fn start(directory: &Path) -> Done<Bus> {
        let port = free_port()?;
        let store = directory.join("nats").display().to_string();
        let args = [
            "--jetstream",
            "--addr",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--store_dir",
            &store,
        ];
        let mut process = start("nats-server", &args.map(str::to_owned))?;
        until("nats-server answers", || match process.0.try_wait()? {
            Some(status) => {
                Err(format!("nats-server: it ended ({status}); is it installed?").into())
            }
            None => Ok(TcpStream::connect(("127.0.0.1", port)).is_ok()),
        })?;
        Ok(Bus {
            port,
            _process: process,
        })
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Asks JetStream, in the protocol of NATS, which is lines of text.
    pub fn ask(&self, what: &str, request: &str) -> Done<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let size = request.len();
        write!(
            stream,
            "CONNECT {{\"verbose\":false}}\r\nSUB answer.{0} 1\r\nPUB $JS.API.{what} answer.{0} {size}\r\n{request}\r\n",
            std::process::id()
        )?;
        let mut lines = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 || line.starts_with("-ERR") {
                return Err(format!("nats-server: no answer to {what}: {line}").into());
            }
            if !line.starts_with("MSG ") {
                continue;
            }
            let size = line.split_whitespace().last().unwrap_or_default().parse()?;
            let mut answer = vec![0; size];
            lines.read_exact(&mut answer)?;
            let answer = String::from_utf8(answer)?;
            return match answer.contains("\"error\":") {
                true => Err(format!("nats-server: {what}: {answer}").into()),
                false => Ok(answer),
            };
        }
    }
}

/// A MariaDB server with an empty database.
pub struct Store {
    port: u16,
    _process: Guarded,
}

impl Store {
    pub fn start(directory: &Path) -> Done<Store> {
        let port = free_port()?;
        let path = |name: &str| directory.join(name).display().to_string();
        std::fs::write(
            path("init.sql"),
            "CREATE USER 'cluster'@'%' IDENTIFIED BY 'cluster';\n\
             CREATE DATABASE cluster;\nGRANT ALL ON cluster.* TO 'cluster'@'%';\n",
        )?;
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--user=root", "--skip-test-db"])
            .arg("--auth-root-authentication-method=normal")
            .arg(format!("--datadir={}", path("data")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let made = made.map_err(|error| format!("mariadb-install-db: {error}"))?;
        if !made.success() {
            return Err(format!("mariadb-install-db: {made}").into());
        }
        let args = [
            "--no-defaults".to_owned(),
            "--user=root".to_owned(),
            format!("--datadir={}", path("data")),
            format!("--port={port}"),
            format!("--socket={}", path("socket")),
            format!("--pid-file={}", path("pid")),
            format!("--init-file={}", path("init.sql")),
            "--bind-address=127.0.0.1".to_owned(),
            "--skip-name-resolve".to_owned(),
            "--skip-log-bin".to_owned(),
            "--innodb-buffer-pool-size=64M".to_owned(),
        ];
        let mut process = start("mariadbd", &args)?;
        until("mariadbd answers", || match process.0.try_wait()? {
            Some(status) => Err(format!("mariadbd: it ended ({status}); is it in PATH?").into()),
            None => Ok(connect(port).is_ok()),
        })?;
        Ok(Store {
            port,
            _process: process,
        })
    }

    pub fn url(&self) -> String {
        format!("mysql://cluster:cluster@127.0.0.1:{}/cluster", self.port)
    }

    pub fn connect(&self) -> mysql::Result<Conn> {
        connect(self.port)
    }

    /// How many rows a table has; 0 while it is not there.
    pub fn count(&self, table: &str) -> u64 {
        let asked = self
            .connect()
            .and_then(|mut conn| conn.query_first(format!("SELECT count(*) FROM {table}")));
        asked.ok().flatten().unwrap_or(0)
    }
}

fn connect(port: u16) -> mysql::Result<Conn> {
    let options = OptsBuilder::new()
        .user(Some("cluster"))
        .pass(Some("cluster"))
        .db_name(Some("cluster"))
        .ip_or_hostname(Some("127.0.0.1"))
        .tcp_port(port)
        .tcp_connect_timeout(Some(Duration::from_secs(2)))
        .read_timeout(Some(Duration::from_secs(10)))
        .prefer_socket(false);
    Conn::new(options)
}
