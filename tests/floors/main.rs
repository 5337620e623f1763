//! The floors and fences of the design, read from the sources: no import climbs, nodes do not know
//! each other, and each third-party crate stays in the files that are there for it.
//!
//! - `source` — reads source files without their comments, texts and tests.
//! - `circles` — circles of imports between files.
//! - `names` — the names of files in the documentation.
//! - `items`, `public_api` — splits them into items; the list of public items.

mod circles;
mod items;
mod names;
mod public_api;
mod source;

use source::{bare, code, files};
use std::error::Error;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The modules of each floor. What is not here (`lib`, `doc`) may be named by nobody below.
const FLOORS: [&[&str]; 8] = [
    &[
        "error", "time", "name", "payload", "event", "ack", "claim", "host", "secret",
    ],
    &["format"],
    &["node", "store"],
    &["source", "pipeline", "sink", "window", "connect"],
    &["network"],
    // What fuzz targets reach stands above all that it reaches.
    &["script", "fuzz"],
    &["admin"],
    &["cli", "main"],
];

/// What the root of the crate gives again, and where it comes from.
const REEXPORTS: [(&str, &[&str]); 9] = [
    ("ack", &["Outcome", "Token"]),
    ("error", &["Error", "ErrorKind", "Result"]),
    ("event", &["Batch", "Event", "Meta"]),
    ("name", &["Endpoint", "Name", "Port"]),
    (
        "network",
        &[
            "Capacity",
            "Draft",
            "DrawingFormat",
            "NodeKind",
            "LinkOptions",
            "Network",
            "OnError",
            "Overflow",
            "Replay",
            "Simulation",
            "Spill",
            "Stats",
        ],
    ),
    (
        "node",
        &[
            "Context",
            "Node",
            "Pipeline",
            "ReadStatus",
            "Sink",
            "Source",
        ],
    ),
    ("payload", &["Payload"]),
    ("script", &["Runtime"]),
    ("store", &["Database", "Table"]),
];

/// A word that stands only in these files (paths below `src`, by their beginnings).
const FENCES: [(&str, &[&str]); 27] = [
    (
        "flume::",
        &[
            "ack/settled.rs",
            "network/",
            "network.rs",
            "source/channel.rs",
            "sink/channel.rs",
        ],
    ),
    ("thread::spawn", &["network/", "network.rs"]),
    (
        "thread::Builder",
        &["network/", "network.rs", "admin/serving.rs"],
    ),
    ("Instant::now", &["time.rs"]),
    ("SystemTime::now", &["time.rs"]),
    ("mlua::", &["script/", "script.rs"]),
    ("rusqlite::", &["store/sqlite"]),
    ("mysql::", &["store/mysql"]),
    (
        "sqlparser::",
        &[
            "store/dialect",
            "store/mysql/dialect",
            "store/sqlite/dialect",
            "window/analysis",
        ],
    ),
    ("async_nats::", &["connect/nats"]),
    ("rdkafka::", &["connect/kafka"]),
    ("redis::", &["connect/redis", "connect/registry.rs"]),
    ("lapin::", &["connect/amqp"]),
    ("rumqttc::", &["connect/mqtt"]),
    (
        "tokio::",
        &[
            "connect/amqp",
            "connect/mqtt",
            "connect/nats",
            "connect/support/runtime.rs",
        ],
    ),
    ("graphviz_rust::", &["network/graphviz", "network/drawing"]),
    ("clap::", &["cli/", "cli.rs", "main.rs"]),
    ("rustyline::", &["cli/"]),
    ("env_logger::", &["cli/", "cli.rs", "main.rs"]),
    ("indicatif::", &["cli/"]),
    ("flate2::", &["sink/lines/", "source/lines/packed.rs"]),
    ("aho_corasick::", &["secret"]),
    ("csv_core::", &["format/csv.rs"]),
    ("regex::", &["format/"]),
    ("httparse::", &["connect/support/http/", "admin/client.rs"]),
    ("ureq::", &["connect/http/"]),
    // A connector has its settings or its address parse a template: they hold what was filled in apart.
    (
        "Template::parse(",
        &[
            "format/template.rs",
            "format/options.rs",
            "connect/support/settings/templates.rs",
            "connect/support/address.rs",
        ],
    ),
];

