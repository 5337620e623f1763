//! What a sink of the suite writes to: a listener for lines, or a server of the web.

use crate::connect::web::Web;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Which service a sink needs.
#[derive(Clone, Copy, PartialEq)]
pub enum Needs {
    Nothing,
    Tcp,
    Unix,
    /// A server that refuses a request whose body contains this.
    Web(&'static str),
}

/// A service that runs.
pub enum Service {
    Nothing,
    Lines { address: String, lines: Lines },
    Web(Web),
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Service {
    pub fn start(needs: Needs, directory: &Path, refusals: usize) -> Self {
        match needs {
            Needs::Nothing => Service::Nothing,
            Needs::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
                let address = listener.local_addr().expect("an address").to_string();
                let lines = collect(move || listener.accept().map(|(stream, _)| stream));
                Service::Lines { address, lines }
            }
            Needs::Unix => {
                let path = directory.join("socket");
                let listener = UnixListener::bind(&path).expect("a socket");
                let lines = collect(move || listener.accept().map(|(stream, _)| stream));
                let address = path.display().to_string();
                Service::Lines { address, lines }
            }
            Needs::Web(refused) => {
                let web = Web::start();
                web.refuse(refused, refusals);
                Service::Web(web)
            }
        }
    }

    /// What stands for `@` in the script of a sink.
    pub fn address(&self) -> String {
        match self {
            Service::Nothing => String::new(),
            Service::Lines { address, .. } => address.clone(),
            Service::Web(web) => web.url("/"),
        }
    }

    /// The lines or bodies that were taken.
    pub fn taken(&self) -> Vec<String> {
        match self {
            Service::Nothing => Vec::new(),
            Service::Lines { lines, .. } => lines.lock().expect("no panic").clone(),
            Service::Web(web) => {
                let asked = web.asked().into_iter().filter(|asked| !asked.refused);
                asked.map(|asked| asked.body).collect()
            }
        }
    }
}

/// Collects the lines of all who connect.
fn collect<S: Read + Send + 'static>(
    accept: impl Fn() -> std::io::Result<S> + Send + 'static,
) -> Lines {
    let lines = Lines::default();
    let all = lines.clone();
    std::thread::spawn(move || {
        while let Ok(stream) = accept() {
            let lines = all.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    lines.lock().expect("no panic").push(line);
                }
            });
        }
    });
    lines
}
