//! Every sink behind a file source with a checkpoint.

use super::services::{Needs, Service};
use super::{Counts, Place, REFUSED, counts, ends, ids_in};
use crate::support::binary::Site;
use crate::support::probe::soon;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tributary::{Network, Outcome, Result, connect, sink};

/// Whether a sink can refuse an event.
#[derive(Clone, Copy, PartialEq)]
pub enum Refuses {
    /// The script or the service refuses one event, `#` times.
    Event,
    /// It can fail for no event alone, for this reason.
    None(&'static str),
}

/// A sink: the function of Lua or the scheme, the script that makes `node` (`%` is the directory, `@` the
/// address of the service, `#` how often an event is refused), and where what was delivered is found.
pub struct Sink {
    pub name: &'static str,
    script: &'static str,
    needs: Needs,
    refuses: Refuses,
    got: fn(&Place, &Service) -> Vec<i64>,
}

const ANY_BYTES: Refuses =
    Refuses::None("a line takes any payload; a disk or a peer that fails is waited for");
const ANY_EVENT: Refuses = Refuses::None("it takes any event, and what it writes to is waited for");

fn in_file(place: &Place, _: &Service) -> Vec<i64> {
    let text = std::fs::read_to_string(place.at("got")).unwrap_or_default();
    text.lines()
        .flat_map(|line| ids_in(line.as_bytes()))
        .collect()
}

fn in_payloads(_: &Place, service: &Service) -> Vec<i64> {
    let taken = service.taken();
    taken
        .iter()
        .flat_map(|one| ids_in(one.as_bytes()))
        .collect()
}

fn in_texts(_: &Place, service: &Service) -> Vec<i64> {
    let text = |body: &String| {
        let body: Value = serde_json::from_str(body).ok()?;
        body["text"].as_str()?.parse().ok()
    };
    service.taken().iter().filter_map(text).collect()
}

fn rows(place: &Place, file: &str, query: &str) -> Vec<i64> {
    let rows = || -> rusqlite::Result<Vec<i64>> {
        let database = rusqlite::Connection::open(place.at(file))?;
        database
            .prepare(query)?
            .query_map([], |row| row.get(0))?
            .collect()
    };
    // The table may not be there yet.
    rows().unwrap_or_default()
}

fn in_table(place: &Place, _: &Service) -> Vec<i64> {
    rows(place, "db", "select n from ev")
}

fn in_other_table(place: &Place, _: &Service) -> Vec<i64> {
    rows(place, "other", "select n from ev")
}

fn in_letters(place: &Place, _: &Service) -> Vec<i64> {
    place.letters().unwrap_or_default()
}

fn in_letters_of_the_database(place: &Place, _: &Service) -> Vec<i64> {
    let url = format!("sqlite:{}", place.at("db").display());
    let read = || {
        let letters = tributary::store::DeadLetters::table(&tributary::Database::open(&url)?);
        let listed = letters.list(&tributary::store::LetterFilter::default(), 1)?;
        let whole = listed.iter().map(|letter| letters.get(letter.id));
        whole.collect::<Result<Vec<_>>>()
    };
    let letters = read().unwrap_or_default();
    letters
        .iter()
        .flat_map(|letter| ids_in(&letter.payload))
        .collect()
}

pub const SINKS: &[Sink] = &[
    Sink {
        name: "create_file_sink",
        script: "tb.create_file_sink('node', '%/got')",
        needs: Needs::Nothing,
        refuses: ANY_BYTES,
        got: in_file,
    },
    Sink {
        name: "create_file_sink",
        script: "tb.create_file_sink('node', '%/got', { sync = true })",
        needs: Needs::Nothing,
        refuses: ANY_BYTES,
        got: in_file,
    },
    Sink {
        name: "create_handler",
        script: "local left = #
             tb.create_handler('node', function(e)
                 if e.data.n == 13 and left > 0 then left = left - 1 error('not now') end
                 local file = io.open('%/got', 'a') file:write(e.payload, '\\n') file:close()
             end)",
        needs: Needs::Nothing,
        refuses: Refuses::Event,
        got: in_file,
    },
    Sink {
        name: "create_dlq",
        script: "tb.create_dlq('node', { path = '%/letters' })",
        needs: Needs::Nothing,
        refuses: ANY_EVENT,
        got: in_letters,
    },
    Sink {
        name: "create_dlq",
        script: "tb.create_dlq('node', { db = true })",
        needs: Needs::Nothing,
        refuses: ANY_EVENT,
        got: in_letters_of_the_database,
    },
    Sink {
        name: "create_sql_sink",
        script: "tb.create_table('ev', { key = 'n', columns = { n = 'integer', t = 'integer' } })
             tb.create_sql_sink('node', { table = 'ev' })",
        needs: Needs::Nothing,
        refuses: Refuses::None("a row fits its table or does not: see the test of refused rows"),
        got: in_table,
    },
    Sink {
        name: "file",
        script: "tb.create_sink('node', 'file:%/got', { append = true })",
        needs: Needs::Nothing,
        refuses: ANY_BYTES,
        got: in_file,
    },
    Sink {
        name: "tcp",
        script: "tb.create_sink('node', 'tcp://@')",
        needs: Needs::Tcp,
        refuses: ANY_BYTES,
        got: in_payloads,
    },
    Sink {
        name: "unix",
        script: "tb.create_sink('node', 'unix:@')",
        needs: Needs::Unix,
        refuses: ANY_BYTES,
        got: in_payloads,
    },
    Sink {
        name: "exec",
        script: "tb.create_sink('node', 'exec:/bin/sh', { args = { '-c', [[
                 touch %/tries
                 if test $1 = 13 && test $(wc -l < %/tries) -lt #; then echo >> %/tries; exit 1; fi
                 echo $(cat) >> %/got]], 'sh', '{data.n}' } })",
        needs: Needs::Nothing,
        refuses: Refuses::Event,
        got: in_file,
    },
    Sink {
        name: "sql",
        script: "tb.create_sink('node', 'sql:sqlite:%/other', { table = 'ev', key = 'n',
                 columns = { n = 'integer', t = 'integer' } })",
        needs: Needs::Nothing,
        refuses: Refuses::None("a row fits its table or does not: see the test of refused rows"),
        got: in_other_table,
    },
    Sink {
        name: "http",
        script: "tb.create_sink('node', '@')",
        needs: Needs::Web("\"n\":13,"),
        refuses: Refuses::Event,
        got: in_payloads,
    },
    Sink {
        name: "http",
        script: "tb.create_sink('node', '@', { batch = 7 })",
        needs: Needs::Web("\"n\":13,"),
        refuses: Refuses::Event,
        got: in_payloads,
    },
    Sink {
        name: "slack",
        script: "tb.create_sink('node', 'slack:@', { text = '{data.n}', pace = '1us' })",
        needs: Needs::Web("\"13\""),
        refuses: Refuses::Event,
        got: in_texts,
    },
    Sink {
        name: "telegram",
        script: "tb.create_sink('node', 'telegram:123:abc', { chat = '1', text = '{data.n}', pace = '1us',
                 api = '@' })",
        needs: Needs::Web("\"13\""),
        refuses: Refuses::Event,
        got: in_texts,
    },
];