/// The modules of the crate's top level that the code names after `crate::`.
fn named(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let words = match rest.strip_prefix('{') {
            None => vec![word(rest)],
            Some(group) => heads(group),
        };
        named.extend(words.into_iter().map(|word| owner(&word)));
    }
    named
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The first words of the paths in a group of imports: `a::B, c::{D, E}}` names `a` and `c`.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut part) = (0, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(word(std::mem::take(&mut part).trim())),
            c if depth == 0 => part.push(c),
            _ => {}
        }
    }
    heads.push(word(part.trim()));
    heads.retain(|head| !head.is_empty());
    heads
}

fn owner(word: &str) -> String {
    let from = REEXPORTS.iter().find(|(_, words)| words.contains(&word));
    from.map_or(word, |(module, _)| module).to_owned()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Whether a file of module `from` may import from module `to`.
fn allowed(from: &str, to: &str) -> bool {
    let (Some(below), Some(above)) = (floor(to), floor(from)) else {
        return floor(from).is_none();
    };
    if from == to {
        return true;
    }
    match from {
        "network" => below == 0 || to == "node",
        // Words are made of words.
        _ if above == 0 => below == 0,
        // By address one gets what is there by name.
        "connect" if to == "source" || to == "sink" => true,
        _ => below < above,
    }
}

/// Whether the code has this word: a crate (`mysql::`, which `store::mysql::` is not), or a call.
fn uses(code: &str, word: &str) -> bool {
    let is_crate = word.ends_with("::");
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        !(before.is_alphanumeric() || before == '_' || is_crate && before == ':')
    })
}

#[test]
fn no_import_climbs() -> Result {
    let mut climbs = Vec::new();
    for file in files()?.iter().filter(|file| file.path != "lib.rs") {
        for to in named(&file.code) {
            if !allowed(file.module(), &to) {
                climbs.push(format!("{} imports {to}", file.path));
            }
        }
    }
    assert!(climbs.is_empty(), "{}", climbs.join("\n"));
    Ok(())
}

#[test]
fn each_crate_stays_behind_its_fence() -> Result {
    let mut crossed = Vec::new();
    for file in files()? {
        for (word, homes) in FENCES {
            let at_home = homes.iter().any(|home| file.path.starts_with(home));
            if uses(&file.code, word) && !at_home {
                crossed.push(format!("{} uses {word}", file.path));
            }
        }
    }
    assert!(crossed.is_empty(), "{}", crossed.join("\n"));
    Ok(())
}

/// The folders of the databases: no other code may depend on which database it is.
const BACKENDS: [&str; 2] = ["store/sqlite", "store/mysql"];

/// Whether the code names one database, other than by the path of a module of it.
fn names_a_database(code: &str) -> bool {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .map(str::to_lowercase)
        .any(|word| {
            let word = word.trim_start_matches("is_").trim_start_matches("not_");
            ["mysql", "sqlite", "mariadb"].contains(&word)
        })
}

#[test]
fn locks_are_those_of_parking_lot() -> Result {
    let mut others = Vec::new();
    for file in files()? {
        // The mutex in the signature of `sink::collect` is the caller's.
        if file.path != "sink/closure.rs" && uses_std_lock(&file.code) {
            others.push(file.path);
        }
    }
    assert!(others.is_empty(), "a lock of std: {}", others.join(", "));
    assert!(uses_std_lock("use std::sync::{Arc, Mutex};"));
    assert!(uses_std_lock("static A: std::sync::RwLock<u8>"));
    assert!(!uses_std_lock(
        "use shuttle::sync::Mutex; use std::sync::{Arc, OnceLock};"
    ));
    Ok(())
}

