//! MariaDB is killed and started again, frozen, out of connections, its tables locked: nothing is
//! lost, and the work goes on soon after it is well again.

use crate::process::{PATIENCE, Site, stop, tail};
use crate::record;
use crate::seed::{Chance, chance};
use crate::server::Server;
use crate::support::binary::Running;
use crate::support::wait::eventually_within;
use mysql::prelude::Queryable;
use std::fmt::Write;
use std::time::{Duration, Instant};

const SCRIPT: &str = r#"
local tb = require("tributary")
tb.create_file_source("in", "log.jsonl", { follow = true, checkpoint = "place", in_flight = 200 })
tb.create_filter("once", "10h", { by = { "source", "sequence" }, store = true })
tb.create_table("arrivals", {
    key = "sequence",
    columns = { sequence = "integer", source = "text" },
})
tb.create_window("store", "arrivals")
tb.create_table("copies", {
    key = "sequence",
    columns = { sequence = "integer", source = "text" },
})
tb.create_sql_sink("rows", { table = "copies", mode = "upsert" })
tb.create_file_sink("out", "out.jsonl")
tb.chain("in", "once", "store", "out")
tb.link("store", "rows")
"#;

/// How soon work goes on once the server is well again.
const SOON: Duration = Duration::from_secs(5);
const EACH: u64 = 400;

/// A server, a process that works with it, and a log that grows.
struct Bench {
    server: Server,
    site: Site,
    running: Running,
    log: String,
    sent: u64,
}

impl Bench {
    fn new() -> Bench {
        let server = Server::start();
        let site = Site::with(SCRIPT);
        site.write("log.jsonl", "");
        let running = site.start(&["--db", &server.url()]);
        let mut bench = Bench {
            server,
            site,
            running,
            log: String::new(),
            sent: 0,
        };
        bench.send();
        bench.arrives("at first", PATIENCE);
        bench
    }

    /// More lines to read.
    fn send(&mut self) {
        for n in self.sent..self.sent + EACH {
            let _ = writeln!(self.log, "{}", record::line("r", "a", n, ""));
        }
        self.sent += EACH;
        // Only added to: the source follows it.
        let more = self.log.len() as u64 - self.site.len("log.jsonl");
        let from = self.log.len() - more as usize;
        let mut file = std::fs::OpenOptions::new();
        let file = file.append(true).open(self.site.path("log.jsonl"));
        let written = file.and_then(|mut file| {
            std::io::Write::write_all(&mut file, &self.log.as_bytes()[from..])
        });
        written.expect("the log can be added to");
    }

    fn lines(&self) -> u64 {
        self.site.read("out.jsonl").lines().count() as u64
    }

    /// Something more arrives within `limit`; says how long it took.
    fn goes_on(&mut self, case: &str, limit: Duration) -> Duration {
        let (before, began) = (self.lines(), Instant::now());
        if before >= self.sent {
            self.send();
        }
        let running = &mut self.running;
        eventually_within(limit, case, || {
            assert!(
                running.status().is_none(),
                "{case}: it has ended: {}",
                tail(&running.log())
            );
            self.site.read("out.jsonl").lines().count() as u64 > before
        });
        began.elapsed()
    }

    /// All that was sent arrives.
    fn arrives(&mut self, case: &str, limit: Duration) {
        let (site, sent, running) = (&self.site, self.sent, &mut self.running);
        eventually_within(limit, case, || {
            assert!(
                running.status().is_none(),
                "{case}: it has ended: {}",
                tail(&running.log())
            );
            site.read("out.jsonl").lines().count() as u64 >= sent
        });
    }

    /// Kills the server in the middle of work and starts it again.
    fn kill(&mut self, chance: &mut Chance) {
        self.send();
        std::thread::sleep(Duration::from_millis(chance.below(150)));
        self.server.0.kill();
        self.send();
        std::thread::sleep(Duration::from_millis(chance.below(1_000)));
        self.server.0.restart();
        let took = self.goes_on("after a kill", SOON);
        println!("killed: went on after {took:?}");
        self.arrives("after a kill", PATIENCE);
    }

    fn freeze(&mut self, time: Duration) {
        self.send();
        self.server.0.suspend();
        self.send();
        std::thread::sleep(time);
        self.server.0.resume();
        let took = self.goes_on("after a freeze", SOON);
        println!("frozen for {time:?}: went on after {took:?}");
        self.arrives("after a freeze", PATIENCE);
    }

    fn lock(&mut self, time: Duration) {
        let mut connection = self.server.connect().expect("the server answers");
        let locked = connection.query_drop("LOCK TABLES arrivals WRITE, copies WRITE");
        locked.expect("tables can be locked");
        self.send();
        std::thread::sleep(time);
        drop(connection);
        let took = self.goes_on("after a lock", SOON);
        println!("locked for {time:?}: went on after {took:?}");
        self.arrives("after a lock", PATIENCE);
    }

    /// All connections are taken while the server throws out those of the process.
    fn exhaust(&mut self, time: Duration) {
        let mut admin = self.server.connect().expect("the server answers");
        let theirs = "SELECT id FROM information_schema.processlist WHERE user = 'chaos'";
        let ids: Vec<u64> = admin.query(theirs).expect("it lists them");
        for id in ids {
            let _ = admin.query_drop(format!("KILL {id}"));
        }
        let mut taken = Vec::new();
        let end = Instant::now() + time;
        self.send();
        while Instant::now() < end {
            taken.extend(self.server.connect_as("chaos").ok());
            std::thread::sleep(Duration::from_millis(5));
        }
        println!("exhausted for {time:?} with {} connections", taken.len());
        assert!(taken.len() >= 8, "the connections were not exhausted");
        drop(taken);
        let took = self.goes_on("after connections were exhausted", SOON);
        println!("exhausted: went on after {took:?}");
        self.arrives("after connections were exhausted", PATIENCE);
    }

    /// Ends the process well, and compares.
    fn ends(self, troubles: u64) {
        stop(self.running);
        let (log, out) = (self.site.path("log.jsonl"), self.site.path("out.jsonl"));
        record::compare_files("r", &log, &out).expect_all(troubles * 400);
        assert_eq!(self.server.count("arrivals"), self.sent);
        assert_eq!(self.server.count("copies"), self.sent);
    }
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_server_that_is_killed_or_locked_loses_nothing() {
    let mut chance = chance("databases");
    let mut bench = Bench::new();
    bench.kill(&mut chance);
    bench.lock(Duration::from_secs(2));
    bench.ends(2);
}

mod long {
    use super::*;

    #[test]
    #[ignore = "takes minutes"]
    fn a_server_that_is_killed_twenty_times_frozen_locked_and_exhausted_loses_nothing() {
        let mut chance = chance("databases");
        let mut bench = Bench::new();
        for _ in 0..20 {
            bench.kill(&mut chance);
        }
        bench.freeze(Duration::from_secs(10));
        bench.exhaust(Duration::from_secs(5));
        bench.lock(Duration::from_secs(30));
        bench.ends(25);
    }
}
