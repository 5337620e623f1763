//! A fake server of the web for tests: it writes down what it is asked and answers as it is told.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A request that came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub at: Instant,
    /// Whether it was refused for what it says.
    pub refused: bool,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A server on a free port, in threads of its own.
#[derive(Clone)]
pub struct Web {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<VecDeque<String>>>,
    /// What is refused where a body contains it, and how often.
    refused: Arc<Mutex<(String, usize)>>,
}

impl Web {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let web = Web {
            port: listener.local_addr().expect("an address").port(),
            asked: Arc::default(),
            answers: Arc::default(),
            refused: Arc::default(),
        };
        let serving = web.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(&stream));
            }
        });
        web
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How the next requests are answered: `"429 Retry-After: 1"`; then all with 200.
    pub fn answer(&self, answers: &[&str]) {
        let answers = answers.iter().map(|&answer| answer.to_owned());
        self.answers.lock().unwrap().extend(answers);
    }

    /// So many requests with this text in their body are answered with 400.
    pub fn refuse(&self, text: &str, times: usize) {
        *self.refused.lock().unwrap() = (text.to_owned(), times);
    }

    fn refuses(&self, body: &str) -> bool {
        let (text, times) = &mut *self.refused.lock().unwrap();
        let refuses = *times > 0 && body.contains(&*text);
        *times -= usize::from(refuses);
        refuses
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn bodies(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.body).collect()
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if !matches!(reader.read_line(&mut line), Ok(1..)) {
                return;
            }
            let (mut headers, mut length) = (Vec::new(), 0);
            loop {
                let mut header = String::new();
                if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
                    break;
                }
                let (name, value) = header.trim().split_once(": ").unwrap_or_default();
                let name = name.to_lowercase();
                if name == "content-length" {
                    length = value.parse().unwrap_or(0);
                }
                headers.push((name, value.to_owned()));
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let body = String::from_utf8_lossy(&body).into_owned();
            let refused = self.refuses(&body);
            self.asked.lock().unwrap().push(Asked {
                line: line.trim().to_owned(),
                headers,
                body,
                at: Instant::now(),
                refused,
            });
            let answer = self.answers.lock().unwrap().pop_front();
            let answer = answer.unwrap_or_else(|| (if refused { "400" } else { "200" }).to_owned());
            let (status, header) = answer.split_once(' ').unwrap_or((&answer, "x: y"));
            let mut stream = stream;
            let answer =
                format!("HTTP/1.1 {status} Said\r\n{header}\r\ncontent-length: 6\r\n\r\nanswer");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}
