//! Servers that lie: they announce gigabytes, or send without end what nobody asked for. The process goes
//! on in bounded memory, and its other nodes are not held back.
//!
//! Each fake server does what a client needs to get to the lie, and floods its connection from then on.

use crate::support::binary::{Running, Signal, Site};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Tested = Result<(), Box<dyn std::error::Error>>;

/// How long a process is exposed to a liar.
const EXPOSED: Duration = Duration::from_secs(4);
/// The address space of the process, in KiB.
const ADDRESSES: u64 = 4_000_000;
/// The most memory that it may have used, in KiB.
const MEMORY: usize = 500_000;

/// A server that tells each client the same.
struct Liar {
    port: u16,
    sent: Arc<AtomicU64>,
}

/// What a liar does before it floods the connection.
type Talk = fn(&mut TcpStream) -> io::Result<()>;

impl Liar {
    fn start(talk: Talk, flood: &[u8]) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let sent = Arc::new(AtomicU64::new(0));
        // The test need not write small pieces.
        let flood: Arc<[u8]> = flood.repeat((1 << 16) / flood.len() + 1).into();
        let count = sent.clone();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let (flood, count) = (flood.clone(), count.clone());
                std::thread::spawn(move || -> io::Result<()> {
                    stream.set_read_timeout(Some(2 * EXPOSED))?;
                    stream.set_write_timeout(Some(2 * EXPOSED))?;
                    talk(&mut stream)?;
                    for piece in flood.chunks(1 << 16).cycle() {
                        stream.write_all(piece)?;
                        count.fetch_add(piece.len() as u64, Ordering::Relaxed);
                    }
                    Ok(())
                });
            }
        });
        Ok(Liar { port, sent })
    }
}

/// Reads a number of bytes that a client sends.
fn skip(stream: &mut TcpStream, bytes: usize) -> io::Result<()> {
    stream.read_exact(&mut vec![0; bytes])
}

/// Reads until a client has sent this.
fn await_bytes(stream: &mut TcpStream, end: &[u8]) -> io::Result<()> {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        read.extend(byte);
    }
    Ok(())
}

/// Runs a network of `liar`, which this script makes (`PORT` is the liar's), beside nodes that pass lines on.
fn survives(name: &str, script: &str, liar: &Liar) -> Tested {
    let script = format!(
        "local tb = require('tributary')\n\
         tb.create_stdin('in') tb.create_stdout('out') tb.link('in', 'out')\n{}\n",
        script.replace("PORT", &liar.port.to_string())
    );
    let site = Site::with(&[("net.lua", &script)])?;
    let limit = format!("ulimit -v {ADDRESSES}");
    let command = site.command_after(&limit, &["run", "net.lua", "--drain", "2s"]);
    let mut running = Running::of(command)?;
    let begun = Instant::now();
    let (mut slowest, mut asked) = (Duration::ZERO, 0);
    while begun.elapsed() < EXPOSED || asked < 2 {
        let sent = Instant::now();
        let line = format!("{{\"n\":{asked}}}");
        let answer = running.ask(&line);
        assert_eq!(answer.map_err(|error| format!("{name}: {error}"))?, line);
        // The first waits until the network has started.
        if asked > 0 {
            slowest = slowest.max(sent.elapsed());
        }
        asked += 1;
        // One question after the other, with a pause between them.
        std::thread::sleep(Duration::from_millis(100));
    }
    let used = running.memory("VmHWM") >> 10;
    running.signal(Signal::TERM)?;
    drop(running.stdin.take());
    let begun = Instant::now();
    let done = running.wait()?;
    let (stopped, log) = (begun.elapsed(), done.stderr);
    let sent = liar.sent.load(Ordering::Relaxed) >> 10;
    eprintln!("{name}: {used} KiB, slowest {slowest:?}, stopped in {stopped:?}, {sent} KiB sent");
    assert!(sent > 0, "{name}: the client did not get to the lie: {log}");
    assert!(done.code.is_some(), "{name}: it was killed: {log}");
    assert!(!log.contains("panic"), "{name}: {log}");
    assert!(used < MEMORY, "{name}: {used} KiB: {log}");
    assert!(slowest < Duration::from_secs(1), "{name}: {slowest:?}");
    assert!(stopped < Duration::from_secs(10), "{name}: {stopped:?}");
    Ok(())
}

