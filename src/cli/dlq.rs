//! `tributary dlq`: looks at dead letters, feeds them back, throws them away.

mod requeue;

use super::check::counted;
use super::print;
use crate::error::{quote, quote_bytes};
use crate::store::{DeadLetters, Letter, LetterFilter};
use crate::time::{Clock, SystemClock, Timestamp, parse_positive_duration, read_instant};
use crate::{Database, Error, ErrorKind, Result};
use std::fmt::Write as _;
use std::io::Write as _;

/// List dead letters, send them to the nodes that rejected them again, or delete them.
///
/// PLACE is the file that create_dlq names, or the URL of a database (sqlite:PATH or mysql://…) with
/// create_dlq(name, {db = true}).
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// List letters, the oldest first, with their errors
    List {
        #[arg(value_name = "PLACE")]
        place: String,
        #[command(flatten)]
        which: Which,
    },
    /// Show one letter, with its payload
    Show {
        #[arg(value_name = "PLACE")]
        place: String,
        /// The number of the letter
        #[arg(value_name = "ID")]
        id: u64,
        /// Write the payload only, byte for byte
        #[arg(long)]
        raw: bool,
    },
    Requeue(Box<requeue::Options>),
    /// Delete letters: those of a node, those since a time, or all
    Purge {
        #[arg(value_name = "PLACE")]
        place: String,
        /// Delete all letters
        #[arg(long, conflicts_with_all = ["node", "since"])]
        all: bool,
        /// Only letters that this node rejected
        #[arg(long, value_name = "NODE")]
        node: Option<String>,
        /// Only letters rejected since then: a time ago, such as 1h, or an instant, such as 2026-11-24T03:00:00Z
        #[arg(long, value_name = "TIME", value_parser = instant)]
        since: Option<Timestamp>,
    },
}

/// Which letters are meant.
#[derive(clap::Args)]
struct Which {
    /// Only letters that this node rejected
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Only letters rejected since then: a time ago, such as 1h, or an instant, such as 2026-11-24T03:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<Timestamp>,
    /// At most this many letters
    #[arg(long, value_name = "LETTERS")]
    limit: Option<usize>,
}

impl Which {
    fn filter(&self) -> LetterFilter {
        LetterFilter {
            node: self.node.clone(),
            since: self.since,
            limit: self.limit,
            last: None,
        }
    }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = parse_positive_duration(text) {
        return Ok(SystemClock.now().saturating_sub(ago));
    }
    read_instant(&text.into()).map_err(|_| {
        "a time ago is expected, as in 1h, or an instant, as in 2026-11-24T03:00:00Z".to_owned()
    })
}

pub fn run(options: &Options) -> Result<()> {
    match &options.verb {
        Verb::List { place, which } => list(&letters(place)?, &which.filter()),
        Verb::Show { place, id, raw } => show(&letters(place)?.get(*id)?, *raw),
        Verb::Requeue(options) => requeue::run(options),
        Verb::Purge {
            place,
            all,
            node,
            since,
        } => {
            if !all && node.is_none() && since.is_none() {
                let error = Error::new(ErrorKind::Usage, "no choice of letters to throw away");
                return Err(error.with_hint("--node NODE, --since TIME, or --all"));
            }
            let filter = LetterFilter {
                node: node.clone(),
                since: *since,
                ..LetterFilter::default()
            };
            let removed = letters(place)?.purge(&filter)?;
            let removed = usize::try_from(removed).unwrap_or(usize::MAX);
            print(&format!("{} thrown away\n", counted(removed, "letter")))
        }
    }
}

/// The letters in a file, or in the database of this URL.
fn letters(place: &str) -> Result<DeadLetters> {
    if crate::store::dialect_of(place).is_some() {
        Ok(DeadLetters::table(&Database::open(place)?))
    } else {
        Ok(DeadLetters::file(place))
    }
}

/// How much of a payload is read for a list.
const HEAD: u32 = 64;

fn list(letters: &DeadLetters, filter: &LetterFilter) -> Result<()> {
    let found = letters.list(filter, HEAD)?;
    if found.is_empty() {
        return print("no letters\n");
    }
    let node = found.iter().map(|letter| letter.node.len()).max();
    let node = node.unwrap_or(0).max(4);
    let mut text = String::new();
    line(
        &mut text,
        node,
        &[
            "id",
            "rejected at",
            "node",
            "tries",
            "bytes",
            "reason, place, payload",
        ],
    );
    for letter in &found {
        let place = letter.place.as_ref();
        let place = place
            .map(|place| format!(" at {place}"))
            .unwrap_or_default();
        let more = if letter.payload.len() < letter.size {
            "…"
        } else {
            ""
        };
        let payload = quote_bytes(&letter.payload);
        line(
            &mut text,
            node,
            &[
                &letter.id.to_string(),
                &letter.at.to_string(),
                &letter.node,
                &letter.attempts.to_string(),
                &letter.size.to_string(),
                &format!("{}{place}: {payload}{more}", shown(&letter.reason)),
            ],
        );
    }
    print(&text)
}

fn line(text: &mut String, node: usize, cells: &[&str; 6]) {
    let [id, at, who, tries, bytes, reason] = cells;
    // A text that is written to does not fail.
    let _ = writeln!(
        text,
        "{id:>6}  {at:<27}  {who:<node$}  {tries:>5}  {bytes:>8}  {reason}"
    );
}

/// A text of another's, without what a terminal must not get.
fn shown(text: &str) -> String {
    let quoted = quote(text);
    quoted[1..quoted.len() - 1].to_owned()
}

fn show(letter: &Letter, raw: bool) -> Result<()> {
    if !raw {
        let mut text = String::new();
        let place = letter.place.as_deref().unwrap_or("unknown");
        for (what, value) in [
            ("letter", letter.id.to_string()),
            ("node", letter.node.clone()),
            ("reason", shown(&letter.reason)),
            ("place", shown(place)),
            ("rejected at", letter.at.to_string()),
            ("attempts", letter.attempts.to_string()),
            ("event of", letter.time.to_string()),
            ("bytes", letter.size.to_string()),
        ] {
            let _ = writeln!(text, "{what:<12} {value}");
        }
        for (key, value) in &letter.meta {
            let _ = writeln!(text, "meta {:<7} {}", shown(key), shown(&value.to_string()));
        }
        let payload = match std::str::from_utf8(&letter.payload) {
            Ok(text) if !text.chars().any(|c| c.is_control() && !"\n\t".contains(c)) => {
                text.to_owned()
            }
            _ => format!(
                "{} (not text: --raw writes it)",
                quote_bytes(&letter.payload)
            ),
        };
        return print(&format!("{text}\n{payload}\n"));
    }
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(&letter.payload)
        .and_then(|()| stdout.flush())
        .map_err(|error| Error::io("standard output", &error))
}
