//! Streams of Redis: added in pipelines, and read and acked by a group.

use super::super::BATCH;
use super::{Run, Server, payload};
use redis::{Connection, Value, cmd, pipe};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tributary::connect::Options;

/// How many entries are read at once, here as in the network.
const READ: usize = 512;

/// An entry's id and fields.
type Entry = (String, Vec<Value>);

fn start() -> Rc<Server> {
    Rc::new(Server::start("redis-server", |port, place| {
        let port = port.to_string();
        let words = [
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
            "--save",
            "",
            "--dir",
            place,
        ];
        words.map(str::to_owned).into()
    }))
}

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}/0", server.port)
}

fn connect(server: &Server) -> Connection {
    let client = redis::Client::open(url(server)).expect("an address");
    client.get_connection().expect("a server")
}

/// Makes a new stream, with so many entries.
fn fill(server: &Server, events: u64) {
    let mut connection = connect(server);
    let mut group = cmd("XGROUP");
    group.arg(&["CREATE", "bench", "g", "0", "MKSTREAM"]);
    let made = pipe()
        .cmd("DEL")
        .arg("bench")
        .ignore()
        .exec(&mut connection);
    made.and_then(|()| group.exec(&mut connection))
        .expect("a stream");
    add(&mut connection, events);
}

fn timed(server: &Server, work: impl FnOnce(&mut Connection)) -> Duration {
    let begun = Instant::now();
    work(&mut connect(server));
    begun.elapsed()
}

pub fn write() -> (Run, Run) {
    let server = start();
    let ours = server.clone();
    let options = Options::new().with("stream", "bench");
    (
        Box::new(move |events| {
            fill(&ours, 0);
            super::written(&url(&ours), &options, events).expect("it writes")
        }),
        Box::new(move |events| {
            fill(&server, 0);
            timed(&server, |connection| add(connection, events))
        }),
    )
}

pub fn read() -> (Run, Run) {
    let server = start();
    let ours = server.clone();
    let options = Options::new().with("stream", "bench").with("group", "g");
    (
        Box::new(move |events| {
            fill(&ours, events);
            super::read(&url(&ours), &options, events).expect("it reads")
        }),
        Box::new(move |events| {
            fill(&server, events);
            timed(&server, |connection| take(connection, events))
        }),
    )
}

fn add(connection: &mut Connection, events: u64) {
    let mut number = 0;
    while number < events {
        let mut batch = pipe();
        for _ in 0..(BATCH as u64).min(events - number) {
            let command = batch.cmd("XADD").arg("bench").arg("*");
            command.arg("data").arg(payload(number)).ignore();
            number += 1;
        }
        batch.exec(connection).expect("entries are added");
    }
}

fn take(connection: &mut Connection, events: u64) {
    let mut taken = 0;
    while taken < events {
        let mut command = cmd("XREADGROUP");
        command.arg(&["GROUP", "g", "bare", "COUNT"]).arg(READ);
        command.arg(&["BLOCK", "1000", "STREAMS", "bench", ">"]);
        let mut answer: Vec<(String, Vec<Entry>)> = command.query(connection).expect("entries");
        let Some((_, entries)) = answer.pop() else {
            continue;
        };
        let mut ack = cmd("XACK");
        ack.arg("bench").arg("g");
        for (id, fields) in entries {
            std::hint::black_box(fields);
            ack.arg(id);
            taken += 1;
        }
        ack.exec(connection).expect("an ack");
    }
}
