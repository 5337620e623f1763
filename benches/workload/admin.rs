//! The flow of `hop-3` while its metrics and its account are asked for once a second.

use super::network::{Drain, Spring, run};
use super::watch::Watch;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tributary::admin::{Admin, AdminOptions};
use tributary::pipeline::Forwarder;
use tributary::{Network, Result};

/// Three forwarders that are looked at.
pub fn scraped(events: u64) -> Duration {
    flow(events).expect("a chain of forwarders runs")
}

fn flow(events: u64) -> Result<Duration> {
    let watch = Watch::new(1);
    let network = Network::new();
    network.add_source("spring", Spring::new(&watch, events))?;
    let mut last = "spring".to_owned();
    for at in 0..3 {
        let next = format!("hop-{at}");
        network.add_pipeline(&next, Forwarder)?;
        network.link(&last, &next)?;
        last = next;
    }
    network.add_sink("drain", Drain::new(&watch, events))?;
    network.link(&last, "drain")?;
    let admin = Admin::serve(&network, &AdminOptions::new("127.0.0.1:0"))?;
    let (port, ended) = (admin.port(), Arc::new(AtomicBool::new(false)));
    let scraper = {
        let ended = ended.clone();
        std::thread::spawn(move || scrape(port, &ended))
    };
    let took = run(&network, &watch);
    ended.store(true, Ordering::Relaxed);
    scraper.join().expect("the scraper does not panic");
    took
}

fn scrape(port: u16, ended: &AtomicBool) {
    let mut next = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        if Instant::now() < next {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        next += Duration::from_secs(1);
        for path in ["/metrics", "/api/v1/stats"] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
            let request = format!("GET {path} HTTP/1.0\r\n\r\n");
            stream.write_all(request.as_bytes()).expect("it reads");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("it answers");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }
}
