//! No secret is shown, wherever it comes from and whatever fails.

use super::server::free_port;
use std::path::Path;
use std::process::Command;

const CANARY: &str = "xyzzy-canary/of:a@long%secret";

/// All that the binary says of a script, with every log it has switched on.
fn said(place: &Path, verb: &[&str], script: &str) -> String {
    std::fs::write(
        place.join("net.lua"),
        format!("tb = require('tributary')\n{script}"),
    )
    .expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(verb)
        .arg("net.lua")
        .arg("-vv")
        .env("CANARY", CANARY)
        .env_remove("RUST_LOG")
        .current_dir(place)
        .output()
        .expect("it runs");
    let mut all = String::from_utf8_lossy(&output.stdout).into_owned();
    all.push_str(&String::from_utf8_lossy(&output.stderr));
    all
}

#[test]
fn a_canary_is_never_heard() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join("canary"), format!("{CANARY}\n")).expect("written");
    let port = free_port();
    let mut scripts = vec![
        "tb.create_source('a', '${env:CANARY}')".to_owned(),
        "tb.create_source('a', 'file:${env:CANARY}')".to_owned(),
        "tb.create_source('a', 'file:x', {follow = '${file:canary}'})".to_owned(),
        "tb.create_source('a', 'file:x', {in_flight = {'${file:canary}'}})".to_owned(),
        "tb.create_source('a', 'gopher://me:${env:CANARY}@host')".to_owned(),
        "tb.create_source('a', 'tcp://me:${env:CANARY}@127.0.0.1:99999')".to_owned(),
        "tb.create_sink('a', 'unix:${env:CANARY}/x', {timeout = '${env:CANARY}'})".to_owned(),
        "tb.create_sink('a', 'kafka://me:xyzzy-canary@h/${env:CANARY}')".to_owned(),
        "tb.create_source('a', 'file:${env:CANARY}') tb.create_stdout('b') tb.link('a', 'b')"
            .to_owned(),
    ];
    if cfg!(feature = "full") {
        let source = "tb.create_ticker('t', '10ms') tb.create_sink('a', ";
        for sink in [
            format!(
                "'http://me:${{env:CANARY}}@127.0.0.1:{port}/${{env:CANARY}}', {{token = '${{file:canary}}'}}"
            ),
            format!(
                "'slack:http://127.0.0.1:{port}/${{file:canary}}', {{text = '${{file:canary}} {{data}}'}}"
            ),
            "'telegram:123', {chat = 'x', text = '${file:canary} {dta}'}".to_owned(),
            format!(
                "'telegram:xyzzy-canary', {{chat = 'x', text = '{{data}}', api = 'http://127.0.0.1:{port}'}}"
            ),
        ] {
            scripts.push(format!("{source}{sink}) tb.link('t', 'a')"));
        }
    }
    for script in &scripts {
        for verb in [
            &["run", "--for", "300ms", "--drain", "300ms", "--stats"][..],
            &["check"],
            &["graph"],
            &["explain"],
        ] {
            let said = said(place.path(), verb, script);
            for secret in ["xyzzy-canary", "xyzzy%2D", "long%25secret", "long%secret"] {
                assert!(!said.contains(secret), "{verb:?} of {script}: {said}");
            }
        }
    }
}
