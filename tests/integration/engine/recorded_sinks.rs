//! `replay` and `test` record the sinks that leave the process, and run none of them.

use crate::support::binary::Site;
use std::error::Error;

type Tested = Result<(), Box<dyn Error>>;

/// Sinks of each kind, behind one source. Port 1 of the loopback takes no connection.
const NET: &str = r#"
local tb = require("tributary")
tb.create_sink("page", "exec:/bin/sh", { args = { "-c", "touch ran" } })
tb.create_sink("post", "http://127.0.0.1:1/hook")
tb.create_sink("slack", "slack:http://127.0.0.1:1/secret-token", { text = "{data.n}" })
tb.create_sink("socket", "tcp://127.0.0.1:1")
tb.create_sink("rows", "sql:sqlite:other.db", { table = "ev", key = "n", columns = { n = "integer" } })
tb.create_sink("log", "file:log.jsonl")
tb.create_file_sink("file", "file.jsonl", { append = false })
tb.create_dlq("letters", { path = "letters.db" })
tb.create_queue("queue", "queue.db")
tb.create_map("bad", function(e) error("no") end)
tb.create_stdout("seen")
tb.link("in", "queue")
tb.fanout("queue", "page", "post", "slack", "socket", "rows", "log", "file", "bad", "seen")
tb.on_error("bad", "letters")
"#;

const RECORDED: [&str; 8] = [
    "page (exec:/bin/sh) 2 events",
    "post (http://127.0.0.1:1/hook) 2 events",
    "slack (slack:***) 2 events",
    "socket (tcp://127.0.0.1:1) 2 events",
    "rows (sql:sqlite:other.db) 2 events",
    "log (file:log.jsonl) 2 events",
    "file (file:file.jsonl) 2 events",
    "letters (dead letters in letters.db) 2 events",
];

const IN: &str = "{\"t\":1,\"n\":1}\n{\"t\":2,\"n\":2}\n";

fn site() -> std::io::Result<Site> {
    Site::with(&[
        ("net.lua", NET),
        ("in.jsonl", IN),
        ("file.jsonl", "what was there\n"),
    ])
}

/// What of all that the sinks would have left is there.
fn left(site: &Site) -> Vec<&'static str> {
    let all = ["ran", "other.db", "log.jsonl", "letters.db", "queue.db"];
    all.into_iter()
        .filter(|name| site.path(name).exists())
        .collect()
}

#[test]
fn a_replay_runs_no_sink_that_leaves_the_process_and_names_each() -> Tested {
    let site = site()?;
    let args = [
        "replay",
        "net.lua",
        "--input",
        "in=in.jsonl",
        "--time",
        "t",
        "--allow-os",
    ];
    let done = site.call(&args)?;
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), IN),
        "{}",
        done.stderr
    );
    let lines: Vec<_> = done
        .stderr
        .lines()
        .filter(|line| line.contains("recorded, not run"))
        .collect();
    assert_eq!(lines.len(), 1, "{}", done.stderr);
    for sink in RECORDED {
        assert!(lines[0].contains(sink), "{sink}: {}", lines[0]);
    }
    assert_eq!(left(&site), [""; 0]);
    assert_eq!(site.read("file.jsonl")?, "what was there\n");
    Ok(())
}

#[test]
fn a_replay_runs_all_sinks_where_that_is_asked_for() -> Tested {
    let site = site()?;
    let network = "\
local tb = require('tributary')
tb.create_sink('page', 'exec:/bin/sh', { args = { '-c', 'cat > /dev/null; touch ran' } })
tb.create_sink('log', 'file:log.jsonl')
tb.create_file_sink('file', 'file.jsonl', { append = false })
tb.fanout('in', 'page', 'log', 'file', 'out')
";
    std::fs::write(site.path("net.lua"), network)?;
    let args = [
        "replay",
        "net.lua",
        "--input",
        "in=in.jsonl",
        "--output",
        "out=out.jsonl",
    ];
    let args = [&args[..], &["--time", "t", "--allow-os"]].concat();
    let done = site.call(&args)?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(
        site.read("out.jsonl")?,
        IN,
        "--output is written either way"
    );
    assert_eq!(left(&site), [""; 0]);
    site.call(&[&args[..], &["--real"]].concat())?
        .expect(0, "", "");
    assert_eq!(left(&site), ["ran", "log.jsonl"]);
    assert_eq!(site.read("file.jsonl")?, IN);
    Ok(())
}

#[test]
fn a_replay_leaves_the_checkpoint_of_a_file_and_takes_nothing_from_a_connector() -> Tested {
    let network = "\
local tb = require('tributary')
tb.create_file_source('a', 'rates.jsonl', { checkpoint = 'a.place' })
tb.create_source('b', 'file:rates.jsonl', { checkpoint = 'b.place' })
tb.create_source('program', 'exec:/bin/sh', { args = { '-c', 'touch ran' } })
tb.create_source('socket', 'tcp://127.0.0.1:1')
tb.fanin('out', 'in', 'a', 'b', 'program', 'socket')
";
    let site = Site::with(&[
        ("net.lua", network),
        ("in.jsonl", IN),
        ("rates.jsonl", "{\"r\":1}\n"),
    ])?;
    let args = [
        "replay",
        "net.lua",
        "--input",
        "in=in.jsonl",
        "--output",
        "out=-",
    ];
    let done = site.call(&[&args[..], &["--time", "t", "--allow-os"]].concat())?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(
        done.stdout.matches("{\"r\":1}").count(),
        2,
        "{}",
        done.stdout
    );
    for name in ["a.place", "b.place", "ran"] {
        assert!(!site.path(name).exists(), "{name}");
    }
    Ok(())
}

#[test]
fn a_test_never_runs_a_sink_that_leaves_the_process() -> Tested {
    let site = site()?;
    let tests = r#"
local tb = require("tributary")
for _, name in ipairs({ "one", "two" }) do
    tb.test(name, function(t)
        t:load("net.lua")
        t:inject("in", { n = 1 })
        t:expect("post", { { n = 1 } })
        t:expect("page", { { n = 1 } })
        t:finish()
    end)
end
"#;
    std::fs::write(site.path("net_test.lua"), tests)?;
    let done = site.call(&["test", "net_test.lua", "--allow-os"])?;
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    let lines = done
        .stdout
        .lines()
        .filter(|line| line.contains("recorded, not run"));
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 1, "{}", done.stdout);
    for sink in RECORDED {
        assert!(lines[0].contains(sink), "{sink}: {}", lines[0]);
    }
    assert_eq!(left(&site), [""; 0]);
    let refused = site.call(&["test", "net_test.lua", "--real"])?;
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    Ok(())
}
