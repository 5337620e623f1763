//! Clients that do what they should not: each gets a clear answer, and nothing is disturbed.

use super::{NETWORK, Shown, Tested, ask, eventually, get, request};
use crate::support::binary::Site;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn an_address_that_is_in_use_or_open_to_all_is_refused_before_anything_runs() -> Tested {
    let shown = Shown::start(NETWORK, &[])?;
    let site = Site::with(&[("net.lua", NETWORK)])?;
    let run = |address: &str, more: &[&str]| {
        let mut args = vec!["run", "net.lua", "--for", "1s", "--admin", address];
        args.extend(more);
        site.call(&args)
    };
    let done = run(&shown.address(), &[])?;
    assert_eq!(done.code, Some(69), "{}", done.stderr);
    assert!(done.stderr.contains("in use"), "{}", done.stderr);
    for (address, expected) in [
        ("0.0.0.0:0", "any host could read it"),
        ("127.0.0.1", "no port"),
        ("http://127.0.0.1:7171", "a scheme is not expected"),
        ("127.0.0.1:7171/path", "no port"),
    ] {
        let done = run(address, &[])?;
        assert_eq!(done.code, Some(78), "{address}: {}", done.stderr);
        assert!(done.stderr.contains(expected), "{address}: {}", done.stderr);
    }
    let done = run("127.0.0.1:0", &["--admin-token", "plain"])?;
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("${env:NAME}"), "{}", done.stderr);
    let done = run("127.0.0.1:0", &["--admin-token", "${env:NOT_THERE_AT_ALL}"])?;
    assert_eq!(done.code, Some(78), "{}", done.stderr);
    assert_eq!(shown.json("/api/v1/stats")?["state"], "running");
    Ok(())
}

#[test]
fn a_page_of_another_site_gets_nothing() -> Tested {
    let shown = Shown::start(NETWORK, &[])?;
    let host = ask(
        shown.port,
        "GET /api/v1/stats HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
    )?;
    assert_eq!(host.status, 421);
    let origin = request(
        shown.port,
        "GET",
        "/api/v1/stats",
        "origin: http://evil.example\r\n",
    )?;
    assert_eq!(origin.status, 403);
    let post = request(shown.port, "POST", "/api/v1/stop", "")?;
    assert_eq!(post.status, 403);
    let none = ask(shown.port, "GET / HTTP/1.1\r\n\r\n")?;
    assert_eq!(none.status, 400);
    Ok(())
}

#[test]
fn requests_that_are_too_long_or_too_slow_end_and_disturb_nobody() -> Tested {
    let shown = Shown::start(NETWORK, &["--admin-token", "${env:TOKEN}"])?;
    // Ten megabytes are refused by their length, before they are sent.
    let head = "authorization: Bearer t0p-secret-token\r\ncontent-length: 10485760\r\n";
    assert_eq!(
        request(shown.port, "POST", "/api/v1/stop", head)?.status,
        413
    );
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(10 << 20));
    let mut stream = TcpStream::connect(("127.0.0.1", shown.port))?;
    // The server may close it before all was sent.
    let _ = stream.write_all(long.as_bytes());
    // 300 clients that send a byte now and then.
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(("127.0.0.1", shown.port))?;
        stream.write_all(b"GET / HT")?;
        slow.push(stream);
    }
    let begun = Instant::now();
    assert_eq!(get(shown.port, "/healthz")?.status, 200);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    // Each of them gets the answer that it took too long.
    let mut first = slow.swap_remove(0);
    first.set_read_timeout(Some(Duration::from_secs(40)))?;
    let mut received = String::new();
    let _ = first.read_to_string(&mut received);
    assert!(received.starts_with("HTTP/1.1 408"), "{received}");
    assert_eq!(shown.json("/api/v1/stats")?["state"], "running");
    Ok(())
}

#[test]
fn a_thousand_taps_that_nobody_reads_hold_nothing_back() -> Tested {
    let fast = r#"
        local tb = require("tributary")
        tb.create_generator("numbers", function(emit, n)
            for i = 1, 100 do emit({ n = n, text = ("x"):rep(100) }) end
            return true
        end, { every = "5ms" })
        tb.create_discarder("nowhere")
        tb.link("numbers", "nowhere")
    "#;
    let shown = Shown::start(fast, &[])?;
    let mut taps = Vec::new();
    let mut refused = 0;
    for _ in 0..1_000 {
        let Ok(mut tap) = TcpStream::connect(("127.0.0.1", shown.port)) else {
            refused += 1;
            continue;
        };
        tap.write_all(b"GET /api/v1/tap/numbers HTTP/1.0\r\n\r\n")?;
        taps.push(tap);
    }
    assert!(refused < 100, "{refused}");
    let received = || {
        let stats = shown.json("/api/v1/stats")?;
        let received = stats["nodes"]["nowhere"]["received"].as_u64();
        Ok::<_, Box<dyn std::error::Error>>(received.unwrap_or_default())
    };
    let before = received()?;
    let goes_on = eventually(|| Ok(received()? > before))?;
    assert!(goes_on, "the network stands still");
    // One that is read at last gets the number of events that it has lost.
    let mut tap = taps.swap_remove(0);
    tap.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut received = Vec::new();
    let mut part = [0; 1 << 16];
    let lost = eventually(|| {
        let size = tap.read(&mut part)?;
        received.extend(&part[..size]);
        Ok(String::from_utf8_lossy(&received).contains("{\"lost\":"))
    })?;
    assert!(lost);
    drop(taps);
    assert_eq!(get(shown.port, "/readyz")?.status, 200);
    Ok(())
}
