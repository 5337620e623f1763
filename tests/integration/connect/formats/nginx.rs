//! The access log of a real nginx under load, rotated in both ways: the rates are those that are counted in
//! all files.

use super::{Made, Result};
use crate::support::probe::{Seen, soon};
use crate::support::process::{Process, free_port};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use tributary::format::Format;
use tributary::source::{Follow, LineSource};
use tributary::{Error, Network};

const CLIENTS: usize = 4;
/// The requests of each client in each part.
const REQUESTS: usize = 250;

fn start(place: &Path, port: u16) -> Process {
    let config = format!(
        "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;
        events {{ worker_connections 64; }}
        http {{
            access_log {0}/access.log combined;
            client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
            uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
            server {{
                listen 127.0.0.1:{port};
                location /ok {{ return 200 \"ok\"; }}
                location /gone {{ return 404; }}
                location /broken {{ return 503; }}
            }}
        }}",
        place.display()
    );
    std::fs::write(place.join("nginx.conf"), config).expect("written");
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(place.join("nginx.conf"));
    command
        .arg("-p")
        .arg(place)
        .arg("-e")
        .arg(place.join("error.log"));
    Process::start(&mut command, port)
}

/// Requests of several clients at a time, some of which are no HTTP.
fn load(port: u16) {
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for n in 0..REQUESTS {
                    let path = ["/ok", "/ok?q=%22x%22", "/gone", "/broken"][(n + client) % 4];
                    let request = match n % 50 {
                        7 => "\x16\x03\x01\x02 no request\r\n\r\n".to_owned(),
                        _ => format!(
                            "GET {path} HTTP/1.1\r\nhost: h\r\nuser-agent: a \"{n}\" \\ π\r\nconnection: close\r\n\r\n"
                        ),
                    };
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
                    stream.write_all(request.as_bytes()).expect("written");
                    let _ = stream.read_to_end(&mut Vec::new());
                }
            });
        }
    });
}

/// How many requests had each status.
type Rates = BTreeMap<i64, usize>;

/// What is counted in all files: the ninth word of a line, unless its request has blanks of its own.
fn counted(place: &Path) -> std::io::Result<Rates> {
    let mut rates = Rates::new();
    for entry in std::fs::read_dir(place)? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("access.log"))
        {
            for line in std::fs::read_to_string(path)?.lines() {
                let status = line.split("\" ").nth(1).and_then(|rest| rest.get(..3));
                let status = status.and_then(|status| status.parse().ok());
                *rates.entry(status.expect("a status")).or_default() += 1;
            }
        }
    }
    Ok(rates)
}

#[test]
#[ignore = "needs nginx"]
fn the_rates_of_a_real_log_are_those_of_all_its_files() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path();
    let port = free_port();
    let log = place.join("access.log");
    let io = |error: std::io::Error| Error::io("the log", &error);
    let server = start(place, port);
    let network = Network::new();
    let format = Format::new(&json!({"format": "combined"}))?;
    let source = LineSource::file(&log, Follow::Yes).checkpoint(place.join("place"));
    network.add_source("in", source.format(format))?;
    let (out, bad) = (Seen::at(&network, "out")?, Seen::at(&network, "bad")?);
    network.link("in", "out")?;
    network.link("in.errors", "bad")?;
    network.start()?;
    load(port);
    // As logrotate does it: the file is renamed, and the server opens a new one.
    std::fs::rename(&log, place.join("access.log.1")).map_err(io)?;
    let pid = std::fs::read_to_string(place.join("pid")).map_err(io)?;
    let signalled = Command::new("kill").args(["-USR1", pid.trim()]).status();
    assert!(signalled.map_err(io)?.success());
    load(port);
    // And with copytruncate: no request is under way, whose line would be lost between the two.
    std::fs::copy(&log, place.join("access.log.2")).map_err(io)?;
    std::fs::File::options()
        .write(true)
        .open(&log)
        .and_then(|file| file.set_len(0))
        .map_err(io)?;
    load(port);
    let expected = counted(place).map_err(io)?;
    let many = expected.values().sum::<usize>();
    // One connection showed that the server listens.
    assert!(
        (3 * CLIENTS * REQUESTS..=3 * CLIENTS * REQUESTS + 1).contains(&many),
        "{expected:?}"
    );
    assert!(
        soon(|| out.len() + bad.len() >= many),
        "{} of {many}",
        out.len()
    );
    network.stop()?;
    drop(server);
    let events = Made::of(&out, &bad).all();
    let mut rates = Rates::new();
    for event in &events {
        *rates
            .entry(event["status"].as_i64().expect("a number"))
            .or_default() += 1;
    }
    assert_eq!(rates, expected);
    let requests = events
        .iter()
        .filter(|event| event["request"].is_string())
        .count();
    assert_eq!(requests, 3 * CLIENTS * REQUESTS / 50);
    assert!(
        events
            .iter()
            .any(|event| event["agent"] == "a \\x228\\x22 \\x5C \\xCF\\x80")
    );
    Ok(())
}
