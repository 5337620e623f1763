//! The API and the metrics.

use super::{NETWORK, Shown, Tested, eventually, get, request};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;
use tributary::admin::{Admin, AdminOptions};
use tributary::{Network, sink, source};

#[test]
fn the_api_answers_what_a_network_is_and_does() -> Tested {
    let shown = Shown::start(NETWORK, &[])?;
    let network = shown.json("/api/v1/network")?;
    let nodes = network["nodes"].as_array().ok_or("no nodes")?;
    let named = |name: &str| nodes.iter().find(|node| node["name"] == name).cloned();
    let double = named("double").ok_or("no node double")?;
    assert_eq!(double["kind"], "pipeline");
    assert_eq!(double["place"], "net.lua:8");
    let code = double["code"].as_str().unwrap_or_default();
    assert!(
        code.starts_with("tb.create_map(\"double\"") && code.ends_with("end)"),
        "{code}"
    );
    assert_eq!(named("totals").ok_or("no window")?["window"], true);
    let layout = &network["layout"];
    assert!(layout["nodes"]["double"]["x"].as_f64() > layout["nodes"]["numbers"]["x"].as_f64());
    assert!(
        layout["links"][0]["path"]
            .as_str()
            .is_some_and(|path| path.starts_with('M'))
    );
    assert_eq!(network["links"][0]["capacity"]["events"], 4096);

    let flows = || {
        let stats = shown.json("/api/v1/stats")?;
        Ok(stats["nodes"]["double"]["rate"].as_f64() > Some(10.0)
            && stats["nodes"]["refused"]["received"].as_u64() > Some(3))
    };
    assert!(eventually(flows)?);
    let stats = shown.json("/api/v1/stats")?;
    assert_eq!(stats["state"], "running");
    assert!(
        stats["nodes"]["double"]["latency"]["p99"].as_f64() > Some(0.0),
        "{stats}"
    );
    assert!(stats["last_errors"]["picky"].is_string(), "{stats}");

    let plans = shown.json("/api/v1/plan")?;
    assert_eq!(plans[0]["node"], "totals");
    let explained = shown.json("/api/v1/explain/totals")?;
    assert!(
        explained["text"]
            .as_str()
            .is_some_and(|text| text.contains("plan:")),
        "{explained}"
    );
    let errors = shown.json("/api/v1/errors")?;
    assert_eq!(
        (&errors[0]["node"], &errors[0]["what"]),
        (&"picky".into(), &"event rejected".into())
    );
    assert!(
        errors[0]["error"]
            .as_str()
            .is_some_and(|error| error.contains("too much"))
    );
    let units = shown.json("/api/v1/units")?;
    assert_eq!(units[0]["name"], "net.lua");
    assert_eq!(
        units[0]["nodes"].as_array().map(Vec::len),
        Some(7),
        "{units}"
    );
    Ok(())
}

#[test]
fn what_is_not_there_is_said_so() -> Tested {
    let shown = Shown::start(NETWORK, &[])?;
    for (path, status, expected) in [
        ("/nothing", 404, "nothing is here"),
        ("/api/v1/explain/total", 404, "did you mean \\\"totals\\\"?"),
        ("/api/v1/tap/doubel", 404, "did you mean \\\"double\\\"?"),
        ("/api/v1/tap/double.late", 404, "has no port"),
        ("/api/v1/stop", 405, "posted"),
        ("/api/v1/reload", 405, "a change is posted"),
    ] {
        let reply = get(shown.port, path)?;
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        assert!(reply.body.contains(expected), "{path}: {}", reply.body);
    }
    assert_eq!(request(shown.port, "HEAD", "/metrics", "")?.body, "");
    Ok(())
}

#[test]
fn readiness_names_the_node_that_is_not_open() -> Tested {
    let script = NETWORK.to_owned()
        + "tb.create_sink(\"bus\", \"tcp://127.0.0.1:1\")\ntb.link(\"picky\", \"bus\")\n";
    let port = crate::support::process::free_port();
    let site = crate::support::binary::Site::with(&[("net.lua", &script)])?;
    let address = format!("127.0.0.1:{port}");
    let mut child = site
        .command(&["run", "net.lua", "--admin", &address])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let named = || {
        let Ok(reply) = get(port, "/readyz") else {
            return Ok(false);
        };
        Ok(reply.status == 503 && reply.body.contains("\"node\":\"bus\",\"state\":\"lost\""))
    };
    let found = eventually(named);
    let alive = get(port, "/healthz");
    child.kill()?;
    child.wait()?;
    assert!(found?);
    assert_eq!(alive?.status, 200);
    Ok(())
}

#[test]
fn a_stop_needs_the_token_and_drains() -> Tested {
    let mut shown = Shown::start(NETWORK, &["--admin-token", "${env:TOKEN}"])?;
    let post = |headers: &str| request(shown.port, "POST", "/api/v1/stop", headers);
    assert_eq!(post("content-length: 0\r\n")?.status, 401);
    assert_eq!(
        post("authorization: Bearer t0p-secret-tokem\r\n")?.status,
        401
    );
    assert_eq!(shown.json("/api/v1/stats")?["state"], "running");
    let stopped = post("authorization: Bearer t0p-secret-token\r\n")?;
    assert_eq!(
        (stopped.status, stopped.body.trim()),
        (200, "{\"state\":\"stopping\"}")
    );
    assert_eq!(shown.ended()?, Some(0));
    let log = shown.site.read("log")?;
    assert!(!log.contains("t0p-secret"), "{log}");
    Ok(())
}

