//! Scripts of a running process that are loaded again: by a client, by a signal, because a file has changed.

use super::{Reply, Shown, Tested, eventually, request};
use crate::support::binary::{Done, Running, Signal, Site};

/// Counts the lines of a file, each of which is marked.
const NETWORK: &str = "\
local tb = require('tributary')
local MARK = 'first'
tb.create_file_source('in', 'in.jsonl', { follow = true, checkpoint = 'place' })
tb.create_map('mark', function(e) return { n = e.data.n, mark = MARK } end)
tb.create_file_sink('out', 'out.jsonl')
tb.chain('in', 'mark', 'out')
";

const TOKEN: [&str; 2] = ["--admin-token", "${env:TOKEN}"];

fn site() -> std::io::Result<Site> {
    Site::with(&[("net.lua", NETWORK), ("in.jsonl", "{\"n\":1}\n")])
}

fn append(site: &Site, name: &str, text: &str) -> Tested {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(site.path(name))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Waits until the output has this line.
fn until_line(site: &Site, line: &str) -> Tested {
    let there = || {
        Ok(site
            .read("out.jsonl")
            .is_ok_and(|text| text.lines().any(|it| it == line)))
    };
    assert!(eventually(there)?, "{line}: {:?}", site.read("out.jsonl"));
    Ok(())
}

fn post(shown: &Shown, path: &str) -> Tested<Reply> {
    let headers = "authorization: Bearer t0p-secret-token\r\ncontent-length: 0\r\n";
    request(shown.port, "POST", path, headers)
}

fn call(shown: &Shown, args: &[&str]) -> Tested<Done> {
    let mut command = shown.site.command(args);
    command.env("TOKEN", "t0p-secret-token");
    Done::fed(command, "")
}

fn shown(more: &[&str]) -> Tested<Shown> {
    let mut args = TOKEN.to_vec();
    args.extend(more);
    let shown = Shown::at(site()?, &args)?;
    until_line(&shown.site, r#"{"mark":"first","n":1}"#)?;
    Ok(shown)
}

#[test]
fn a_client_has_scripts_loaded_again_and_gets_the_plan() -> Tested {
    let shown = shown(&[])?;
    let address = shown.address();
    let reload = |more: &[&str]| {
        let mut args = vec!["reload", &address];
        args.extend(TOKEN);
        args.extend(more);
        call(&shown, &args)
    };
    assert_eq!(reload(&[])?.stdout, "nothing changed\n");
    shown
        .site
        .write("net.lua", NETWORK.replace("first", "second"))?;
    let plan = "keep 2 nodes\nkeep 2 links\nreplace node mark (net.lua:4)\n";
    assert_eq!(reload(&["--dry-run"])?.stdout, plan);
    append(&shown.site, "in.jsonl", "{\"n\":2}\n")?;
    until_line(&shown.site, r#"{"mark":"first","n":2}"#)?;
    assert_eq!(reload(&["net.lua"])?.stdout, plan);
    append(&shown.site, "in.jsonl", "{\"n\":3}\n")?;
    until_line(&shown.site, r#"{"mark":"second","n":3}"#)?;
    let answer: serde_json::Value = serde_json::from_str(&reload(&["--json"])?.stdout)?;
    assert_eq!(answer["units"][0]["changed"], false, "{answer}");
    let units = shown.json("/api/v1/units")?;
    assert!(units.to_string().contains("net.lua"), "{units}");
    // Each event once, and the account is exact.
    assert_eq!(shown.site.read("out.jsonl")?.lines().count(), 3);
    Ok(())
}

#[test]
fn a_script_that_is_broken_is_refused_with_its_line() -> Tested {
    let shown = shown(&[])?;
    shown.site.write(
        "net.lua",
        NETWORK.replace("'mark', function", "'mark', functoin"),
    )?;
    let done = call(&shown, &["reload", &shown.address(), TOKEN[0], TOKEN[1]])?;
    assert_eq!(done.code, Some(65), "{}", done.stderr);
    assert!(done.stderr.contains("net.lua:4"), "{}", done.stderr);
    let done = call(
        &shown,
        &["reload", &shown.address(), "nte.lua", TOKEN[0], TOKEN[1]],
    )?;
    assert!(done.stderr.contains("no script"), "{}", done.stderr);
    assert!(done.stderr.contains("net.lua"), "{}", done.stderr);
    append(&shown.site, "in.jsonl", "{\"n\":2}\n")?;
    until_line(&shown.site, r#"{"mark":"first","n":2}"#)?;
    Ok(())
}

#[test]
fn changes_need_the_token_and_known_parameters() -> Tested {
    let shown = shown(&[])?;
    let done = call(&shown, &["reload", &shown.address()])?;
    assert_eq!(done.code, Some(77), "{}", done.stderr);
    for path in [
        "/api/v1/reload?unti=x",
        "/api/v1/load",
        "/api/v1/unload",
        "/api/v1/unload?unit=x&dry_run=1",
    ] {
        let reply = post(&shown, path)?;
        assert_eq!(reply.status, 400, "{path}: {}", reply.body);
    }
    let reply = post(&shown, "/api/v1/unload?unit=x")?;
    assert_eq!(reply.status, 422, "{}", reply.body);
    Ok(())
}

#[test]
fn a_client_adds_a_script_and_removes_it_again() -> Tested {
    let shown = shown(&[])?;
    let more = "local tb = require('tributary') tb.create_file_sink('copy', 'copy.jsonl') tb.link('mark', 'copy')";
    shown.site.write("more.lua", more)?;
    let address = shown.address();
    let done = call(&shown, &["load", &address, "more.lua", TOKEN[0], TOKEN[1]])?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(
        done.stdout.starts_with("add node copy ("),
        "{}",
        done.stdout
    );
    append(&shown.site, "in.jsonl", "{\"n\":2}\n")?;
    let there = || {
        Ok(shown
            .site
            .read("copy.jsonl")
            .unwrap_or_default()
            .lines()
            .count()
            == 1)
    };
    assert!(eventually(there)?);
    let done = call(&shown, &["unload", &address, "net.lua", TOKEN[0], TOKEN[1]])?;
    assert_eq!(done.code, Some(65), "{}", done.stdout);
    assert!(
        done.stderr.contains("node mark cannot be removed"),
        "{}",
        done.stderr
    );
    let done = call(
        &shown,
        &["unload", &address, "more.lua", TOKEN[0], TOKEN[1]],
    )?;
    assert!(
        done.stdout.contains("remove link mark -> copy"),
        "{}{}",
        done.stdout,
        done.stderr
    );
    append(&shown.site, "in.jsonl", "{\"n\":3}\n")?;
    until_line(&shown.site, r#"{"mark":"first","n":3}"#)?;
    assert_eq!(shown.site.read("copy.jsonl")?.lines().count(), 1);
    Ok(())
}

#[test]
fn a_script_is_loaded_again_when_it_or_what_it_requires_changes() -> Tested {
    let network = NETWORK.replace("'first'", "require('marks')");
    let site = Site::with(&[
        ("net.lua", &network),
        ("marks.lua", "return 'first'"),
        ("in.jsonl", "{\"n\":1}\n"),
    ])?;
    let mut running = site.start(&["run", "net.lua", "--watch", "-v"])?;
    until_line(&site, r#"{"mark":"first","n":1}"#)?;
    site.write("marks.lua", "return 'second'")?;
    running.until_log("reloaded net.lua: keep 2 nodes")?;
    append(&site, "in.jsonl", "{\"n\":2}\n")?;
    until_line(&site, r#"{"mark":"second","n":2}"#)?;
    // As an editor does: another file takes its place.
    site.write(
        "net.lua.new",
        network.replace("require('marks')", "'third'"),
    )?;
    std::fs::rename(site.path("net.lua.new"), site.path("net.lua"))?;
    let marked = |mark: &'static str| {
        let site = &site;
        move || {
            append(site, "in.jsonl", "{\"n\":3}\n")?;
            Ok(site.read("out.jsonl")?.contains(mark))
        }
    };
    assert!(eventually(marked("third"))?, "{}", running.log());
    // A module that is missing, and comes.
    site.write(
        "net.lua",
        network.replace("require('marks')", "require('later')"),
    )?;
    running.until_log("net.lua was not loaded again, and the network is as before")?;
    site.write("later.lua", "return 'fourth'")?;
    assert!(eventually(marked("fourth"))?, "{}", running.log());
    let lines = |name: &str| Ok::<_, std::io::Error>(site.read(name)?.lines().count());
    assert!(eventually(
        || Ok(lines("out.jsonl")? >= lines("in.jsonl")?)
    )?);
    let done = running.stop()?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(lines("out.jsonl")?, lines("in.jsonl")?, "each event once");
    Ok(())
}

/// Starts the binary in a session of its own, which has no terminal.
fn without_terminal(site: &Site) -> std::io::Result<Running> {
    let program = ["env", "--default-signal=HUP", "setsid", "--wait"];
    Running::of(site.command_by(&program, &["run", "net.lua", "-v"]))
}

#[test]
fn a_hang_up_loads_scripts_again_where_there_is_no_terminal() -> Tested {
    let site = site()?;
    let mut running = without_terminal(&site)?;
    until_line(&site, r#"{"mark":"first","n":1}"#)?;
    running.signal(Signal::HUP)?;
    running.until_log("reloaded net.lua: nothing changed")?;
    site.write("net.lua", NETWORK.replace("first", "second"))?;
    running.signal(Signal::HUP)?;
    running.until_log("replace node mark (net.lua:4)")?;
    append(&site, "in.jsonl", "{\"n\":2}\n")?;
    until_line(&site, r#"{"mark":"second","n":2}"#)?;
    // An output that was renamed is made again.
    std::fs::rename(site.path("out.jsonl"), site.path("out.1"))?;
    running.signal(Signal::HUP)?;
    append(&site, "in.jsonl", "{\"n\":3}\n")?;
    let made = || {
        Ok(site
            .read("out.jsonl")
            .is_ok_and(|text| text.contains("\"n\":3")))
    };
    assert!(eventually(made)?, "{}", running.log());
    let done = running.stop()?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    Ok(())
}