fn source(address: &str, options: &str) -> String {
    format!(
        "tb.create_source('liar', '{address}', {{ {options} }})\n\
         tb.create_discarder('end') tb.link('liar', 'end')"
    )
}

fn sink(address: &str, options: &str) -> String {
    format!("tb.create_sink('liar', '{address}', {{ {options} }}) tb.link('in', 'liar')")
}

#[cfg(feature = "redis")]
#[test]
fn a_redis_server_that_lies_takes_neither_memory_nor_the_process() -> Tested {
    let stream = source(
        "redis://127.0.0.1:PORT",
        "stream = 's', group = 'g', timeout = '2s'",
    );
    let channel = source("redis://127.0.0.1:PORT", "channel = 'c', timeout = '2s'");
    let to_stream = sink("redis://127.0.0.1:PORT", "stream = 's', timeout = '2s'");
    let asked: Talk = |stream| await_bytes(stream, b"\r\n");
    let message = format!(
        "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1000000\r\n{}\r\n",
        "1".repeat(1_000_000)
    );
    for (name, script, talk, flood) in [
        ("a text of 2 GB", &stream, asked, "$2000000000\r\n"),
        ("a list of 2 GB", &stream, asked, "*2000000000\r\n"),
        ("lists of lists", &stream, asked, "*1000000\r\n"),
        (
            "an endless line",
            &stream,
            asked,
            "+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        ("an answer of 2 GB", &to_stream, asked, "$2000000000\r\n"),
        (
            "a message of 2 GB",
            &channel,
            asked,
            "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2000000000\r\n",
        ),
        ("endless messages", &channel, asked, &message),
    ] {
        survives(name, script, &Liar::start(talk, flood.as_bytes())?)?;
    }
    Ok(())
}

#[cfg(feature = "nats")]
mod nats {
    use super::{Liar, Talk, Tested, await_bytes, sink, source, survives};
    use std::io::Write;

    const INFO: &[u8] =
        b"INFO {\"server_id\":\"x\",\"server_name\":\"x\",\"version\":\"2.10.0\",\"go\":\"x\",\
        \"host\":\"127.0.0.1\",\"port\":1,\"headers\":true,\"max_payload\":1048576,\"proto\":1,\
        \"client_id\":1}\r\n";

    /// It greets, and waits for the first ping.
    fn until_ping(stream: &mut std::net::TcpStream) -> std::io::Result<()> {
        stream.write_all(INFO)?;
        await_bytes(stream, b"PING\r\n")
    }

    #[test]
    fn a_nats_server_that_lies_takes_neither_memory_nor_the_process() -> Tested {
        let subject = source("nats://127.0.0.1:PORT/s", "timeout = '2s'");
        let stream = source(
            "nats://127.0.0.1:PORT/s",
            "stream = 's', durable = 'd', timeout = '2s'",
        );
        let to_subject = sink("nats://127.0.0.1:PORT/s", "timeout = '2s'");
        let silent: Talk = |_| Ok(());
        let greeting: Talk = |stream| stream.write_all(INFO);
        let message = format!("MSG s 1 1000000\r\n{}\r\n", "1".repeat(1_000_000));
        let connected: Talk = |stream| {
            until_ping(stream)?;
            stream.write_all(b"PONG\r\n")
        };
        // It takes the subscription, and sends back what the client sends to itself.
        let subscribed: Talk = |stream| {
            until_ping(stream)?;
            stream.write_all(b"PONG\r\n")?;
            await_bytes(stream, b"PUB ")?;
            let mut inbox = Vec::new();
            while !inbox.ends_with(b" ") {
                let mut byte = [0];
                std::io::Read::read_exact(stream, &mut byte)?;
                inbox.extend(byte);
            }
            let inbox = String::from_utf8_lossy(&inbox).into_owned();
            stream.write_all(format!("MSG {inbox}2 0\r\n\r\n").as_bytes())
        };
        for (name, script, talk, flood) in [
            (
                "an endless greeting",
                &subject,
                silent,
                "INFO aaaaaaaaaaaaaaaaaaaaaaaaa",
            ),
            (
                "a message of 3 GB for a greeting",
                &subject,
                silent,
                "MSG s 1 3000000000\r\n",
            ),
            (
                "a message of 3 GB at the handshake",
                &subject,
                greeting,
                "MSG s 1 3000000000\r\n",
            ),
            (
                "a message of 3 GB",
                &subject,
                connected,
                "MSG s 1 3000000000\r\n",
            ),
            (
                "endless messages before they are asked for",
                &stream,
                connected,
                &message,
            ),
            ("endless messages", &subject, subscribed, &message),
            (
                "endless small messages",
                &subject,
                subscribed,
                "MSG s 1 1\r\n1\r\n",
            ),
            (
                "a message of 3 GB later",
                &subject,
                subscribed,
                "MSG s 1 3000000000\r\n",
            ),
            (
                "a message of 3 GB to a sink",
                &to_subject,
                connected,
                "MSG s 1 3000000000\r\n",
            ),
        ] {
            survives(name, script, &Liar::start(talk, flood.as_bytes())?)?;
        }
        Ok(())
    }
}

#[cfg(feature = "mqtt")]
#[test]
fn an_mqtt_broker_that_lies_takes_neither_memory_nor_the_process() -> Tested {
    let from = source("mqtt://127.0.0.1:PORT", "topic = 't', timeout = '2s'");
    let to = sink("mqtt://127.0.0.1:PORT", "topic = 't', timeout = '2s'");
    let silent: Talk = |_| Ok(());
    // CONNACK of version 5, and SUBACK for the first packet id.
    let connected: Talk = |stream| {
        skip(stream, 2)?;
        stream.write_all(&[0x20, 3, 0, 0, 0])
    };
    let subscribed: Talk = |stream| {
        skip(stream, 2)?;
        stream.write_all(&[0x20, 3, 0, 0, 0])?;
        await_bytes(stream, b"\x00\x01t")?;
        stream.write_all(&[0x90, 4, 0, 1, 0, 1])
    };
    let publish = |bytes: usize, properties: &[u8]| {
        let mut rest = bytes + 4 + properties.len();
        let mut packet = vec![0x30];
        while rest > 0 {
            let more = if rest > 127 { 0x80 } else { 0 };
            packet.push((rest % 128) as u8 | more);
            rest /= 128;
        }
        packet.extend([0, 1, b't', properties.len() as u8]);
        packet.extend(properties);
        packet.extend(std::iter::repeat_n(b'1', bytes.min(1_000_000)));
        packet
    };
    for (name, script, talk, flood) in [
        (
            "a greeting of 256 MB",
            &from,
            silent,
            publish(200_000_000, &[]),
        ),
        (
            "a message of 256 MB",
            &from,
            connected,
            publish(200_000_000, &[]),
        ),
        (
            "endless messages",
            &from,
            subscribed,
            publish(1_000_000, &[]),
        ),
        ("endless small messages", &from, subscribed, publish(1, &[])),
        (
            "endless messages to a sink",
            &to,
            connected,
            publish(1_000_000, &[]),
        ),
    ] {
        survives(name, script, &Liar::start(talk, &flood)?)?;
    }
    Ok(())
}

#[cfg(feature = "amqp")]
mod amqp {
    use super::{Liar, Talk, Tested, sink, skip, source, survives};
    use std::io::{self, Read, Write};
    use std::net::TcpStream;

    fn frame(kind: u8, channel: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![kind, 0, channel];
        frame.extend((payload.len() as u32).to_be_bytes());
        frame.extend(payload);
        frame.push(0xce);
        frame
    }

    /// A method: its class, its number and its arguments.
    fn method(channel: u8, class: u8, number: u8, arguments: &[u8]) -> Vec<u8> {
        frame(1, channel, &[&[0, class, 0, number], arguments].concat())
    }

    fn properties(body: u64) -> Vec<u8> {
        let body = body.to_be_bytes();
        frame(2, 1, &[&[0, 60, 0, 0], &body[..], &[0, 0]].concat())
    }

    /// A message of 1 MB that follows this method.
    fn with_message(method: Vec<u8>) -> Vec<u8> {
        let part = frame(3, 1, &[b'1'; 100_000]);
        [method, properties(1_000_000), part.repeat(10)].concat()
    }

    fn deliver(tag: u64) -> Vec<u8> {
        let tag = tag.to_be_bytes();
        method(1, 60, 60, &[b"\x01c", &tag[..], b"\0\0\x01k"].concat())
    }

    /// Reads frames of the client until one with this method.
    fn until(stream: &mut TcpStream, class: u8, number: u8) -> io::Result<()> {
        loop {
            let mut head = [0; 7];
            stream.read_exact(&mut head)?;
            let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
            let mut payload = vec![0; length + 1];
            stream.read_exact(&mut payload)?;
            if head[0] == 1 && payload.starts_with(&[0, class, 0, number]) {
                return Ok(());
            }
        }
    }

    /// Until the client has a channel.
    fn greet(stream: &mut TcpStream) -> io::Result<()> {
        skip(stream, 8)?;
        let start = b"\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US";
        stream.write_all(&method(0, 10, 10, start))?;
        until(stream, 10, 11)?;
        // Frames of any length.
        stream.write_all(&method(0, 10, 30, &[0, 100, 255, 255, 255, 255, 0, 60]))?;
        until(stream, 10, 40)?;
        stream.write_all(&method(0, 10, 41, &[0]))?;
        until(stream, 20, 10)?;
        stream.write_all(&method(1, 20, 11, &[0; 4]))
    }

    #[test]
    fn an_amqp_server_that_lies_takes_neither_memory_nor_the_process() -> Tested {
        let from = source("amqp://127.0.0.1:PORT", "queue = 'q', timeout = '2s'");
        let to = sink("amqp://127.0.0.1:PORT", "key = 'k', timeout = '2s'");
        let silent: Talk = |stream| skip(stream, 8);
        let consumed: Talk = |stream| {
            greet(stream)?;
            until(stream, 60, 10)?;
            stream.write_all(&method(1, 60, 11, &[]))?;
            until(stream, 60, 20)?;
            stream.write_all(&method(1, 60, 21, b"\x01c"))
        };
        let confirmed: Talk = |stream| {
            greet(stream)?;
            until(stream, 85, 10)?;
            stream.write_all(&method(1, 85, 11, &[]))?;
            until(stream, 60, 40)
        };
        let endless = vec![3, 0, 1, 0x7f, 0xff, 0xff, 0xff];
        let part = frame(3, 1, &[b'1'; 100_000]);
        let whole = |size| [deliver(1), properties(size), part.repeat(600)].concat();
        let many = (1..=200).map(|tag| with_message(deliver(tag)));
        let returned = method(1, 60, 50, b"\x01\x38\x01x\0\x01k");
        for (name, script, talk, flood) in [
            (
                "a frame of 2 GB for a greeting",
                &from,
                silent,
                endless.clone(),
            ),
            ("a frame of 2 GB", &from, consumed, endless),
            ("a message of a terabyte", &from, consumed, whole(1 << 40)),
            ("a message of 60 MB", &from, consumed, whole(60_000_000)),
            (
                "a tag far away",
                &from,
                consumed,
                with_message(deliver(1 << 60)),
            ),
            (
                "endless messages",
                &from,
                consumed,
                many.collect::<Vec<_>>().concat(),
            ),
            ("endless parts", &from, consumed, part.clone()),
            (
                "endless returns to a sink",
                &to,
                confirmed,
                with_message(returned),
            ),
        ] {
            survives(name, script, &Liar::start(talk, &flood)?)?;
        }
        Ok(())
    }
}

#[cfg(feature = "kafka")]
#[test]
fn a_kafka_broker_that_lies_takes_neither_memory_nor_the_process() -> Tested {
    let from = source("kafka://127.0.0.1:PORT/t", "group = 'g', timeout = '2s'");
    let to = sink("kafka://127.0.0.1:PORT/t", "timeout = '2s'");
    let silent: Talk = |_| Ok(());
    for (name, script, flood) in [
        (
            "an answer of 2 GB",
            &from,
            [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1],
        ),
        (
            "an answer of 2 GB to a sink",
            &to,
            [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1],
        ),
        ("an answer of 90 MB", &from, [5, 0x60, 0, 0, 0, 0, 0, 1]),
    ] {
        survives(name, script, &Liar::start(silent, &flood)?)?;
    }
    Ok(())
}

#[test]
fn a_mysql_server_that_lies_takes_neither_memory_nor_the_process() -> Tested {
    let rows = source(
        "sql:mysql://u:p@127.0.0.1:PORT/d",
        "query = 'select id from t where id > :cursor', cursor = 'id', every = '1s'",
    );
    let silent: Talk = |_| Ok(());
    for (name, flood) in [
        ("a greeting of 16 MB and more", [0xff, 0xff, 0xff, 0, 10]),
        ("an endless version", [0xff, 0xff, 0x3f, 0, 10]),
    ] {
        survives(name, &rows, &Liar::start(silent, &flood)?)?;
    }
    let accepted: Talk = |stream| {
        let greeting = [
            &b"\x0a8.0.0\0\x01\0\0\0abcdefgh\0\x09\xa2\x21\x02\0\x08\0\x15"[..],
            &[0; 10],
            b"abcdefghijkl\0mysql_native_password\0",
        ];
        let greeting = greeting.concat();
        stream.write_all(&[greeting.len() as u8, 0, 0, 0])?;
        stream.write_all(&greeting)?;
        packet(stream)?;
        stream.write_all(b"\x07\0\0\x02\0\0\0\x02\0\0\0")?;
        // The first statement.
        packet(stream)
    };
    // Packets that continue one another, 100 MB in all.
    let parts = (1..7).flat_map(|number| {
        let part = std::iter::repeat_n(1, 0xff_ffff);
        [0xff, 0xff, 0xff, number].into_iter().chain(part)
    });
    let parts: Vec<u8> = parts.collect();
    let liar = Liar::start(accepted, &parts)?;
    survives("an endless answer after the login", &rows, &liar)?;
    Ok(())
}

/// Reads a packet of a client of MySQL.
fn packet(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    skip(stream, usize::from(head[0]) | usize::from(head[1]) << 8)
}

#[cfg(all(feature = "http", feature = "slack", feature = "telegram"))]
#[test]
fn a_web_server_that_lies_takes_neither_memory_nor_the_process() -> Tested {
    let asked: Talk = |stream| await_bytes(stream, b"}");
    let begun: Talk = |stream| {
        await_bytes(stream, b"}")?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")
    };
    let refused: Talk = |stream| {
        await_bytes(stream, b"}")?;
        stream.write_all(b"HTTP/1.1 400 Bad\r\ntransfer-encoding: chunked\r\n\r\n")
    };
    let (http, slack, telegram) = (
        sink("http://127.0.0.1:PORT/", "timeout = '2s'"),
        sink(
            "slack:http://127.0.0.1:PORT/",
            "text = 'x', timeout = '2s', pace = '1us'",
        ),
        sink(
            "telegram:1:a",
            "chat = '1', text = 'x', timeout = '2s', pace = '1us', api = 'http://127.0.0.1:PORT'",
        ),
    );
    for (name, script, talk, flood) in [
        (
            "an endless status",
            &http,
            asked,
            "HTTP/1.1 200 aaaaaaaaaaaaaaaaaa",
        ),
        (
            "endless headers",
            &http,
            asked,
            "HTTP/1.1 200 OK\r\na: aaaaaaaaaaaaaaaaaaa\r\n",
        ),
        (
            "interim answers without end",
            &http,
            asked,
            "HTTP/1.1 100 Continue\r\n\r\n",
        ),
        (
            "an endless body",
            &http,
            begun,
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        (
            "a chunk of many terabytes",
            &http,
            refused,
            "ffffffffffff\r\naaaaaaaaaaaaaaaaaa",
        ),
        (
            "an endless body",
            &slack,
            begun,
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        ("endless chunks", &slack, refused, "8\r\naaaaaaaa\r\n"),
        (
            "an endless body",
            &telegram,
            begun,
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        ("endless chunks", &telegram, refused, "8\r\naaaaaaaa\r\n"),
    ] {
        survives(name, script, &Liar::start(talk, flood.as_bytes())?)?;
    }
    Ok(())
}

/// Schemes without a client that reads what a server sends, and why they are not among the tests.
const EXEMPT: [(&str, &str); 8] = [
    ("exec", "a program of the user's own"),
    ("file", "no server"),
    ("https", "the client of http, behind TLS"),
    ("stdin", "no server"),
    ("stdout", "no server"),
    (
        "tcp",
        "the source listens (see hostile_peers), the sink reads nothing",
    ),
    ("tls", "the client of nats, behind TLS"),
    (
        "unix",
        "the source listens (see hostile_peers), the sink reads nothing",
    ),
];

#[test]
fn every_client_is_lied_to() {
    let tests = include_str!("lying_servers.rs");
    for (scheme, _, _) in tributary::connect::option_names() {
        let is_exempt = EXEMPT.iter().any(|(exempt, _)| *exempt == scheme);
        let is_tested = ["source(", "sink("].iter().any(|make| {
            let calls = tests.split(make).skip(1);
            calls
                .map(str::trim_start)
                .any(|call| call.starts_with(&format!("\"{scheme}:")))
        });
        assert!(
            is_exempt != is_tested,
            "{scheme} stands in no test of lying servers"
        );
    }
}
