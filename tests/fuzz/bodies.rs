//! What must hold of any bytes: the bodies of the fuzz targets, which the tests run too. To add
//! one: a function here, a name among the `BODIES` of the tests, a file in `targets`, and a
//! directory in `corpus`.

use serde_json::json;
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tributary::connect::{self, Options};
use tributary::format::{FORMATS, Format};
use tributary::fuzz::{check_json, parse_json, read_instant};
use tributary::pipeline::Queue;
use tributary::script::ScriptLimits;
use tributary::sink::{DeadLetterSink, Discarder, collect};
use tributary::source::{Follow, LineSource, from_iter};
use tributary::store::{DeadLetters, LetterFilter};
use tributary::time::{Timestamp, format_duration, parse_duration};
use tributary::{
    Database, Endpoint, Event, Name, Network, Payload, Runtime, Simulation, fuzz, secret,
};

/// What is read as JSON is written as the same JSON, and two readers agree.
pub fn events(bytes: &[u8]) {
    let parsed = parse_json(bytes);
    assert_eq!(
        parsed.is_ok(),
        check_json(bytes).is_ok(),
        "the readers do not agree"
    );
    let payload = Payload::from(bytes.to_vec());
    assert_eq!(
        payload.json().is_ok(),
        parsed.is_ok(),
        "a payload does not agree"
    );
    assert_eq!(payload.bytes(), bytes);
    let Ok(value) = parsed else { return };
    let other = serde_json::from_slice::<serde_json::Value>(bytes);
    assert!(other.is_ok(), "serde_json refuses it: {other:?}");
    let again = parse_json(value.to_string().as_bytes());
    assert_eq!(again.ok(), Some(value), "it is written as something else");
}

/// A duration that is read is written as one that is read as the same.
pub fn durations(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(duration) = parse_duration(text) {
        assert_eq!(
            parse_duration(&format_duration(duration)).ok(),
            Some(duration)
        );
    }
}

/// A stream in any format becomes the same in pieces of any size, and its events end with it. The first byte
/// says which format.
pub fn formats(bytes: &[u8]) {
    let Some((first, stream)) = bytes.split_first() else {
        return;
    };
    let patterns = [
        json!({"format": {"pattern": "^(?<a>[^,]*),(?<b>.*)$"}, "types": "auto"}),
        json!({"format": "csv", "columns": ["a", "b"], "quote": "'"}),
        json!({"format": "text", "multiline": {"start": "^[a<]", "lines": 3}}),
    ];
    let named = FORMATS.iter().map(|name| json!({"format": name}));
    let all: Vec<_> = named.chain(patterns).collect();
    let format = Format::new(&all[usize::from(*first) % all.len()]).expect("a format");
    let whole = fuzz::decoded(&format, stream, stream.len());
    for piece in [1, 3, 1000] {
        let pieces = fuzz::decoded(&format, stream, piece);
        assert_eq!(pieces, whole, "in pieces of {piece}");
    }
    let end = whole.last().map_or(0, |(end, _)| *end);
    assert_eq!(end, stream.len() as u64);
}

/// A name is as it was written, and so is where a link begins.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(name) = Name::new(text) {
        assert_eq!(name.as_str(), text);
        assert!(!text.is_empty() && !text.contains('.'));
    }
    if let Ok(endpoint) = Endpoint::new(text) {
        assert_eq!(Endpoint::new(&endpoint.to_string()).ok(), Some(endpoint));
    }
}

/// A script is loaded or refused within its limits; one that is refused leaves nothing behind.
pub fn scripts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let limits = ScriptLimits::new()
        .memory(32 << 20)
        .load_time(Duration::from_millis(300))
        .call_time(Duration::from_millis(300));
    let network = Network::new();
    let database = Database::open("sqlite::memory:").expect("there is memory");
    let runtime = Runtime::with_limits(&network, &database, limits).expect("the limits are good");
    if let Err(error) = runtime.run_text("fuzz.lua", text) {
        assert!(!error.to_string().contains("panic"), "{error}");
        assert!(
            network.nodes().is_empty(),
            "nodes are left of what was refused"
        );
    }
}

/// An address is read or refused, and its password never shown.
pub fn urls(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let shown = match Database::check_url(text) {
        Ok(shown) => shown,
        Err(error) => error.to_string(),
    };
    let parts = text
        .split_once("://")
        .filter(|(scheme, _)| !scheme.starts_with("sqlite"));
    let rest = parts.map_or("", |(_, rest)| rest);
    let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
    let password = user.split_once(':').map_or("", |(_, password)| password);
    // Elsewhere it is no password, and may be shown.
    if password.contains("hunter2") && text.matches("hunter2").count() == 1 {
        assert!(!shown.contains("hunter2"), "the password is shown: {shown}");
    }
}

