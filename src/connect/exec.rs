//! `exec:program`: the lines that a program writes, as a source; a program started for each event,
//! a workflow, as a sink.
//!
//! The program is started as it is, without a shell; its arguments are the option `args`. What it
//! writes to standard error goes to that of the process. A program of a source gets SIGTERM when
//! the network stops, and killed when it has not by the time the node goes.

use super::support::lines::Lines;
use super::support::socket::wait_for;
use super::{Address, Connector, Make, Progress, Settings, Template};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::format::{Encoder, Framing};
use crate::node::{Context, Handover, Node, ReadStatus, Sink, Source};
use crate::payload::Payload;
use crate::time::{Timestamp, format_duration, monotonic};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub(super) const EXEC: Connector = Connector {
    scheme: "exec",
    is_program: true,
    templates: &["args", "template"],
    source: Some(Make {
        options: &["args", "restart"],
        bytes: Some(Framing::Stream),
        make: source,
    }),
    sink: Some(Make {
        options: &["args", "parallel", "timeout"],
        bytes: Some(Framing::Message),
        make: sink,
    }),
    ..Connector::NONE
};

const CHUNK: usize = 64 << 10;

fn program(address: &Address) -> Result<String> {
    match address.rest() {
        "" => Err(address.wrong("no program in the address")),
        program => Ok(program.to_owned()),
    }
}

fn not_started(address: &Address, error: &io::Error) -> Error {
    let again = matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory
    );
    let error = Error::io(address, error);
    if again { error.retryable() } else { error }
}

struct Output {
    address: Address,
    program: String,
    args: Vec<String>,
    restart: bool,
    child: Option<Child>,
    lines: Lines,
    chunk: Vec<u8>,
}

fn source(address: &Address, settings: &Settings) -> Result<Box<dyn Source>> {
    Ok(Box::new(Output {
        address: address.clone(),
        program: program(address)?,
        args: settings.list("args")?,
        restart: settings.boolean("restart", false)?,
        child: None,
        lines: Lines::new(&settings.format(Framing::Stream)?),
        chunk: vec![0; CHUNK],
    }))
}

impl Output {
    /// The program has closed its output: what that means.
    fn end(&mut self, cx: &mut Context<'_>) -> Result<ReadStatus> {
        self.lines.end(&self.address.to_string(), cx);
        let Some(mut child) = self.child.take() else {
            return Ok(ReadStatus::End);
        };
        let status = child
            .wait()
            .map_err(|error| Error::io(&self.address, &error))?;
        let ended = Error::new(
            ErrorKind::Failed,
            format!("{}: it ended: {status}", self.address),
        );
        match (self.restart, status.success()) {
            (true, _) => Err(ended.retryable()),
            (false, true) => Ok(ReadStatus::End),
            (false, false) => Err(ended),
        }
    }
}

/// A program that runs, on its way to a successor.
struct GivenProgram {
    program: String,
    args: Vec<String>,
    child: Option<Child>,
    lines: Lines,
}

impl Node for Output {
    fn continues(&self) -> bool {
        true
    }

    fn give(&mut self) -> Option<Handover> {
        Some(Box::new(GivenProgram {
            program: self.program.clone(),
            args: self.args.clone(),
            child: self.child.take(),
            lines: self.lines.take(),
        }))
    }

    /// The program goes on.
    fn take(&mut self, state: Handover) -> std::result::Result<(), Handover> {
        let old = state.downcast::<GivenProgram>()?;
        let same = old.program == self.program && old.args == self.args;
        if !same || old.lines.format() != self.lines.format() {
            return Err(old);
        }
        (self.child, self.lines) = (old.child, old.lines);
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|error| not_started(&self.address, &error))?;
        if let Some(stdout) = &child.stdout {
            let flags = fcntl_getfl(stdout).map_err(io::Error::from);
            let set = flags.and_then(|flags| Ok(fcntl_setfl(stdout, flags | OFlags::NONBLOCK)?));
            set.map_err(|error| Error::io(&self.address, &error))?;
        }
        self.child = Some(child);
        Ok(())
    }

    fn wake(&self) -> Option<Timestamp> {
        self.lines.due()
    }

    fn finish(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if let Some(child) = &self.child {
            // It may have ended meanwhile.
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
        }
        Ok(())
    }
}

