//! Calls that no limit of time can end, since they wait in C: the watchdog gives up on them.
//!
//! `os.execute` stands for whatever does not return.

use crate::support::binary::Site;
use crate::support::probe::{Seen, soon};
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tributary::script::{self, ScriptLimits};
use tributary::{Database, ErrorKind, Network, Outcome, Runtime, source};

type Tested = std::result::Result<(), Box<dyn Error>>;

/// How long a second node may take to answer.
const ANSWER: Duration = Duration::from_millis(100);

/// How long the hanging calls take: a test that waits for them fails.
const HANGS: &str = "os.execute('exec sleep 25 >/dev/null 2>&1')";

/// Limits of scripts that may call the system.
fn limits(time: Duration) -> ScriptLimits {
    ScriptLimits::new()
        .call_time(time)
        .load_time(time)
        .allow_os(true)
}

#[test]
fn a_function_that_does_not_return_fails_its_node_and_no_other() -> Tested {
    let limit = Duration::from_millis(600);
    let network = Network::new();
    let ((to_f, f), (to_g, g)) = (source::channel(), source::channel());
    network.add_source("to_f", f)?;
    network.add_source("to_g", g)?;
    let (of_f, of_g) = (Seen::at(&network, "of_f")?, Seen::at(&network, "of_g")?);
    let runtime =
        Runtime::with_limits(&network, &Database::open("sqlite::memory:")?, limits(limit))?;
    runtime.run_text(
        "net.lua",
        format!(
            "local tb = require('tributary')\n\
             tb.create_map('f', function(e)\nif e.payload == 'bad' then {HANGS} end return e end)\n\
             tb.create_map('g', function(e) return e end)\n\
             tb.chain('to_f', 'f', 'of_f') tb.chain('to_g', 'g', 'of_g') tb.link('f', 'of_g')"
        ),
    )?;
    network.start()?;
    assert_eq!(to_f.deliver("good")?, Outcome::Delivered);
    let begun = Instant::now();
    to_f.send("bad")?;
    for _ in 0..10 {
        let sent = Instant::now();
        assert_eq!(to_g.deliver("next")?, Outcome::Delivered);
        assert!(sent.elapsed() < ANSWER, "{:?}", sent.elapsed());
    }
    let failed = || network.stats().node("f").is_some_and(|node| node.failed);
    assert!(!failed());
    assert!(soon(failed));
    let took = begun.elapsed();
    assert!(took > limit * 3 / 2 && took < limit * 3, "{took:?}");
    // What is sent to it fails, and holds nothing back.
    for _ in 0..5 {
        assert_eq!(to_f.deliver("late")?, Outcome::Failed);
    }
    assert_eq!(to_g.deliver("more")?, Outcome::Delivered);
    let begun = Instant::now();
    let error = network.stop().expect_err("a node has failed");
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert_eq!(
        error.to_string(),
        "net.lua:2: node f: call time budget 600ms exceeded, and it does not return"
    );
    assert_eq!((of_f.len(), of_g.len()), (1, 12));
    Ok(())
}

#[test]
fn a_source_that_does_not_return_ends_for_those_behind_it() -> Tested {
    let network = Network::new();
    let seen = Seen::at(&network, "seen")?;
    let limits = limits(Duration::from_millis(100));
    let runtime = Runtime::with_limits(&network, &Database::open("sqlite::memory:")?, limits)?;
    runtime.run_text(
        "net.lua",
        format!(
            "local tb = require('tributary')\n\
             tb.create_generator('f', function(emit, n) if n == 3 then {HANGS} end emit('x') end,\n\
             {{ every = '10ms' }})\n\
             tb.link('f', 'seen')"
        ),
    )?;
    network.start()?;
    let begun = Instant::now();
    // It ends by itself: its only source has ended.
    assert!(network.wait().is_err());
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(seen.len(), 2);
    Ok(())
}