/// Requests are the same however their bytes come, and so is why one is refused.
pub fn http_requests(bytes: &[u8]) {
    // A longer head is refused once so much of it is there.
    let bytes = &bytes[..bytes.len().min(12 << 10)];
    let whole = fuzz::http_requests(bytes, bytes.len());
    for piece in [1, 2, 7, 1000] {
        assert_eq!(
            fuzz::http_requests(bytes, piece),
            whole,
            "in pieces of {piece}"
        );
    }
}

/// Lines are the same however their bytes come.
pub fn lines(bytes: &[u8]) {
    let whole = fuzz::lines(bytes, bytes.len());
    for piece in [1, 3, 1000] {
        assert_eq!(fuzz::lines(bytes, piece), whole, "in pieces of {piece}");
    }
}

/// An address of a connector makes a node or is refused, and its password is never shown.
pub fn addresses(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // No files are read here.
    if text.contains("${file") {
        return;
    }
    let options = Options::new().confined();
    for error in [
        connect::source(text, &options).err(),
        connect::sink(text, &options).err(),
    ] {
        let shown = error.map_or(String::new(), |error| error.to_string());
        assert!(!shown.contains("panic"), "{shown}");
        if text.contains("me:hunter2@") && text.matches("hunter2").count() == 1 {
            assert!(!shown.contains("hunter2"), "the password is shown: {shown}");
        }
    }
}

/// The tokens of SQL lie one behind the other, and each parameter is one of them.
pub fn sql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for (tokens, names) in fuzz::sql(text) {
        let mut end = 0;
        for token in &tokens {
            assert!(token.start >= end && token.end > token.start, "{token:?}");
            assert!(text.get(token.clone()).is_some(), "{token:?}");
            end = token.end;
        }
        for name in names {
            let is_it = |token: &std::ops::Range<usize>| text[token.clone()].ends_with(&name);
            assert!(tokens.iter().any(is_it), "{name}");
        }
    }
}

/// A checkpoint that is not damaged is taken or refused, whatever it says, and every event that comes is
/// one of the file.
pub fn checkpoints(bytes: &[u8]) {
    let Some(sealed) = fuzz::sealed_checkpoint(bytes) else {
        return;
    };
    let folder = tempfile::tempdir().expect("there is room");
    let (log, checkpoint) = (folder.path().join("log"), folder.path().join("checkpoint"));
    std::fs::write(&log, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n").expect("written");
    let sealed = sealed.replace("LOG", &log.display().to_string());
    let sealed = fuzz::sealed_checkpoint(sealed.as_bytes()).unwrap_or(sealed);
    std::fs::write(&checkpoint, sealed).expect("written");
    let (network, seen) = (Network::new(), Arc::default());
    let source = LineSource::file(&log, Follow::No).checkpoint(&checkpoint);
    network.add_source("in", source).expect("a new name");
    network.add_sink("out", collect(&seen)).expect("a new name");
    network.link("in", "out").expect("both are there");
    let run = network.start().and_then(|()| {
        let ended = network.wait_timeout(Duration::from_secs(5));
        assert!(ended.is_some(), "the source does not end");
        network.stop()
    });
    if let Err(error) = run {
        assert!(
            !error.is_panic() && !error.to_string().contains("panic"),
            "{error}"
        );
    }
    for event in seen.lock().expect("no thread panics with it").iter() {
        let text = event.payload().text().unwrap_or("?");
        assert!(text.starts_with("{\"n\":") && text.len() == 7, "{text}");
    }
}

/// What is read of a spilled batch is written as the same.
pub fn spills(bytes: &[u8]) {
    if let Some(again) = fuzz::spilled(bytes) {
        assert_eq!(fuzz::spilled(&again).as_ref(), Some(&again));
    }
}

/// A line of an outbox that is read is written as one that is read as the same.
pub fn outboxes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for line in text.lines() {
        if let Some(again) = fuzz::outbox_line(line) {
            let line = again.strip_suffix('\n').expect("a line");
            assert_eq!(fuzz::outbox_line(line).as_ref(), Some(&again));
        }
    }
}

/// The name of a file, and what is in it.
type Stored = (PathBuf, Vec<u8>);

