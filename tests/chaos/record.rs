//! Events that can be checked from outside, and the checker: it reads what a source was given and
//! what a sink has written, and asks nobody's counters.
//!
//! A line names its run, its source and its number there, and ends with a checksum over all that
//! stands before: `{"run":"r","source":"a","sequence":7,…,"checksum":"0123456789abcdef"}`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::fs;
use std::path::Path;

const MARK: &str = ",\"checksum\":\"";

/// What distinguishes one line of a run.
pub type Place = (String, u64);

/// A line without its end. `fields` is more JSON, as in `"amount":5`, or nothing.
pub fn line(run: &str, source: &str, sequence: u64, fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { "," };
    let body =
        format!(r#"{{"run":"{run}","source":"{source}","sequence":{sequence}{comma}{fields}"#);
    let sum = checksum(body.as_bytes());
    format!("{body}{MARK}{sum:016x}\"}}")
}

/// Lines 0 to one less than `count` of one source, each with its end.
pub fn log(run: &str, source: &str, count: u64) -> String {
    (0..count)
        .map(|n| line(run, source, n, &format!(r#""text":"{}""#, text(n))) + "\n")
        .collect()
}

/// Texts of various lengths, some of them not plain ASCII.
fn text(n: u64) -> String {
    match n % 4 {
        0 => String::new(),
        1 => "ä€😀".to_owned(),
        2 => r#"\"quoted\\\n"#.to_owned(),
        _ => "x".repeat((n % 97) as usize),
    }
}

/// FNV-1a.
pub fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Which line this is, if it is whole and of this run.
pub fn place(run: &str, line: &str) -> Option<Place> {
    let (body, rest) = line.rsplit_once(MARK)?;
    let sum = u64::from_str_radix(rest.strip_suffix("\"}")?, 16).ok()?;
    if sum != checksum(body.as_bytes()) {
        return None;
    }
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let of_run = value["run"].as_str()? == run;
    let source = value["source"].as_str()?.to_owned();
    Some((source, value["sequence"].as_u64()?)).filter(|_| of_run)
}

/// What has arrived of what was sent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    pub sent: u64,
    pub unique: u64,
    pub lost: u64,
    pub dup: u64,
    /// First arrivals before which a later line of the same source had arrived.
    pub out_of_order: u64,
    pub corrupt: u64,
    /// Some of those that are lost.
    pub missing: Vec<Place>,
}

/// Compares what sources were given with what has arrived; both are lines.
pub fn compare(run: &str, sent: &str, arrived: &str) -> Report {
    let mut report = Report::default();
    let sent: Vec<Place> = sent.lines().filter_map(|line| place(run, line)).collect();
    let known: HashSet<&Place> = sent.iter().collect();
    report.sent = sent.len() as u64;
    let mut seen: HashSet<Place> = HashSet::new();
    let mut last: HashMap<String, u64> = HashMap::new();
    for line in arrived.lines() {
        match place(run, line) {
            Some(place) if known.contains(&place) => {
                if !seen.insert(place.clone()) {
                    report.dup += 1;
                    continue;
                }
                let last = last.entry(place.0).or_insert(place.1);
                if place.1 < *last {
                    report.out_of_order += 1;
                }
                *last = place.1.max(*last);
            }
            _ => report.corrupt += 1,
        }
    }
    report.unique = seen.len() as u64;
    let lost: Vec<&Place> = sent.iter().filter(|place| !seen.contains(*place)).collect();
    report.lost = lost.len() as u64;
    report.missing = lost.into_iter().take(5).cloned().collect();
    report
}

/// The same for a log and a file that a sink has written; the report is printed.
pub fn compare_files(run: &str, sent: &Path, arrived: &Path) -> Report {
    let sent = fs::read_to_string(sent).expect("the log can be read");
    let arrived = fs::read(arrived).unwrap_or_default();
    let report = compare(run, &sent, &String::from_utf8_lossy(&arrived));
    println!("{report}");
    report
}

impl Report {
    /// Holds it to the promise: nothing lost or corrupt, in order, and at most so many duplicates.
    #[track_caller]
    pub fn expect_all(&self, most_duplicates: u64) {
        let sound = self.lost == 0 && self.corrupt == 0 && self.out_of_order == 0;
        assert!(sound, "{self}; missing: {:?}", self.missing);
        assert!(
            self.dup <= most_duplicates,
            "{self}: more than {most_duplicates} duplicates"
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sent={} unique={} lost={} dup={} out_of_order={} corrupt={}",
            self.sent, self.unique, self.lost, self.dup, self.out_of_order, self.corrupt
        )
    }
}

/// How often each key stands in what a sink has written, by a field that is a text or a number.
pub fn count_by(field: &str, lines: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in lines.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("a sink writes JSON");
        let key = match &value[field] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        *counts.entry(key).or_insert(0) += 1;
    }
    counts
}

#[test]
fn the_checker_reports_what_is_wrong() {
    let sent = log("r", "a", 5) + &log("r", "b", 2);
    let line = |source, n| line("r", source, n, &format!(r#""text":"{}""#, text(n))) + "\n";
    let text = compare("r", &sent, &sent).to_string();
    assert_eq!(
        text,
        "sent=7 unique=7 lost=0 dup=0 out_of_order=0 corrupt=0"
    );
    let mut arrived = [
        line("a", 1),
        line("b", 0),
        line("a", 0),
        line("a", 1),
        line("a", 3),
    ]
    .concat();
    arrived += &line("a", 2).replace("quoted", "quotes");
    arrived += "{\"run\"";
    let report = compare("r", &sent, &arrived);
    let text = report.to_string();
    assert_eq!(
        text,
        "sent=7 unique=4 lost=3 dup=1 out_of_order=1 corrupt=2"
    );
    let places = [("a", 2), ("a", 4), ("b", 1)].map(|(source, n)| (source.to_owned(), n));
    assert_eq!(report.missing, places);
    let other = compare("other", &sent, &sent);
    assert_eq!((other.sent, other.corrupt), (0, 7));
}
