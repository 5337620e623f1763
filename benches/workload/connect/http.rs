//! HTTP: small events posted in batches over connections that stay, to a source and to a bare server
//! that reads requests, takes the lines apart and answers.

use super::Run;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use tributary::Network;
use tributary::connect::{self, Options};

const CLIENTS: u64 = 2;
/// The events of a request.
const BATCH: u64 = 100;
const EVENT: &str = r#"{"customer":"c-1","stake":12.5}"#;

pub fn ingest() -> (Run, Run) {
    (Box::new(tributary), Box::new(bare))
}

fn tributary(events: u64) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    drop(listener);
    let watch = super::super::watch::Watch::new(1);
    let posted = requests(events) * CLIENTS * BATCH;
    let network = Network::new();
    let url = format!("http://127.0.0.1:{port}/events");
    let started = connect::source(&url, &Options::new()).and_then(|source| {
        network.add_source("in", source)?;
        network.add_sink("out", super::super::network::Drain::new(&watch, posted))?;
        network.link("in", "out")?;
        network.start()
    });
    started.expect("the network runs");
    let took = post(port, events);
    network.stop().expect("the network ends");
    took
}

fn bare(events: u64) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    let server = std::thread::spawn(move || {
        let serve = |stream: TcpStream| std::thread::spawn(move || serve(stream));
        let served: Vec<_> = (0..CLIENTS)
            .map(|_| serve(listener.accept().expect("a client").0))
            .collect();
        served
            .into_iter()
            .for_each(|one| one.join().expect("no panic"));
    });
    let took = post(port, events);
    server.join().expect("no panic");
    took
}

/// Reads requests until there are no more.
fn serve(stream: TcpStream) {
    let mut answers = stream.try_clone().expect("a handle");
    let mut requests = BufReader::new(stream);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if requests.read_line(&mut line).expect("a line") == 0 {
                return;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        body.resize(length, 0);
        requests.read_exact(&mut body).expect("a body");
        let lines = body.split(|byte| *byte == b'\n');
        for event in lines.filter(|line| !line.is_empty()) {
            std::hint::black_box(event.to_vec());
        }
        let answer = answers.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        answer.expect("it is sent");
    }
}

/// How many requests each client posts.
fn requests(events: u64) -> u64 {
    (events / (CLIENTS * BATCH)).max(1)
}

/// Posts as many events, each client one request after the other.
fn post(port: u16, events: u64) -> Duration {
    let body = format!("{EVENT}\n").repeat(BATCH as usize);
    let length = body.len();
    let head = "POST /events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length";
    let request = format!("{head}: {length}\r\n\r\n{body}");
    let streams: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let stream = TcpStream::connect(("127.0.0.1", port)).expect("a server");
            stream.set_nodelay(true).expect("a socket");
            stream
        })
        .collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for mut stream in streams {
            let request = request.as_bytes();
            scope.spawn(move || {
                let mut answer = Vec::new();
                for _ in 0..requests(events) {
                    stream.write_all(request).expect("it is sent");
                    answer.clear();
                    while !answer.ends_with(b"\r\n\r\n") {
                        let mut some = [0; 256];
                        let count = stream.read(&mut some).expect("an answer");
                        assert!(count > 0, "the server has closed");
                        answer.extend_from_slice(&some[..count]);
                    }
                    assert!(answer.starts_with(b"HTTP/1.1 204"), "it was not taken");
                }
            });
        }
    });
    begun.elapsed()
}
