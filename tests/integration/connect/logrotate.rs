//! Logs that logrotate itself rotates, while their sink is away and the process is killed.

use crate::support::binary::{Running, Site};
use crate::support::process::free_port;
use std::collections::HashSet;
use std::error::Error;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

type Tested<T = ()> = Result<T, Box<dyn Error>>;

/// How many lines a round writes.
const LINES: usize = 300;
const IN_FLIGHT: usize = 100;
const SOON: Duration = Duration::from_millis(20);

struct Log {
    site: Site,
    port: u16,
    written: usize,
}

impl Log {
    /// A log under a rotation with these directives.
    fn with(directives: &str) -> Tested<Self> {
        let port = free_port();
        let script = format!(
            "local tb = require('tributary')
            tb.create_file_source('in', 'app.log',
                {{ follow = true, checkpoint = 'place', in_flight = {IN_FLIGHT}, rotate_wait = '1s' }})
            tb.create_sink('out', 'tcp://127.0.0.1:{port}')
            tb.link('in', 'out')"
        );
        let site = Site::with(&[("net.lua", &script), ("app.log", "")])?;
        let log = site.path("app.log");
        let conf = format!(
            "{} {{\n rotate 30\n missingok\n {directives}\n}}\n",
            log.display()
        );
        std::fs::write(site.path("conf"), conf)?;
        let path = site.path("conf");
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        Ok(Log {
            site,
            port,
            written: 0,
        })
    }

    fn write(&mut self) -> Tested {
        let mut log = OpenOptions::new()
            .append(true)
            .open(self.site.path("app.log"))?;
        for _ in 0..LINES {
            writeln!(log, "{{\"n\":{}}}", self.written)?;
            self.written += 1;
        }
        Ok(())
    }

    fn rotate(&self) -> Tested {
        let mut command = Command::new("logrotate");
        command
            .env("PATH", "/usr/sbin:/usr/bin:/bin")
            .arg("--force")
            .arg("--state");
        let done = command
            .arg(self.site.path("state"))
            .arg(self.site.path("conf"))
            .output()?;
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{stderr}");
        Ok(())
    }

    fn start(&self) -> Tested<Running> {
        let mut command = self.site.command(&["run", "net.lua"]);
        let stderr = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.site.path("stderr"))?;
        command.stdout(Stdio::null()).stderr(stderr);
        Ok(Running::of(command)?)
    }
}

fn kill(mut running: Running) -> Tested {
    // It reads meanwhile; the moment of the kill is what is tried.
    std::thread::sleep(Duration::from_millis(400));
    assert!(running.status().is_none(), "it has ended");
    running.kill()?;
    Ok(())
}

/// Takes what comes, from one connection after the other.
fn listen(port: u16) -> Tested<Arc<Mutex<Vec<String>>>> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let taken: Arc<Mutex<Vec<String>>> = Arc::default();
    let take = taken.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                take.lock().expect("nobody panics").push(line);
            }
        }
    });
    Ok(taken)
}

/// Rotations with the sink away and there, the process running, killed and started again. So many at
/// most while it doesn't run, with a pause between them.
fn rotations(directives: &str, while_down: usize, pause: Duration) -> Tested {
    let mut log = Log::with(directives)?;
    log.write()?;
    let mut running = log.start()?;
    // What was set aside before the first start is not read.
    running.until("a checkpoint", || log.site.path("place").exists())?;
    for _ in 0..4 {
        log.write()?;
        log.rotate()?;
        // So often it is looked at least.
        std::thread::sleep(pause.max(Duration::from_millis(400)));
    }
    kill(running)?;
    for _ in 0..while_down {
        log.write()?;
        log.rotate()?;
        // Names by the second differ.
        std::thread::sleep(pause);
    }
    log.write()?;
    let running = log.start()?;
    // It reads on from where it was.
    std::thread::sleep(pause.max(Duration::from_millis(700)));
    log.write()?;
    log.rotate()?;
    let taken = listen(log.port)?;
    log.write()?;
    kill(running)?;
    log.write()?;
    // Names by the second differ.
    std::thread::sleep(pause);
    log.rotate()?;
    let running = log.start()?;
    log.write()?;
    let expected: Vec<String> = (0..log.written).map(|n| format!("{{\"n\":{n}}}")).collect();
    let all: HashSet<&String> = expected.iter().collect();
    let begun = Instant::now();
    let missing = || {
        let taken = taken.lock().expect("nobody panics");
        let seen: HashSet<&String> = taken.iter().collect();
        let missing = all.difference(&seen).map(|line| (*line).clone());
        missing.collect::<Vec<String>>()
    };
    while !missing().is_empty() {
        let left = missing();
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{} of {} are missing, as {:?}; it logged: {}",
            left.len(),
            all.len(),
            left.iter().min(),
            log.site.read("stderr")?
        );
        // Until the next look.
        std::thread::sleep(Duration::from_millis(50));
    }
    // What came twice would come meanwhile.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(
        running.stop()?.code,
        Some(0),
        "{}",
        log.site.read("stderr")?
    );
    let taken = taken.lock().expect("nobody panics");
    let again = taken.len() - all.len();
    println!("{directives:?}: {} lines, {again} came again", all.len());
    // Two kills, and a batch of which a sink that was lost does not know how far it came.
    assert!(again <= 2 * IN_FLIGHT + 512, "{again} came again");
    assert!(taken.iter().all(|line| all.contains(line)), "half a line");
    let mut seen = HashSet::new();
    let firsts: Vec<&String> = taken.iter().filter(|line| seen.insert(*line)).collect();
    let at = firsts
        .iter()
        .zip(&expected)
        .position(|(one, other)| *one != other);
    if let Some(at) = at {
        let stderr = log.site.read("stderr")?;
        let parts: Vec<&String> = firsts.iter().step_by(300).copied().collect();
        panic!(
            "the order, from {} on ({}): {parts:?}; it logged: {stderr}",
            expected[at], firsts[at]
        );
    }
    let stderr = log.site.read("stderr")?;
    assert!(
        !stderr.contains("lost:") || !stderr.contains("is lost"),
        "{stderr}"
    );
    Ok(())
}

#[test]
#[ignore = "needs logrotate"]
fn every_line_of_a_log_that_is_renamed_arrives() -> Tested {
    rotations("create", 5, SOON)
}

#[test]
#[ignore = "needs logrotate"]
fn every_line_of_a_log_that_is_copied_and_cut_arrives() -> Tested {
    rotations("copytruncate", 3, SOON)
}

#[test]
#[ignore = "needs logrotate"]
fn every_line_of_a_log_that_is_compressed_a_rotation_later_arrives() -> Tested {
    rotations("create\n compress\n delaycompress", 4, SOON)
}

#[test]
#[ignore = "needs logrotate"]
fn every_line_of_a_log_that_is_compressed_at_once_arrives() -> Tested {
    rotations("create\n compress", 4, SOON)
}

#[test]
#[ignore = "needs logrotate"]
fn every_line_of_a_log_that_is_copied_cut_and_compressed_arrives() -> Tested {
    rotations("copytruncate\n compress", 3, SOON)
}

#[test]
#[ignore = "needs logrotate"]
fn every_line_of_a_log_that_is_named_by_its_date_arrives() -> Tested {
    let directives = "create\n dateext\n dateformat -%Y%m%d-%s\n extension .log";
    rotations(directives, 2, Duration::from_millis(1_100))
}