const LETTERS: &str =
    "tb.create_dlq('refused', { path = '%/letters' }) tb.on_error('node', 'refused')";
const AGAIN: &str = "tb.on_error('node', { retry = 3, backoff = '1ms' })";

/// A sink at work: its service, and how often it refuses an event.
struct Run<'a> {
    sink: &'a Sink,
    place: Place,
    service: Service,
    refusals: usize,
}

impl<'a> Run<'a> {
    fn new(sink: &'a Sink, many: i64, refusals: usize) -> Self {
        let place = Place::with(many, &[]);
        let service = Service::start(sink.needs, place.directory.path(), refusals);
        Run {
            sink,
            place,
            service,
            refusals,
        }
    }

    fn build(&self, more: &str) -> Result<Network> {
        let script = self.sink.script.replace('@', &self.service.address());
        let script = script.replace('#', &self.refusals.to_string());
        let script = format!("{script}\ntb.link('in', 'node')\n{more}");
        self.place.build(&script, |_| Ok(()))
    }

    /// Runs until it ends by itself, with its place at the end, and gives what was delivered.
    fn end(&self, more: &str) -> std::result::Result<Counts, String> {
        let network = self.build(more).map_err(|error| error.to_string())?;
        ends(&network).map_err(|error| error.to_string())?;
        drop(network);
        if !self.place.is_at_the_end() {
            return Err("its place is not the end".into());
        }
        // A listener reads on after the sink has written.
        soon(|| self.got().values().sum::<usize>() + 1 >= self.place.ids.len());
        Ok(self.got())
    }

