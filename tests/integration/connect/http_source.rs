//! The server to which events are posted, asked byte by byte.

use super::web::Web;
use crate::support::binary::command_in;
use crate::support::probe::{Seen, soon};
use crate::support::process::{Process, free_port};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tributary::connect::{self, Options};
use tributary::sink::{self, Receiver};
use tributary::{ErrorKind, Network, Outcome, Result};

/// A network with a server, whose events the test settles.
struct Served {
    network: Network,
    events: Receiver,
    port: u16,
}

fn serve(options: &Options) -> Result<Served> {
    let port = free_port();
    let network = Network::new();
    let url = format!("http://127.0.0.1:{port}/events");
    network.add_source("in", connect::source(&url, options)?)?;
    let (events, out) = sink::channel();
    network.add_sink("out", out.settled_by_host())?;
    network.link("in", "out")?;
    network.start()?;
    Ok(Served {
        network,
        events,
        port,
    })
}

/// A client.
struct Client(TcpStream);

impl Client {
    fn new(served: &Served) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", served.port)).expect("connected");
        let limit = Some(Duration::from_secs(10));
        stream.set_read_timeout(limit).expect("a time limit");
        Client(stream)
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("sent");
    }

    fn post(&mut self, body: &str) {
        let length = body.len();
        self.send(&format!(
            "POST /events HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
    }

    /// The next answer: its status, and its body.
    fn answer(&mut self) -> (u16, String) {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text");
        let length = head.split("content-length: ").nth(1);
        let length = length
            .and_then(|rest| rest.split('\r').next()?.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a body");
        let status = head[9..12].parse().expect("a status");
        (status, String::from_utf8(body).expect("text"))
    }

    fn status(&mut self) -> u16 {
        self.answer().0
    }

    fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0) | Err(_))
    }
}

/// The next events, each of which is settled so.
fn settle(served: &Served, many: usize, outcome: Outcome) -> Vec<String> {
    let next = |_| {
        let event = served
            .events
            .recv_timeout(Duration::from_secs(10))
            .expect("an event");
        let text = event.payload().text().unwrap_or("?").to_owned();
        event.settle(outcome);
        text
    };
    (0..many).map(next).collect()
}

