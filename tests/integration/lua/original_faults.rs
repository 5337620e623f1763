//! Faults of the program that this one grew from, in scripts: none comes back.

use crate::lua::script::Seen;
use crate::support::binary::Site;
use std::error::Error;
use tributary::{Network, Result, Runtime};

#[test]
fn fault_01_a_link_to_a_node_that_does_not_exist_is_an_error() -> Result<()> {
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    runtime.run_text(
        "nodes.lua",
        "local tb = require('tributary') tb.create_ticker('ticker', '1s') \
         tb.create_forwarder('a') tb.create_discarder('b')",
    )?;
    for call in [
        "link('tickr', 'a')",
        "link('ticker', 'c')",
        "fanout('ticker', 'a', 'c')",
        "fanin('b', 'a', 'tickr')",
        "balance('ticker', 'a', 'c')",
    ] {
        let text = format!("require('tributary').{call}");
        let error = runtime.run_text("links.lua", text).expect_err(call);
        assert!(error.to_string().starts_with("links.lua:1: no "), "{error}");
        assert!(network.edges().is_empty(), "{call} took effect in part");
    }
    Ok(())
}

#[test]
fn fault_02_a_node_that_cannot_be_made_is_an_error() -> Result<()> {
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    runtime.run_text(
        "nodes.lua",
        "local tb = require('tributary') tb.create_forwarder('taken') \
         tb.create_table('t', {columns = {at = 'integer'}})",
    )?;
    for call in [
        "create_ticker('taken', '1s')",
        "create_forwarder('taken')",
        "create_ratelimit('taken', '1s')",
        "create_filter('taken', '1s')",
        "create_discarder('taken')",
        "create_tester('taken', '.')",
        "create_stdin('taken')",
        "create_stdout('taken')",
        "create_file_source('taken', 'f')",
        "create_file_sink('taken', 'f')",
        "create_window('taken', 't')",
        "query_window('taken', 'select 1')",
        "sliding_window_time('taken', 'out', 'select 1', 't', '1s', 'at')",
        "sliding_window_time('in', 'taken', 'select 1', 't', '1s', 'at')",
    ] {
        let text = format!("require('tributary').{call}");
        let error = runtime.run_text("more.lua", text).expect_err(call);
        assert_eq!(
            error.to_string(),
            "more.lua:1: node \"taken\" already defined at nodes.lua:1",
            "{call}"
        );
        assert_eq!(network.nodes().len(), 1, "{call} took effect in part");
    }
    Ok(())
}

#[test]
fn fault_21_a_discarder_prints_nothing() -> std::result::Result<(), Box<dyn Error>> {
    let site = Site::with(&[(
        "net.lua",
        "local tb = require('tributary') tb.create_stdin('in') \
         tb.create_discarder('null') tb.link('in', 'null')",
    )])?;
    site.feed(&["run", "net.lua"], "1\n2\n")?.expect(0, "", "");
    Ok(())
}

#[test]
fn fault_24_scripts_are_fenced_in_and_leave_nothing_behind_when_they_fail() -> Result<()> {
    let network = Network::new();
    let runtime = Runtime::new(&network)?;
    for (call, wanted) in [
        (
            "os.execute('true')",
            "os.execute is not available to this script",
        ),
        ("os.exit(1)", "os.exit is not available to this script"),
        (
            "io.open('/etc/passwd')",
            "io.open is not available to this script",
        ),
        (
            "debug.getregistry()",
            "debug.getregistry is not available to this script",
        ),
        (
            "package.loadlib('x', 'y')",
            "package.loadlib is not available to this script",
        ),
        (
            "require('socket')",
            "no module \"socket\": there is \"tributary\"",
        ),
        (
            "dofile('/etc/passwd')",
            "dofile is not available to this script",
        ),
        (
            "loadfile('/etc/passwd')",
            "loadfile is not available to this script",
        ),
        (
            "assert(load(string.dump(function() end), 'chunk', 'b'))",
            "binary chunks are not allowed",
        ),
    ] {
        let text = format!("require('tributary').create_forwarder('f')\n{call}");
        let error = runtime.run_text("s.lua", text).expect_err(call);
        assert_eq!(error.to_string(), format!("s.lua:2: {wanted}"));
        assert!(network.nodes().is_empty(), "{call} left a node behind");
    }
    let bomb = "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end";
    let error = runtime
        .run_text("bomb.lua", bomb)
        .expect_err("no such memory");
    assert_eq!(
        error.to_string(),
        "bomb.lua:1: memory limit of 256 MiB exceeded"
    );
    let endless = "\n\nwhile true do end";
    let error = runtime
        .run_text("endless.lua", endless)
        .expect_err("no such time");
    assert_eq!(
        error.to_string(),
        "endless.lua:3: load time budget 5s exceeded"
    );
    runtime.run_text("good.lua", "require('tributary').create_forwarder('f')")
}

#[test]
fn fault_25_identifiers_beyond_2_to_53_come_through_whole() -> Result<()> {
    let network = Network::new();
    let (seen, runtime) = (Seen::at(&network, "seen")?, Runtime::new(&network)?);
    runtime.export_source("create_ids", |args| {
        let first = args.integer(2)?;
        Ok(tributary::source::from_iter([
            first.to_string(),
            args.json(3)?.to_string(),
        ]))
    })?;
    runtime.run_text(
        "net.lua",
        "local tb = require('tributary') \
         tb.create_ids('ids', 9007199254740993, {id = math.mininteger}) tb.link('ids', 'seen')",
    )?;
    network.start()?;
    network.wait()?;
    assert_eq!(
        seen.take(),
        ["9007199254740993", r#"{"id":-9223372036854775808}"#]
    );
    let nil = runtime.run_text("bad.lua", "require('tributary').create_ids('b', 1, print)");
    let error = nil.expect_err("a function is not nil");
    assert!(
        error
            .to_string()
            .contains("a value of type function has no form in JSON"),
        "{error}"
    );
    Ok(())
}
