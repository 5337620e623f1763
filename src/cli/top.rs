//! `tributary top`: a running network in a terminal, once a second.
//!
//! The screen is a table that is written again: neither a crate for terminals nor one for widgets is worth its
//! build time for that. The terminal is put back as it was however this ends, short of a kill.

use super::print;
use super::remote::{Remote, ask};
use super::screen::{Order, Screen};
use crate::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::fmt::Write as _;

/// Show a running network that was started with --admin in the terminal, updated every second.
///
/// Keys: s sorts by another column, q ends.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    remote: Remote,
}

/// The alternate screen without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// A terminal that gives each key at once.
struct Raw(Termios);

impl Raw {
    fn begin() -> Result<Self> {
        let wrong = |error: rustix::io::Errno| Error::io("the terminal", &error.into());
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).map_err(wrong)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Flush, &raw).map_err(wrong)?;
        print(ENTER)?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is nothing else to do about it.
        let _ = print(LEAVE);
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}

pub fn run(options: &Options) -> Result<()> {
    let client = options.remote.client()?;
    if !isatty(std::io::stdin()) || !isatty(std::io::stdout()) {
        let error = Error::data("top needs a terminal");
        return Err(error.with_hint("use tributary status, which prints once"));
    }
    let mut stats = Ok(ask(&client, "/api/v1/stats")?);
    let _raw = Raw::begin()?;
    let mut order = Order::default();
    loop {
        print(&drawn(&stats, options.remote.address(), order))?;
        match key()?.as_slice() {
            // The last three are Ctrl-C, Ctrl-D and Esc.
            [b'q' | b'Q' | 0x03 | 0x04 | 0x1b] => return Ok(()),
            [b's' | b'S'] => order = order.next(),
            _ => stats = ask(&client, "/api/v1/stats"),
        }
    }
}

/// The screen as it is written: over the one before, line by line.
fn drawn(stats: &Result<serde_json::Value>, address: &str, order: Order) -> String {
    let size = tcgetwinsize(std::io::stdout());
    // A terminal may not know its size.
    let known = size.ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    let known = known.map(|size| (usize::from(size.ws_row), usize::from(size.ws_col)));
    let (rows, columns) = known.unwrap_or((24, 80));
    let body = match stats {
        Ok(stats) => {
            let mut screen = Screen::new(stats);
            screen.sort(order);
            let summary = screen.summary();
            // The first line, an empty one, the head of the table, "and n more".
            let left = rows.saturating_sub(summary.lines().count() + 4);
            format!("{summary}\n{}", screen.table(left))
        }
        Err(error) => format!("{error}\n"),
    };
    let title = format!(
        "tributary {address}   s: sorted by {}   q: quit",
        order.as_str()
    );
    let mut text = String::from("\x1b[H");
    for (at, line) in std::iter::once(title.as_str())
        .chain(body.lines())
        .take(rows)
        .enumerate()
    {
        let shown: String = line
            .chars()
            .filter(|c| !c.is_control())
            .take(columns)
            .collect();
        let (begin, end) = match line {
            _ if at == 0 || line.starts_with("node ") => ("\x1b[7m", "\x1b[0m"),
            line if line.starts_with("bottleneck") => ("\x1b[33m", "\x1b[0m"),
            line if line.contains(" lost ") || line.contains(" failed ") => ("\x1b[31m", "\x1b[0m"),
            _ => ("", ""),
        };
        // Writing to a string does not fail.
        let _ = write!(text, "{begin}{shown}{end}\x1b[K\r\n");
    }
    text.truncate(text.trim_end_matches("\r\n").len());
    text.push_str("\x1b[J");
    text
}

/// The bytes of the key that is pressed within a second; none where none is.
fn key() -> Result<Vec<u8>> {
    let stdin = std::io::stdin();
    let second = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let wrong = |error: rustix::io::Errno| Error::io("the terminal", &error.into());
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut fds, Some(&second)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
        Ok(_) => {}
        Err(error) => return Err(wrong(error)),
    }
    // Not by way of the buffer of standard input, which poll does not see.
    let mut bytes = [0; 16];
    match rustix::io::read(&stdin, &mut bytes) {
        // The terminal is gone.
        Ok(0) => Ok(vec![b'q']),
        Ok(size) => Ok(bytes[..size].to_vec()),
        Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
        Err(error) => Err(wrong(error)),
    }
}