/// Whether the code names a lock of std.
fn uses_std_lock(code: &str) -> bool {
    let locks = ["Condvar", "Mutex", "MutexGuard", "PoisonError", "RwLock"];
    code.split("std::sync::").skip(1).any(|rest| {
        let words = match rest.strip_prefix('{') {
            None => vec![word(rest)],
            Some(group) => heads(group),
        };
        // Where schedules of threads are tried, a mutex of shuttle can be poisoned.
        let is_shuttle = code.contains("shuttle::sync::{Mutex") && words == ["PoisonError"];
        !is_shuttle && words.iter().any(|word| locks.contains(&word.as_str()))
    })
}

#[test]
fn no_code_outside_of_the_backends_compares_databases() -> Result {
    let mut compared = Vec::new();
    for file in files()? {
        let is_home = BACKENDS.iter().any(|home| file.path.starts_with(home));
        let is_test = file.path.ends_with("/tests.rs") || file.path.contains("/tests/");
        // A module is a path: `sqlite::QueueFile`, `mod mysql`.
        let code = file.code.replace("mod sqlite", "").replace("mod mysql", "");
        let code = code.replace("sqlite::", "").replace("mysql::", "");
        if !is_home && !is_test && names_a_database(&code) {
            compared.push(file.path);
        }
    }
    assert!(
        compared.is_empty(),
        "make it a method of Capabilities: {}",
        compared.join(", ")
    );
    assert!(names_a_database("if dialect == Dialect::Mysql") && names_a_database("x.is_sqlite()"));
    assert!(!names_a_database("dialect.batches_rows()"));
    Ok(())
}

#[test]
fn every_module_stands_on_a_floor() -> Result {
    let homeless: Vec<String> = files()?
        .into_iter()
        .filter(|f| f.path != "lib.rs" && !f.path.starts_with("doc") && floor(f.module()).is_none())
        .map(|file| file.path)
        .collect();
    assert!(homeless.is_empty(), "on no floor: {}", homeless.join(", "));
    Ok(())
}

#[test]
fn no_file_is_named_after_nothing() -> Result {
    for file in files()? {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let bad = ["util.rs", "utils.rs", "helpers.rs", "common.rs"];
        assert!(!bad.contains(&name), "{}", file.path);
    }
    Ok(())
}

#[test]
fn the_reader_of_sources_sees_what_it_should() {
    assert_eq!(code("a // b\n/// c\nd(\"e // f\")"), "a \n\nd(\"\")");
    assert_eq!(code("a\n#[cfg(test)]\nmod tests {}"), "a\n");
    // What comes after a test is read as well.
    let after = "#[cfg(test)]\nmod tests {\n  fn a() { '}' }\n}\nuse crate::script;\n";
    assert_eq!(named(&code(after)), ["script"]);
    let one = "#[cfg(test)]\nuse crate::cli::{A, B};\n#[cfg(test)]\nmod tests;\nuse crate::sink;";
    assert_eq!(named(&code(one)), ["sink"]);
    let call = "#[cfg(test)]\nfn a(b: [u8; 2]) -> u8 { c(\"}\"); b[0] }\nmysql::x()";
    assert_eq!(code(call), "\nmysql::x()");
    let texts = "a(\"b\\\"c\nd\", r#\"e\"f\"#, '\"', '\\'', 'g') /* h /* i */ j */ k<'l>";
    assert_eq!(bare(texts), "a(\"\"\n, \"\", '', '', '')   k<'l>");
    let imports =
        "use crate::event::{Batch, Event};\nuse crate::{name::Name, Error, sink::{A, B}};";
    assert_eq!(named(imports), ["event", "name", "error", "sink"]);
    assert!(uses("use mysql::Pool;", "mysql::") && !uses("crate::store::mysql::X", "mysql::"));
    assert!(uses("std::time::Instant::now()", "Instant::now"));
    assert!(allowed("window", "store") && allowed("script", "network"));
    assert!(!allowed("window", "sink") && !allowed("network", "store"));
    assert!(allowed("connect", "sink") && !allowed("sink", "connect"));
    assert!(!allowed("node", "network") && allowed("cli", "network") && !allowed("network", "cli"));
}