/// Reads lines of a tap until this many have come.
fn tapped(port: u16, path: &str, lines: usize) -> Tested<Vec<String>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    // A client of HTTP/1.0 gets no chunks.
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let read = BufReader::new(stream)
        .lines()
        .skip_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()));
    let read = read.filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty()));
    Ok(read.take(lines).collect::<Result<_, _>>()?)
}

#[test]
fn a_tap_streams_what_a_port_sends_or_a_node_takes() -> Tested {
    let shown = Shown::start(NETWORK, &[])?;
    for (path, port, field) in [
        ("double", "out", "double"),
        ("double.in", "in", "stake"),
        ("nowhere", "in", "double"),
        ("picky.errors", "errors", "double"),
    ] {
        for line in tapped(shown.port, &format!("/api/v1/tap/{path}"), 3)? {
            let value: serde_json::Value = serde_json::from_str(&line)?;
            assert_eq!(value["port"], port, "{line}");
            if path != "nowhere" {
                assert!(value["data"][field].is_number(), "{line}");
            }
            assert_eq!(
                value["meta"]["error"].is_string(),
                port == "errors",
                "{line}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_tap_of_a_network_in_rust_ends_with_the_network_and_leaves_acks_alone() -> Tested {
    let network = Network::new();
    let (numbers, source) = source::channel();
    network.add_source("numbers", source)?;
    network.add_sink("sink", sink::handler(|_| Ok(())))?;
    network.link("numbers", "sink")?;
    let admin = Admin::serve(&network, &AdminOptions::new("127.0.0.1:0"))?;
    assert_eq!(get(admin.port(), "/readyz")?.status, 503);
    network.start()?;
    assert_eq!(get(admin.port(), "/readyz")?.status, 200);
    let tap = network.tap("numbers")?;
    let port = admin.port();
    let reader =
        std::thread::spawn(move || tapped(port, "/api/v1/tap/sink", 1).map_err(|e| e.to_string()));
    let sends = eventually(|| {
        numbers.send("7")?;
        Ok(reader.is_finished())
    });
    assert!(sends?);
    let lines = reader.join().expect("the reader returns")?;
    assert!(lines[0].contains("\"data\":7"), "{lines:?}");
    // The tap that is not read keeps no event from its outcome.
    drop(numbers);
    network.wait()?;
    assert!(tap.next(Duration::from_secs(1)).is_some());
    assert_eq!(get(admin.port(), "/readyz")?.status, 503);
    Ok(())
}

#[test]
fn metrics_are_text_of_prometheus() -> Tested {
    let shown = Shown::start(NETWORK, &[])?;
    assert!(eventually(|| Ok(get(shown.port, "/metrics")?
        .body
        .contains("latency_seconds_count")))?);
    let reply = get(shown.port, "/metrics")?;
    assert!(
        reply.head.contains("text/plain; version=0.0.4"),
        "{}",
        reply.head
    );
    for line in [
        "tributary_running 1",
        "tributary_node_up{node=\"double\"} 1",
        "tributary_window_info{node=\"totals\",plan=",
        "tributary_link_queued_events{from=\"picky.errors\",to=\"refused\"} ",
        "# TYPE tributary_node_busy_seconds_total counter",
    ] {
        assert!(reply.body.contains(line), "{line}: {}", reply.body);
    }
    Ok(())
}

#[test]
#[ignore = "needs promtool, of Debian's package prometheus"]
fn the_metrics_pass_the_check_of_promtool() -> Tested {
    let shown = Shown::start(NETWORK, &[])?;
    assert!(eventually(|| Ok(get(shown.port, "/metrics")?
        .body
        .contains("latency_seconds_count")))?);
    let metrics = get(shown.port, "/metrics")?.body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool
        .stdin
        .take()
        .ok_or("no input")?
        .write_all(metrics.as_bytes())?;
    let done = promtool.wait_with_output()?;
    let output =
        String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && output.trim().is_empty(),
        "{output}"
    );
    Ok(())
}

#[test]
fn curl_is_a_client() -> Tested {
    let shown = Shown::start(NETWORK, &[])?;
    let Ok(done) = Command::new("curl")
        .args([
            "-sS",
            "--max-time",
            "20",
            &format!("http://{}/api/v1/stats", shown.address()),
        ])
        .output()
    else {
        return Ok(());
    };
    let stats: serde_json::Value = serde_json::from_slice(&done.stdout)?;
    assert_eq!(stats["state"], "running");
    // A stream that curl reads in chunks for a second.
    let tap = format!("http://{}/api/v1/tap/double", shown.address());
    let done = Command::new("curl")
        .args(["-sS", "-N", "--max-time", "2", &tap])
        .output()?;
    assert!(String::from_utf8_lossy(&done.stdout).lines().count() > 5);
    Ok(())
}