    fn got(&self) -> Counts {
        counts((self.sink.got)(&self.place, &self.service))
    }
}

fn over_all(claim: impl Fn(&Sink) -> std::result::Result<(), String>) {
    let wrong = SINKS.iter().filter_map(|sink| {
        let error = claim(sink).err()?;
        Some(format!("{}: {error}\n", sink.script))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

fn is(got: &Counts, expected: &Counts) -> std::result::Result<(), String> {
    if got == expected {
        Ok(())
    } else {
        Err(format!("{got:?}"))
    }
}

#[test]
fn behind_every_sink_a_network_ends_by_itself_with_its_place_at_the_end() {
    over_all(|sink| {
        let run = Run::new(sink, 40, 0);
        is(&run.end("")?, &counts(run.place.ids.iter().copied()))
    });
}

#[test]
fn behind_every_sink_an_event_that_failed_once_is_delivered_at_another_attempt() {
    over_all(|sink| {
        if sink.refuses != Refuses::Event {
            return Ok(());
        }
        // By the source, which sends it again, and in its place.
        for more in ["", AGAIN] {
            let run = Run::new(sink, 40, 1);
            is(&run.end(more)?, &counts(run.place.ids.iter().copied()))?;
        }
        Ok(())
    });
}

#[test]
fn behind_every_sink_an_event_that_always_fails_goes_to_the_dead_letters() {
    over_all(|sink| {
        if sink.refuses != Refuses::Event {
            return Ok(());
        }
        let run = Run::new(sink, 40, 1_000_000);
        let mut all = counts(run.place.ids.iter().copied());
        all.remove(&REFUSED);
        is(&run.end(LETTERS)?, &all)?;
        let letters = run.place.letters().map_err(|error| error.to_string())?;
        is(&counts(letters), &counts([REFUSED]))
    });
}

#[test]
fn behind_every_sink_a_stop_in_the_middle_loses_nothing() {
    over_all(|sink| {
        let run = Run::new(sink, 400, 0);
        let network = run.build("").map_err(|error| error.to_string())?;
        network.start().map_err(|error| error.to_string())?;
        soon(|| network.wait_timeout(Duration::from_millis(1)).is_some() || run.got().len() > 50);
        network.stop().map_err(|error| error.to_string())?;
        drop(network);
        let got: BTreeSet<i64> = run.end("")?.into_keys().collect();
        let lost: Vec<_> = run.place.ids.difference(&got).collect();
        if lost.is_empty() {
            Ok(())
        } else {
            Err(format!("lost {lost:?}"))
        }
    });
}

#[test]
fn a_row_that_a_table_refuses_goes_to_the_dead_letters_and_the_others_are_stored() -> Result<()> {
    for sink in SINKS.iter().filter(|sink| sink.name.contains("sql")) {
        let mut run = Run::new(sink, 0, 0);
        run.place = Place::with(5, &[r#"{"n":13,"t":"x"}"#]);
        let got = run.end(LETTERS).expect("it ends");
        assert_eq!(got, counts(0..5), "{}", sink.script);
        assert_eq!(run.place.letters()?, [REFUSED], "{}", sink.script);
    }
    Ok(())
}

/// The sinks of standard output, which only a process of its own shows.
pub const STANDARD: &[(&str, &str)] = &[
    ("create_stdout", "tb.create_stdout('node')"),
    ("stdout", "tb.create_sink('node', 'stdout:')"),
    ("create_tester", "tb.create_tester('node', '.')"),
    ("create_discarder", "tb.create_discarder('node')"),
];

#[test]
fn a_process_that_writes_to_standard_output_ends_with_its_place_at_the_end()
-> std::result::Result<(), Box<dyn std::error::Error>> {
    for (name, script) in STANDARD {
        let site = Site::with(&[("in", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n")])?;
        let script = format!(
            "local tb = require('tributary')\n\
             tb.create_file_source('in', 'in', {{ checkpoint = 'place' }})\n{script}\ntb.link('in', 'node')"
        );
        std::fs::write(site.path("net.lua"), script)?;
        for expected in [3, 0] {
            let done = site.call(&["run", "net.lua", "--for", "20s"])?;
            assert_eq!(done.code, Some(0), "{name}: {}", done.stderr);
            assert!(site.read("place")?.contains("\"offset\":24"), "{name}");
            let written = match *name {
                "create_discarder" => expected,
                "create_tester" => done.stdout.matches('.').count(),
                _ => done.stdout.lines().count(),
            };
            assert_eq!(written, expected, "{name}: {}", done.stdout);
        }
    }
    Ok(())
}

/// The sinks of Rust alone: the type that `src/sink.rs` exports, and its function.
pub const HOSTED: &[&str] = &[
    "Receiver",
    "ChannelSink",
    "channel",
    "Collector",
    "collect",
    "Handler",
    "handler",
];

fn hosted(place: &Place, add: impl FnOnce(&Network) -> Result<()>) -> Result<Network> {
    let network = place.build("", add)?;
    network.link("in", "node")?;
    Ok(network)
}

#[test]
fn a_sink_whose_host_settles_delivers_an_event_that_the_host_has_failed_once() -> Result<()> {
    let place = Place::with(40, &[]);
    let (receiver, sink) = sink::channel();
    let network = hosted(&place, |network| {
        network.add_sink("node", sink.settled_by_host()).map(drop)
    })?;
    let host = std::thread::spawn(move || {
        let mut got = Counts::new();
        for event in receiver.iter() {
            let id = ids_in(event.payload().bytes())[0];
            let times = got.entry(id).or_default();
            *times += 1;
            match (id, *times) {
                (REFUSED, 1) => event.settle(Outcome::Failed),
                _ => event.settle(Outcome::Delivered),
            }
        }
        got
    });
    ends(&network)?;
    drop(network);
    let mut expected = counts(place.ids.iter().copied());
    expected.insert(REFUSED, 2);
    assert_eq!(host.join().expect("no panic"), expected);
    assert!(place.is_at_the_end());
    Ok(())
}

#[test]
fn the_sinks_of_a_host_end_with_their_place_at_the_end() -> Result<()> {
    let place = Place::with(40, &[]);
    let (receiver, sink) = sink::channel();
    let network = hosted(&place, |network| network.add_sink("node", sink).map(drop))?;
    let host = std::thread::spawn(move || receiver.iter().count());
    ends(&network)?;
    drop(network);
    assert_eq!(host.join().expect("no panic"), 40);
    assert!(place.is_at_the_end());

    let place = Place::with(40, &[]);
    let seen = crate::support::probe::Seen::default();
    let network = hosted(&place, |network| {
        network.add_sink("node", seen.sink()).map(drop)
    })?;
    ends(&network)?;
    assert_eq!(seen.len(), 40);
    assert!(place.is_at_the_end());
    Ok(())
}

/// Whether a broker passes the claims of `connect/claims`, of the same content: its file there has
/// them all made by `conforms!`, which compiles only if each is implemented.
fn passes_the_claims(scheme: &str) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/connect");
    let text = std::fs::read_to_string(folder.join(format!("{scheme}.rs")));
    let list = std::fs::read_to_string(folder.with_extension("rs")).expect("a source file");
    let (_, list) = list.split_once("macro_rules! conforms").expect("the list");
    let claims = [
        "behind_a_checkpoint_it_ends_by_itself_and_its_place_is_the_end",
        "an_event_that_failed_once_is_delivered_when_its_source_sends_it_again",
        "an_event_that_is_tried_again_in_place_is_delivered_once_and_the_others_keep_their_order",
        "an_event_that_always_fails_goes_to_the_dead_letters",
        "behind_a_checkpoint_a_stop_in_the_middle_loses_nothing",
    ];
    let is_listed = |claim: &&str| list.contains(&format!(" {claim},"));
    text.is_ok_and(|text| text.contains("conforms!(")) && claims.iter().all(is_listed)
}

#[test]
fn every_scheme_of_a_sink_is_in_the_suite() {
    // What differs is the encryption of the connection.
    let encrypted = ["https", "tls"];
    for scheme in connect::sink_schemes() {
        let listed = SINKS
            .iter()
            .map(|sink| sink.name)
            .any(|name| name == scheme);
        let standard = STANDARD.iter().any(|(name, _)| *name == scheme);
        let elsewhere = passes_the_claims(scheme) || encrypted.contains(&scheme);
        assert!(
            listed || standard || elsewhere,
            "{scheme} is not in the suite"
        );
    }
}