#[test]
fn the_process_runs_on_after_a_node_was_given_up_and_stops_in_time() -> Tested {
    let net = format!(
        "local tb = require('tributary')\n\
         tb.create_stdin('in') tb.create_stdout('out')\n\
         tb.create_map('f', function(e) if e.data.k == 'bad' then {HANGS} end return e end)\n\
         tb.create_map('g', function(e) return e end)\n\
         tb.create_discarder('rest') tb.chain('in', 'f', 'rest')\n\
         tb.link('in', 'g') tb.link('g', 'out')"
    );
    let site = Site::with(&[("net.lua", &net)])?;
    let args = ["run", "net.lua", "--allow-os", "--lua-call-time", "500ms"];
    let mut running = site.start(&args)?;
    let mut answer = |payload: &str| -> std::result::Result<Duration, Box<dyn Error>> {
        let begun = Instant::now();
        assert_eq!(running.ask(payload)?, payload);
        Ok(begun.elapsed())
    };
    answer(r#"{"k":"good"}"#)?;
    answer(r#"{"k":"bad"}"#)?;
    let until = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < until {
        let took = answer(r#"{"k":"next"}"#)?;
        assert!(took < ANSWER, "{took:?}");
        // One question after the other, with a pause between them.
        std::thread::sleep(Duration::from_millis(50));
    }
    let begun = Instant::now();
    let done = running.stop()?;
    assert!(begun.elapsed() < Duration::from_secs(8), "{}", done.stderr);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    let message = "net.lua:3: node f: call time budget 500ms exceeded, and it does not return; \
                its thread is left behind, and the network goes on without it";
    assert!(done.stderr.contains(message), "{}", done.stderr);
    Ok(())
}

#[test]
fn a_script_that_does_not_return_ends_the_command_within_twice_its_limit() -> Tested {
    let test = format!("require('tributary').test('t', function() end)\n{HANGS}");
    let call = format!(
        "local tb = require('tributary')\n\
         tb.create_map('f', function(e) {HANGS} end) tb.create_discarder('d') tb.link('f', 'd')"
    );
    let call_test = "require('tributary').test('t', function(t)\n\
                     t:load('call.lua') t:inject('f', 'x') end)";
    let site = Site::with(&[
        ("net.lua", &format!("\n{HANGS}")),
        ("net_test.lua", &test),
        ("call.lua", &call),
        ("call_test.lua", call_test),
    ])?;
    let cases: [(&[&str], &str, &str, u64); 6] = [
        (
            &["check", "net.lua"],
            "",
            "net.lua: load time budget 5s",
            10,
        ),
        (
            &["graph", "net.lua"],
            "",
            "net.lua: load time budget 5s",
            10,
        ),
        (&["run", "net.lua"], "", "net.lua: load time budget 5s", 10),
        (
            &["test", "net_test.lua"],
            "",
            "net_test.lua:1: load time budget 5s",
            10,
        ),
        (
            &["test", "call_test.lua"],
            "",
            "call.lua:2: call time budget 1s",
            2,
        ),
        (&["repl"], HANGS, "typed: load time budget 5s", 10),
    ];
    std::thread::scope(|scope| {
        for (args, input, wanted, limit) in cases {
            let site = &site;
            scope.spawn(move || {
                let begun = Instant::now();
                let mut args = args.to_vec();
                args.push("--allow-os");
                let done = site.feed(&args, input).expect("it ends");
                let took = begun.elapsed();
                // A second for the process itself, on a busy machine.
                let most = Duration::from_secs(limit + 1);
                assert!(took < most, "{args:?} took {took:?}");
                assert_eq!(done.code, Some(65), "{args:?}: {}", done.stderr);
                let wanted = format!("tributary: {wanted} exceeded, and it does not return\n");
                assert_eq!(done.stderr, wanted, "{args:?}");
            });
        }
    });
    Ok(())
}

/// Helpers that return the first time, when scripts are loaded, and hang the second time, when a node with a
/// function opens.
fn helpers() -> String {
    format!(
        "local tb = ...\n\
         function tb.helped() return true end\n\
         local loaded = io.open('LOADED')\n\
         if loaded then {HANGS} end\n\
         io.open('LOADED', 'w'):close()"
    )
}

#[test]
fn a_node_that_does_not_return_while_it_opens_is_named_within_twice_its_limit() -> Tested {
    let net = "local tb = require('tributary')\n\
               tb.create_stdin('in')\n\
               tb.create_map('f', function(e) return tb.helped() and e end)\n\
               tb.create_discarder('d') tb.chain('in', 'f', 'd')";
    let site = Site::with(&[("net.lua", net)])?;
    std::fs::create_dir(site.path("helpers"))?;
    let helpers = helpers().replace("LOADED", "loaded");
    std::fs::write(site.path("helpers/h.lua"), helpers)?;
    let args = [
        "run",
        "net.lua",
        "--allow-os",
        "--prelude",
        "helpers",
        "--lua-call-time",
        "1s",
    ];
    let begun = Instant::now();
    let done = site.feed(&args, "")?;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}: {}", done.stderr);
    assert_ne!(done.code, Some(0));
    let message = "node f: load time budget 5s exceeded, and it does not return";
    assert!(done.stderr.contains(message), "{}", done.stderr);
    assert!(done.stderr.contains("net.lua:3"), "{}", done.stderr);
    Ok(())
}

#[test]
fn a_running_network_goes_on_where_a_new_node_does_not_return_while_it_opens() -> Tested {
    let limit = Duration::from_millis(600);
    let place = tempfile::tempdir()?;
    let loaded = place.path().join("loaded").display().to_string();
    std::fs::write(
        place.path().join("h.lua"),
        helpers().replace("LOADED", &loaded),
    )?;
    let network = Network::new();
    let (to_f, f) = source::channel();
    network.add_source("to_f", f)?;
    let seen = Seen::at(&network, "seen")?;
    network.link("to_f", "seen")?;
    let runtime =
        Runtime::with_limits(&network, &Database::open("sqlite::memory:")?, limits(limit))?;
    runtime.add_prelude(place.path())?;
    network.start()?;
    let begun = Instant::now();
    let error = runtime
        .run_text(
            "net.lua",
            "local tb = require('tributary')\n\
             tb.create_map('g', function(e) return e end)\n\
             tb.link('to_f', 'g') tb.link('g', 'seen')",
        )
        .expect_err("g does not open");
    let took = begun.elapsed();
    let message = "node g: load time budget 600ms exceeded, and it does not return";
    assert!(error.to_string().contains(message), "{error}");
    // Not only after the time that all nodes together have for opening.
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(to_f.deliver("next")?, Outcome::Delivered);
    assert_eq!(seen.len(), 1);
    assert!(network.stats().node("g").is_none());
    let begun = Instant::now();
    network.stop()?;
    assert!(begun.elapsed() < Duration::from_secs(2));
    Ok(())
}

#[test]
fn a_function_of_the_host_that_does_not_return_is_reported_with_its_line() -> Tested {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let reports = reported.clone();
    script::on_overrun(move |error| {
        reports.lock().expect("a list").push(error.to_string());
    });
    let (let_go, waits) = gate();
    let host = std::thread::spawn(move || -> tributary::Result<()> {
        let limits = limits(Duration::from_millis(100));
        let database = Database::open("sqlite::memory:")?;
        let runtime = Runtime::with_limits(&Network::new(), &database, limits)?;
        runtime.export("hang", move |_| {
            let _ = waits.lock().expect("a receiver").recv();
            Ok(true.into())
        })?;
        runtime.run_text("host.lua", "\nrequire('tributary').hang()")
    });
    let message = "host.lua:2: load time budget 100ms exceeded, and it does not return";
    let is_reported = || {
        reported
            .lock()
            .is_ok_and(|all| all.iter().any(|e| e == message))
    };
    assert!(soon(is_reported));
    let_go.send(())?;
    let _ = host.join().expect("no panic");
    Ok(())
}

#[test]
fn a_reader_that_takes_its_time_is_no_overrun() -> Tested {
    let net = "local tb = require('tributary')\n\
               tb.create_stdin('in')\n\
               tb.create_map('f', function(e) print(('x'):rep(1 << 20)) return nil end)\n\
               tb.link('in', 'f')";
    let site = Site::with(&[("net.lua", net)])?;
    let args = ["run", "net.lua", "--lua-call-time", "200ms"];
    let mut running = site.start(&args)?;
    running.send("{}\n")?;
    drop(running.stdin.take());
    // The pipe is full meanwhile, for longer than a call may take.
    std::thread::sleep(Duration::from_millis(1_500));
    let done = running.wait()?;
    assert!(!done.stderr.contains("does not return"), "{}", done.stderr);
    assert!(done.stdout.len() > 1 << 20);
    Ok(())
}

/// A channel whose receiver can be shared.
fn gate() -> (
    std::sync::mpsc::Sender<()>,
    Mutex<std::sync::mpsc::Receiver<()>>,
) {
    let (tx, rx) = std::sync::mpsc::channel();
    (tx, Mutex::new(rx))
}