impl Source for Output {
    fn read(&mut self, cx: &mut Context<'_>, wait: Duration) -> Result<ReadStatus> {
        let Some(stdout) = self.child.as_mut().and_then(|child| child.stdout.as_mut()) else {
            return Ok(ReadStatus::End);
        };
        let wrong = |error: io::Error| Error::io(&self.address, &error).with_kind(ErrorKind::Io);
        if !wait_for(&mut [PollFd::new(stdout, PollFlags::IN)], wait).map_err(wrong)? {
            self.lines.flush(&self.address.to_string(), cx);
            return Ok(ReadStatus::Idle);
        }
        match stdout.read(&mut self.chunk) {
            Ok(0) => self.end(cx),
            Ok(len) => {
                self.lines
                    .add(&self.chunk[..len], &self.address.to_string(), cx);
                Ok(ReadStatus::More)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(ReadStatus::Idle),
                _ => Err(wrong(error)),
            },
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a program for each event, with the payload on its standard input. How it ends is the outcome
/// of the event: one whose program fails is rejected.
struct Workflow {
    address: Address,
    program: String,
    args: Vec<Template>,
    parallel: usize,
    limit: Duration,
    running: Vec<Run>,
    encoder: Encoder,
    progress: Progress,
}

/// A program that runs for an event.
struct Run {
    child: Child,
    payload: Payload,
    /// The number of the event.
    sequence: u64,
    input: Option<ChildStdin>,
    written: usize,
    ended: OwnedFd,
    until: Instant,
}

fn sink(address: &Address, settings: &Settings) -> Result<Box<dyn Sink>> {
    Ok(Box::new(Workflow {
        address: address.clone(),
        program: program(address)?,
        args: settings.templates("args")?,
        parallel: settings.count("parallel", 1)?,
        limit: settings.duration("timeout", Duration::from_secs(60))?,
        running: Vec::new(),
        encoder: settings.encoder(Framing::Message)?,
        progress: Progress::default(),
    }))
}

impl Workflow {
    fn start(&mut self, event: &Event, sequence: u64) -> Result<()> {
        let payload = self.encoder.message(event)?;
        let args = self.args.iter().map(|arg| arg.render(event));
        let args = args.collect::<Result<Vec<_>>>()?;
        let mut command = Command::new(&self.program);
        // Standard output is the network's.
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = command
            .spawn()
            .map_err(|error| not_started(&self.address, &error))?;
        let begun = (|| {
            let input = child.stdin.take();
            if let Some(input) = &input {
                fcntl_setfl(input, fcntl_getfl(input)? | OFlags::NONBLOCK)?;
            }
            Ok((
                input,
                pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?,
            ))
        })();
        let (input, ended) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                let error: io::Error = error;
                return Err(Error::io(&self.address, &error));
            }
        };
        self.running.push(Run {
            child,
            payload,
            sequence,
            input,
            written: 0,
            ended,
            until: monotonic() + self.limit,
        });
        Ok(())
    }

    /// Waits until fewer than so many run.
    fn wait_below(&mut self, many: usize) -> Result<()> {
        while self.running.len() >= many.max(1) {
            let next = self.running.iter().map(|run| run.until).min();
            let left = next.map_or(Duration::ZERO, |at| {
                at.saturating_duration_since(monotonic())
            });
            let mut fds = Vec::new();
            for run in &self.running {
                fds.push(PollFd::new(&run.ended, PollFlags::IN));
                if let Some(input) = &run.input {
                    fds.push(PollFd::new(input, PollFlags::OUT));
                }
            }
            wait_for(&mut fds, left).map_err(|error| Error::io(&self.address, &error))?;
            drop(fds);
            self.look();
        }
        Ok(())
    }

    /// Looks at each that runs: writes more of its input, notes how it ended, kills it at its limit.
    fn look(&mut self) {
        let (address, limit, progress) = (&self.address, self.limit, &mut self.progress);
        self.running.retain_mut(|run| {
            run.write();
            let failed = match run.child.try_wait() {
                Ok(None) if monotonic() < run.until => return true,
                Ok(None) => {
                    let _ = run.child.kill();
                    let _ = run.child.wait();
                    Some(format!(
                        "the program did not end within {}",
                        format_duration(limit)
                    ))
                }
                Ok(Some(status)) => {
                    (!ExitStatus::success(&status)).then(|| format!("it ended: {status}"))
                }
                Err(error) => Some(error.to_string()),
            };
            let failed =
                failed.map(|why| Error::new(ErrorKind::Failed, format!("{address}: {why}")));
            progress.add(run.sequence, failed.map_or(Ok(()), Err));
            false
        });
    }
}

impl Run {
    fn write(&mut self) {
        let Some(input) = &mut self.input else { return };
        let bytes = self.payload.bytes();
        while self.written < bytes.len() {
            match input.write(&bytes[self.written..]) {
                Ok(len) if len > 0 => self.written += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It need not read what it is given.
                _ => break,
            }
        }
        self.input = None;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Node for Workflow {
    /// A batch is delivered when all its programs have ended.
    fn batch_size(&self) -> usize {
        self.parallel.saturating_mul(4)
    }

    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.wait_below(1)?;
        self.progress.commit()
    }

    fn rollback(&mut self) {
        self.running.clear();
        self.progress.rollback();
    }
}

impl Sink for Workflow {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        if let Some(known) = self.progress.known(cx) {
            return known;
        }
        let sequence = cx
            .sequence()
            .ok_or_else(|| Error::data("no event is being written"))?;
        let mut most = self.parallel;
        loop {
            self.wait_below(most)?;
            match self.start(event, sequence) {
                // There is room for it once one of those that run has ended: they are not to be killed.
                Err(error) if error.is_retryable() && !self.running.is_empty() => {
                    most = self.running.len();
                }
                started => return started,
            }
        }
    }
}
