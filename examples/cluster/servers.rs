//! The servers that the processes share: NATS and MariaDB. They end when the value is dropped, or with this process.

use super::{Done, until};
use mysql::prelude::Queryable;
use mysql::{Conn, Opts};
use serde_json::Value;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cluster/servers.sh");

/// The servers of the script beside this file.
pub struct Servers {
    script: Child,
    nats: u16,
    mariadb: u16,
}

impl Servers {
    /// Starts both servers and waits until they respond.
    pub fn start() -> Done<Servers> {
        // Both ports are bound before one is released, so that they differ.
        let ports = [
            TcpListener::bind("127.0.0.1:0")?,
            TcpListener::bind("127.0.0.1:0")?,
        ];
        let [nats, mariadb] = [ports[0].local_addr()?.port(), ports[1].local_addr()?.port()];
        drop(ports);
        let mut command = Command::new("sh");
        command
            .arg(SCRIPT)
            .args([nats.to_string(), mariadb.to_string()]);
        let script = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let mut servers = Servers {
            script,
            nats,
            mariadb,
        };
        until("the servers answer", || {
            if servers.script.try_wait()?.is_some() {
                return Err("there are no servers".into());
            }
            Ok(TcpStream::connect(("127.0.0.1", nats)).is_ok() && servers.database().is_ok())
        })?;
        Ok(servers)
    }

    /// The address of NATS.
    pub fn bus(&self) -> String {
        format!("127.0.0.1:{}", self.nats)
    }

    /// The URL of the database.
    pub fn store(&self) -> String {
        format!("mysql://cluster:cluster@127.0.0.1:{}/cluster", self.mariadb)
    }

    /// A request to JetStream.
    pub fn ask(&self, what: &str, request: &'static str) -> Done<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let answer = runtime.block_on(async {
            let client = async_nats::connect(self.bus()).await?;
            let answer = client.request(format!("$JS.API.{what}"), request.into());
            Done::Ok(answer.await?.payload)
        })?;
        let answer: Value = serde_json::from_slice(&answer)?;
        match answer.get("error") {
            Some(error) => Err(format!("{what}: {error}").into()),
            None => Ok(answer),
        }
    }

    /// A connection to the database.
    pub fn database(&self) -> Done<Conn> {
        Ok(Conn::new(Opts::from_url(&self.store())?)?)
    }

    /// How many bets are stored.
    pub fn stored(&self) -> Done<u64> {
        let count = self
            .database()?
            .query_first("SELECT count(*) FROM cluster_bets")?;
        Ok(count.unwrap_or(0))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}