/// Files of dead letters and of a queue, whole ones.
fn stores() -> Vec<Stored> {
    thread_local! {
        static STORES: RefCell<Option<Vec<Stored>>> = const { RefCell::new(None) };
    }
    STORES.with_borrow_mut(|stores| {
        let make = || {
            let folder = tempfile::tempdir().expect("there is room");
            let (letters, queue) = (folder.path().join("letters"), folder.path().join("queue"));
            let network = Network::new();
            let add = || -> tributary::Result<()> {
                network.add_source("in", from_iter(["1", "2", "3"]))?;
                network.add_sink("letters", DeadLetterSink::file(&letters))?;
                network.add_pipeline("queue", Queue::new(&queue))?;
                network.add_sink("out", Discarder)?;
                network.link("in", "letters")?;
                network.link("in", "queue")?;
                network.link("queue", "out")?;
                network.start()?;
                network.wait()
            };
            add().expect("it runs");
            let all = [letters, queue].map(|path| {
                let bytes = std::fs::read(&path).expect("it is there");
                (path.file_name().expect("a name").into(), bytes)
            });
            all.into()
        };
        stores.get_or_insert_with(make).clone()
    })
}

/// A file of dead letters or of a queue with wrong bytes is read or refused: of each three bytes, two are
/// a place, and one is what stands there.
pub fn letters(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("there is room");
    for (name, mut store) in stores() {
        for three in bytes.chunks_exact(3) {
            let at = usize::from(three[0]) << 8 | usize::from(three[1]);
            let length = store.len();
            store[at % length] = three[2];
        }
        let path = folder.path().join(&name);
        std::fs::write(&path, store).expect("written");
        let error = if name.ends_with("letters") {
            let letters = DeadLetters::file(&path);
            letters.list(&LetterFilter::default(), 100).err()
        } else {
            let network = Network::new();
            let run = || -> tributary::Result<()> {
                network.add_source("in", from_iter(["4"]))?;
                network.add_pipeline("queue", Queue::new(&path))?;
                network.add_sink("out", Discarder)?;
                network.link("in", "queue")?;
                network.link("queue", "out")?;
                network.start()?;
                std::thread::sleep(Duration::from_millis(5));
                network.stop_within(Duration::from_secs(1))
            };
            run().err()
        };
        if let Some(error) = error {
            assert!(
                !error.is_panic() && !error.to_string().contains("panic"),
                "{error}"
            );
        }
    }
}

/// An instant that is read is written as one that is read as the same.
pub fn instants(bytes: &[u8]) {
    let Ok(value) = parse_json(bytes) else { return };
    if let Ok(instant) = read_instant(&value) {
        let again = read_instant(&instant.to_string().into());
        assert_eq!(again.ok(), Some(instant), "of {value}");
    }
}

/// A network whose node `f` reads the data of its events in Lua and makes new data of it.
struct Lua(Simulation, Arc<Mutex<Vec<Event>>>);

impl Lua {
    fn start() -> Self {
        let (network, seen) = (Network::new(), Arc::default());
        let script = "local tb = require('tributary')
            local function copy(v)
                if type(v) ~= 'table' then return v end
                local all = {}
                for k, each in pairs(v) do all[k] = copy(each) end
                return all
            end
            tb.create_map('f', function(e) e.data = { copy = copy(e.data), same = e.data } return e end)";
        let runtime = Runtime::new(&network).expect("there is memory");
        runtime.run_text("fuzz.lua", script).expect("a good script");
        network.add_sink("out", collect(&seen)).expect("a new name");
        network.link("f", "out").expect("both are there");
        let simulation = network.simulate(Timestamp::from_secs(1_000));
        Lua(simulation.expect("it starts"), seen)
    }
}

/// What Lua makes of the data of an event is JSON.
pub fn lua_values(bytes: &[u8]) {
    thread_local! {
        static LUA: RefCell<Option<Lua>> = const { RefCell::new(None) };
    }
    LUA.with_borrow_mut(|lua| {
        let Lua(simulation, seen) = lua.get_or_insert_with(Lua::start);
        simulation.inject("f", bytes.to_vec()).expect("it runs");
        for event in seen.lock().expect("no thread panics with it").drain(..) {
            check_json(event.payload().bytes()).expect("JSON leaves");
        }
    });
}

/// Text is scrubbed whatever it is, and no secret is left in it.
pub fn secrets(bytes: &[u8]) {
    const SECRET: &str = "a-secret-of the fuzzer!";
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    secret::add(SECRET);
    let shown = secret::scrub(text);
    assert!(!shown.contains(SECRET), "{shown}");
    for around in [format!("{text}{SECRET}"), format!("{SECRET}{text}")] {
        let shown = secret::scrub(&around);
        assert!(shown.contains("***") && !shown.contains(SECRET), "{shown}");
    }
}