#[test]
fn a_request_is_answered_when_all_of_its_events_are_settled() -> Result<()> {
    let served = serve(&Options::new())?;
    let mut client = Client::new(&served);
    for (body, events) in [
        (r#"{"a":1}"#, vec![r#"{"a":1}"#]),
        (r#"[{"a":1}, 2]"#, vec![r#"{"a":1}"#, "2"]),
        ("{\"a\":1}\r\n\n2\n", vec![r#"{"a":1}"#, "2"]),
        ("[1]\n[2]", vec!["[1]", "[2]"]),
    ] {
        client.post(body);
        assert_eq!(settle(&served, events.len(), Outcome::Delivered), events);
        assert_eq!(client.status(), 204);
    }
    client.post("1");
    let event = served
        .events
        .recv_timeout(Duration::from_secs(10))
        .expect("an event");
    client
        .0
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a time limit");
    assert!(client.0.read(&mut [0]).is_err(), "nothing is settled yet");
    client
        .0
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a time limit");
    event.settle(Outcome::Delivered);
    assert_eq!(client.status(), 204);
    client.post("1\n2");
    settle(&served, 1, Outcome::Failed);
    settle(&served, 1, Outcome::Delivered);
    assert_eq!(
        client.answer(),
        (500, r#"{"error":"an event was not delivered"}"#.to_owned())
    );
    served.network.stop()
}

#[test]
fn requests_that_come_together_chunked_or_asked_for_are_read() -> Result<()> {
    let served = serve(&Options::new())?;
    let mut client = Client::new(&served);
    client.post("1");
    client.post("2");
    client.send("POST /events HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\n3\r\n2\r\n\n4\r\n0\r\n\r\n");
    for many in [1, 1, 2] {
        settle(&served, many, Outcome::Delivered);
        assert_eq!(client.status(), 204);
    }
    client.send("POST /events HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n");
    assert_eq!(client.status(), 100);
    client.send("5");
    settle(&served, 1, Outcome::Delivered);
    assert_eq!(client.status(), 204);
    client.send("POST /events HTTP/1.0\r\ncontent-length: 1\r\n\r\n6");
    settle(&served, 1, Outcome::Delivered);
    assert_eq!(client.status(), 204);
    assert!(client.is_closed());
    served.network.stop()
}

#[test]
fn a_request_that_is_none_is_refused_and_its_connection_closed() -> Result<()> {
    let served = serve(&Options::new().with("body_limit", 1000))?;
    let post = "POST /events HTTP/1.1\r\n";
    let long = "x".repeat(20_000);
    for (request, status) in [
        ("rubbish\r\n\r\n".to_owned(), 400),
        (format!("{post}content-length: -1\r\n\r\n"), 400),
        (format!("{post}content-length: +1\r\n\r\n1"), 400),
        (
            format!("{post}content-length: 1\r\ncontent-length: 1\r\n\r\n1"),
            400,
        ),
        (format!("{post}content-length: 1, 1\r\n\r\n1"), 400),
        (
            format!("{post}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1"),
            400,
        ),
        (
            format!("{post}transfer-encoding: gzip, chunked\r\n\r\n"),
            400,
        ),
        (format!("{post}content-length: 1099511627776\r\n\r\n"), 413),
        (
            format!("{post}content-length: 99999999999999999999999\r\n\r\n"),
            413,
        ),
        (
            format!("{post}transfer-encoding: chunked\r\n\r\nFFFFFFFFFF\r\n"),
            413,
        ),
        (
            format!("{post}transfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n"),
            400,
        ),
        (
            format!("{post}transfer-encoding: chunked\r\n\r\n-1\r\n"),
            400,
        ),
        (
            format!("{post}transfer-encoding: chunked\r\n\r\n1\r\n12\r\n"),
            400,
        ),
        (format!("{post}x: {long}\r\n\r\n"), 431),
        (format!("{post}{}\r\n", "x: y\r\n".repeat(65)), 431),
        (format!("{post}host: a\r\nhost: b\r\n\r\n"), 400),
        (
            format!("{post}transfer-encoding: chunked\r\n\r\n1;a\n\r\n1\r\n0\r\n\r\n"),
            400,
        ),
        (
            format!("{post}transfer-encoding: chunked\r\n\r\n;a\r\n\r\n"),
            400,
        ),
        (
            "POST /events HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            400,
        ),
        (
            format!("{post}content-encoding: gzip\r\ncontent-length: 1\r\n\r\n1"),
            415,
        ),
        ("GET /events HTTP/1.1\r\n\r\n".to_owned(), 405),
        ("POST / HTTP/1.1\r\n\r\n".to_owned(), 404),
        ("POST /events?token=x HTTP/1.1\r\n\r\n".to_owned(), 401),
    ] {
        let mut client = Client::new(&served);
        client.send(&request);
        assert_eq!(client.status(), status, "{request:.80}");
        assert!(client.is_closed(), "{request:.80}");
    }
    let mut client = Client::new(&served);
    for (body, expected) in [
        ("", "it has no event"),
        ("{", "malformed JSON"),
        ("1\n{", "line 2: malformed JSON"),
    ] {
        client.post(body);
        let (status, message) = client.answer();
        assert!(status == 400 && message.contains(expected), "{message}");
    }
    assert!(
        served.events.try_recv().is_none(),
        "a request is taken as a whole or not"
    );
    served.network.stop()
}

#[test]
fn an_answer_to_head_has_no_body_and_an_old_client_is_not_asked_to_go_on() -> Result<()> {
    let served = serve(&Options::new())?;
    let mut client = Client::new(&served);
    client.send("HEAD /events HTTP/1.1\r\n\r\n");
    let mut all = String::new();
    client.0.read_to_string(&mut all).expect("text");
    assert!(all.starts_with("HTTP/1.1 405 "), "{all}");
    assert!(all.ends_with("\r\n\r\n"), "{all}");
    let mut client = Client::new(&served);
    client.send("POST /events HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n5");
    settle(&served, 1, Outcome::Delivered);
    assert_eq!(client.status(), 204);
    served.network.stop()
}

#[test]
fn requests_whose_answers_wait_are_taken_once_these_are_read() -> Result<()> {
    let served = serve(&Options::new())?;
    let mut client = Client::new(&served);
    let bad = "POST /events HTTP/1.1\r\ncontent-length: 1\r\n\r\n{";
    let many = 100_000;
    let mut sender = client.0.try_clone().expect("a handle");
    let sending = std::thread::spawn(move || {
        let some = bad.repeat(1_000);
        for _ in 0..many / 1_000 {
            sender.write_all(some.as_bytes()).expect("sent");
        }
    });
    // So many answers fill the buffers of the system.
    std::thread::sleep(Duration::from_secs(1));
    let mut reader = std::io::BufReader::new(client.0.try_clone().expect("a handle"));
    let mut answers = 0;
    while answers < many {
        let mut line = String::new();
        assert!(std::io::BufRead::read_line(&mut reader, &mut line).expect("text") > 0);
        answers += line.matches("HTTP/1.1 400 ").count();
    }
    sending.join().expect("all was sent");
    client.post("1");
    settle(&served, 1, Outcome::Delivered);
    served.network.stop()
}

#[test]
fn only_who_has_the_token_may_post() -> Result<()> {
    let served = serve(&Options::new().with("token", "xyzzy-token"))?;
    for (header, status) in [
        ("x: y", 401),
        ("authorization: Bearer xyzzy-toke", 401),
        ("authorization: Bearer xyzzy-tokem", 401),
        ("authorization: Basic xyzzy-token", 401),
        ("Authorization: bearer xyzzy-token", 204),
        (
            "authorization: Bearer xyzzy-token\r\nauthorization: Bearer xyzzy-token",
            400,
        ),
        (
            "Authorization: Bearer other\r\nauthorization: Bearer xyzzy-token",
            400,
        ),
    ] {
        let mut client = Client::new(&served);
        client.send(&format!(
            "POST /events HTTP/1.1\r\n{header}\r\ncontent-length: 1\r\n\r\n1"
        ));
        if status == 204 {
            settle(&served, 1, Outcome::Delivered);
        }
        assert_eq!(client.status(), status, "{header}");
    }
    served.network.stop()?;
    for (url, options, expected) in [
        (
            "http://0.0.0.0:1/",
            Options::new(),
            "any host could post to it; set the option token",
        ),
        (
            "http://me:hidden@localhost:1/",
            Options::new(),
            "http://me:***@localhost:1/: a source is at",
        ),
        (
            "http://localhost:1/",
            Options::new().with("token", ""),
            "option token of http sources: a token expected",
        ),
        (
            "https://localhost:1/",
            Options::new(),
            "https can be a sink only",
        ),
    ] {
        let error = connect::source(url, &options).err().expect("refused");
        assert!(error.to_string().contains(expected), "{error}");
    }
    Ok(())
}

#[test]
fn too_many_requests_in_flight_get_status_429() -> Result<()> {
    let options = Options::new()
        .with("in_flight", 2)
        .with("settle_timeout", "500ms");
    let served = serve(&options)?;
    let (mut first, mut second) = (Client::new(&served), Client::new(&served));
    first.post("1\n2");
    assert!(soon(|| served
        .network
        .stats()
        .node("in")
        .is_some_and(|n| n.emitted == 2)));
    second.post("3");
    assert_eq!(second.status(), 429);
    settle(&served, 2, Outcome::Delivered);
    assert_eq!(first.status(), 204);
    second.post("3");
    // Nobody settles it in time.
    assert_eq!(second.status(), 503);
    drop(served.events.recv_timeout(Duration::from_secs(10)));
    served.network.stop()
}

#[test]
fn a_slow_or_silent_client_holds_up_no_other() -> Result<()> {
    let served = serve(&Options::new().with("timeout", "500ms"))?;
    let mut slow = Client::new(&served);
    slow.send("POST /ev");
    let _silent: Vec<Client> = (0..50).map(|_| Client::new(&served)).collect();
    let mut quick = Client::new(&served);
    quick.post("1");
    settle(&served, 1, Outcome::Delivered);
    assert_eq!(quick.status(), 204);
    assert_eq!(slow.status(), 408);
    let begun = Instant::now();
    served.network.stop()?;
    assert!(begun.elapsed() < Duration::from_secs(2));
    Ok(())
}

#[test]
fn a_request_that_comes_byte_by_byte_has_a_deadline() -> Result<()> {
    let served = serve(&Options::new().with("timeout", "500ms"))?;
    for begin in [
        "POST /events HTTP/1.1\r\nx: ",
        "POST /events HTTP/1.1\r\ncontent-length: 1000\r\n\r\n",
        "POST /events HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n",
    ] {
        let mut client = Client::new(&served);
        client.send(begin);
        let mut slow = client.0.try_clone().expect("a handle");
        let sending = std::thread::spawn(move || {
            for _ in 0..100 {
                if slow.write_all(b"1").is_err() {
                    break;
                }
                // A slow client.
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let begun = Instant::now();
        assert_eq!(client.status(), 408, "{begin}");
        assert!(begun.elapsed() < Duration::from_millis(1_800), "{begin}");
        drop(client);
        sending.join().expect("it ends");
    }
    served.network.stop()
}

#[test]
fn what_is_under_way_at_the_stop_is_answered() -> Result<()> {
    let Served {
        network,
        events,
        port,
    } = serve(&Options::new())?;
    let mut client = Client(TcpStream::connect(("127.0.0.1", port)).expect("connected"));
    client.post("1");
    let event = events
        .recv_timeout(Duration::from_secs(10))
        .expect("an event");
    network.request_stop();
    // It lets nobody in any more from some moment on.
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        TcpStream::connect(("127.0.0.1", port)).is_err(),
        "nobody new is let in"
    );
    event.settle(Outcome::Delivered);
    assert_eq!(client.status(), 204);
    network.wait()
}

#[test]
fn a_port_that_is_in_use_is_an_error() -> Result<()> {
    let served = serve(&Options::new())?;
    let url = format!("http://127.0.0.1:{}/x", served.port);
    let network = Network::new();
    network.add_source("in", connect::source(&url, &Options::new())?)?;
    let error = network.start().expect_err("it is taken");
    assert_eq!(
        error.to_string(),
        format!("node in: {url}: address already in use")
    );
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    served.network.stop()
}

#[test]
fn many_small_events_come_in_over_few_connections() -> Result<()> {
    const REQUESTS: usize = 60;
    let port = free_port();
    let network = Network::new();
    let url = format!("http://127.0.0.1:{port}/events");
    network.add_source("in", connect::source(&url, &Options::new())?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    network.start()?;
    let body = r#"{"customer":"c-1","stake":12.5}"#.to_owned() + "\n";
    let body = body.repeat(100);
    let begun = Instant::now();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let body = body.clone();
            std::thread::spawn(move || {
                let mut client =
                    Client(TcpStream::connect(("127.0.0.1", port)).expect("connected"));
                for _ in 0..REQUESTS {
                    client.post(&body);
                    assert_eq!(client.status(), 204);
                }
            })
        })
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().expect("no panic"));
    let rate = 400.0 * REQUESTS as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} events a second");
    assert_eq!(seen.len(), 400 * REQUESTS);
    network.stop()
}

#[test]
fn the_example_takes_events_in_and_posts_them_on() {
    let (web, port) = (Web::start(), free_port());
    let script = include_str!("../../../examples/http_ingest/network.lua");
    let place = tempfile::tempdir().expect("a directory");
    // The port of the example may be taken.
    let script = script.replace("8080", &port.to_string());
    std::fs::write(place.path().join("net.lua"), script).expect("written");
    let mut command = command_in(place.path(), &["run", "net.lua"]);
    command.env("WEBHOOK", web.url("/alerts"));
    let _server = Process::start(&mut command, port);
    let mut client = Client(TcpStream::connect(("127.0.0.1", port)).expect("connected"));
    for _ in 0..2 {
        client.post(r#"{"id":1,"text":"hello"}"#);
        assert_eq!(client.status(), 204);
    }
    let asked = web.bodies();
    assert!(
        asked.len() == 1 && asked[0].starts_with(r#"{"id":1,"text":"hello at 2"#),
        "{asked:?}"
    );
}

#[test]
fn an_idle_client_makes_room_for_one_that_waits() -> Result<()> {
    let served = serve(&Options::new().with("connections", 2))?;
    let idle = [Client::new(&served), Client::new(&served)];
    let mut third = Client::new(&served);
    third.post("1");
    let event = served.events.recv().expect("an event");
    event.settle(Outcome::Delivered);
    assert_eq!(third.answer().0, 204);
    drop(idle);
    served.network.stop()
}

#[test]
fn a_second_source_on_a_port_is_refused_at_the_start() -> Result<()> {
    let port = free_port();
    let network = Network::new();
    let url = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    network.add_source("a", connect::source(&url("a"), &Options::new())?)?;
    network.add_source("b", connect::source(&url("b"), &Options::new())?)?;
    let (_events, out) = sink::channel();
    network.add_sink("out", out)?;
    network.fanin("out", ["a", "b"])?;
    let error = network.start().expect_err("the port is taken");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.to_string().contains("address already in use"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_server_that_is_replaced_listens_on_and_answers_what_is_under_way() -> Result<()> {
    let served = serve(&Options::new())?;
    let url = format!("http://127.0.0.1:{}/events", served.port);
    let mut client = Client::new(&served);
    client.post("1");
    let first = served.events.recv_timeout(Duration::from_secs(10));
    let first = first.expect("an event");
    // Half of a request has come.
    let mut other = Client::new(&served);
    other.send("POST /events HTTP/1.1\r\nhost: h\r\nauthorization: Bearer secret\r\n");
    let options = Options::new().with("token", "secret");
    served
        .network
        .replace("in", connect::source(&url, &options)?)?;
    first.settle(Outcome::Delivered);
    assert_eq!(client.status(), 204);
    other.send("content-length: 1\r\n\r\n2");
    assert_eq!(settle(&served, 1, Outcome::Delivered), ["2"]);
    assert_eq!(other.status(), 204);
    // The token of the new one counts.
    client.post("3");
    assert_eq!(client.status(), 401);
    served.network.stop()
}

#[test]
fn clients_see_nothing_of_a_server_that_is_replaced_under_load() -> Result<()> {
    let served = serve(&Options::new())?;
    let url = format!("http://127.0.0.1:{}/events", served.port);
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let mut client = Client::new(&served);
            std::thread::spawn(move || {
                for event in 0..200 {
                    client.post(&(number * 200 + event).to_string());
                    assert_eq!(client.status(), 204);
                }
            })
        })
        .collect();
    let mut seen = Vec::new();
    for turn in 0..8 {
        seen.extend(settle(&served, 100, Outcome::Delivered));
        let options = Options::new().with("in_flight", 100 + turn);
        served
            .network
            .replace("in", connect::source(&url, &options)?)?;
    }
    for client in clients {
        client.join().expect("no panic");
    }
    served.network.stop()?;
    seen.sort_by_key(|number| number.parse::<u32>().unwrap_or(u32::MAX));
    let expected: Vec<String> = (0..800).map(|number| number.to_string()).collect();
    assert_eq!(seen, expected);
    Ok(())
}
