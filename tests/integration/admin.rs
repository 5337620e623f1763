//! A running network that shows itself: API, metrics, page, taps, and the verbs that ask.

mod api;
mod hostile;
mod page;
mod reload;
mod unit;
mod verbs;

use crate::support::binary::Site;
use crate::support::process::free_port;
use serde_json::Value;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

type Tested<T = ()> = Result<T, Box<dyn Error>>;

/// A network with a fast source, a slow node and a node that rejects.
const NETWORK: &str = r#"
local tb = require("tributary")
tb.create_table("bets", { key = "id", columns = { id = "integer", stake = "real", at = "integer" } })
tb.create_generator("numbers", function(emit, n)
    for i = 1, 10 do emit({ id = n * 10 + i, stake = i, at = n }) end
    return true
end, { every = "10ms" })
tb.create_map("double", function(e)
    e.data.double = 2 * e.data.stake
    return e
end)
tb.create_map("picky", function(e)
    if e.data.stake > 9 then error("too much") end
    return e
end)
tb.window("totals", "over", {
    table = "bets", time = "at", size = "10s", clock = "event", emit = "changes",
    query = "select count(*) as n from bets",
})
tb.create_discarder("nowhere")
tb.create_discarder("refused")
tb.link("numbers", "double")
tb.link("double", "picky")
tb.link("double", "totals")
tb.link("over", "nowhere")
tb.link("picky", "nowhere")
tb.link("picky.errors", "refused")
"#;

/// A process that shows its network.
pub struct Shown {
    pub site: Site,
    pub port: u16,
    child: Child,
}

impl Shown {
    pub fn start(script: &str, more: &[&str]) -> Tested<Self> {
        Self::at(Site::with(&[("net.lua", script)])?, more)
    }

    /// Starts in a directory that has the script.
    pub fn at(site: Site, more: &[&str]) -> Tested<Self> {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let mut args = vec!["run", "net.lua", "--admin", &address];
        args.extend(more);
        let mut command = site.command(&args);
        command.env("TOKEN", "t0p-secret-token");
        command.stdout(std::process::Stdio::null());
        command.stderr(std::fs::File::create(site.path("log"))?);
        let mut child = command.spawn()?;
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if get(port, "/readyz").is_ok_and(|reply| reply.status == 200) {
                return Ok(Shown { site, port, child });
            }
            if let Some(status) = child.try_wait()? {
                return Err(format!("{status}: {}", site.read("log")?).into());
            }
            if Instant::now() > until {
                return Err("it is not ready".into());
            }
            // Until the next look.
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn json(&self, path: &str) -> Tested<Value> {
        let reply = get(self.port, path)?;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        Ok(serde_json::from_str(&reply.body)?)
    }

    /// Waits for the end of the process, and gives its exit code.
    pub fn ended(&mut self) -> Tested<Option<i32>> {
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            // Until the next look.
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("it does not end".into())
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// A request that is written as it is, and the whole answer.
pub fn ask(port: u16, request: &str) -> Tested<Reply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request.as_bytes())?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    Ok(Reply {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// A request with these headers, each with its line end.
pub fn request(port: u16, method: &str, path: &str, headers: &str) -> Tested<Reply> {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n{headers}\r\n"
    );
    ask(port, &request)
}

pub fn get(port: u16, path: &str) -> Tested<Reply> {
    request(port, "GET", path, "")
}

/// Waits until this is so.
pub fn eventually(mut so: impl FnMut() -> Tested<bool>) -> Tested<bool> {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        if so()? {
            return Ok(true);
        }
        // Until the next look.
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(false)
}
