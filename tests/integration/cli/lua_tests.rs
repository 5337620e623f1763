//! `tributary test`: tests of networks, written in Lua.

use crate::support::binary::Site;
use std::error::Error;
use std::time::{Duration, Instant};

type Tested = std::result::Result<(), Box<dyn Error>>;

const NET: &str = r#"
local tb = require("tributary")
tb.create_table("bets", { key = "uuid",
    columns = { uuid = "text", at = "integer", customer = "text", stake = "real" } })
tb.sliding_window_time("window", "out",
    "select customer, round(sum(stake), 2) as total from bets group by customer having sum(stake) > 100",
    "bets", "24h", "at")
tb.create_filter("once", "10s", { by = { "customer" } })
tb.create_map("big", function(e) if e.data.total > 1000 then error("too much") end return e end)
tb.create_stdin("input")
tb.create_stdout("output")
tb.chain("streaming_ingest", "window")
tb.link("input", "window")
tb.chain("out", "once", "big", "printer")
tb.link("big", "output")
"#;

const TESTS: &str = r#"
local tb = require("tributary")
local function bet(t, uuid, stake)
    return { uuid = uuid, at = t:now() // 1 | 0, customer = "c", stake = stake }
end

tb.test("one alert per customer", function(t)
    t:load("network.lua")
    t:inject("streaming_ingest", bet(t, "1", 60), bet(t, "2", 60.5))
    t:inject("streaming_ingest", bet(t, "3", 1))
    t:expect("printer", { { customer = "c", total = 120.5 } })
    t:expect_none("printer")
    t:advance("11s")
    t:inject("input", bet(t, "4", 1))
    t:expect("output", { { customer = "c", total = 120.5 }, { customer = "c", total = 122.5 } })
    t:expect_none("big.errors")
    assert(#t:received("window") == 3 and t:received("once.dropped")[1].total == 121.5)
    t:advance("25h")
    t:inject("input", bet(t, "5", 100))
    t:expect_none("output")
end)

tb.test("nothing is kept between tests", function(t)
    t:load("network.lua")
    t:inject("streaming_ingest", bet(t, "1", 100.5))
    t:expect("printer", { { customer = "c", total = 100.5 } })
    t:finish()
end)
"#;

const FAILING: &str = r#"
local tb = require("tributary")
tb.test("a wrong expectation", function(t)
    t:load("network.lua")
    local now = t:now() | 0
    t:inject("input", { uuid = "1", at = now, customer = "a", stake = 200 },
        { uuid = "2", at = now, customer = "b", stake = 2000 })
    t:expect("printer", { { customer = "b", total = 2000 }, { customer = "a", total = 200 } })
end)
tb.test("a wrong name", function(t)
    t:load("network.lua")
    t:expect_none("printr")
end)
tb.test("a wrong function", function(t)
    t:expct("printer", {})
end)
tb.test("a dot", function(t)
    t.load("network.lua")
end)
tb.test("a script that is not there", function(t)
    t:load("none.lua")
end)
tb.test("a typing error in a link", function(t)
    t:load("typo.lua")
end)
tb.test("an assertion", function(t)
    assert(1 == 2, "not equal")
end)
"#;

const TYPO: &str =
    "local tb = require('tributary')\ntb.create_forwarder('window')\ntb.link('windw', 'x')\n";

fn site() -> Result<Site, Box<dyn Error>> {
    Ok(Site::with(&[
        ("network.lua", NET),
        ("network_test.lua", TESTS),
        ("failing.lua", FAILING),
        ("typo.lua", TYPO),
    ])?)
}

#[test]
fn tests_run_in_virtual_time_and_are_summed_up() -> Tested {
    let site = site()?;
    let begun = Instant::now();
    let wanted = "\nrunning 2 tests of network_test.lua\n\
                  test one alert per customer ... ok\n\
                  test nothing is kept between tests ... ok\n\n\
                  test result: ok. 2 passed; 0 failed; 0 filtered out; finished in …s\n";
    site.call(&["test", "network_test.lua"])?
        .expect(0, wanted, "");
    // A window of a day, in a debug build.
    assert!(begun.elapsed() < Duration::from_secs(5));
    let wanted = wanted.replace("of ", "of ./");
    site.call(&["test", "."])?.expect(0, &wanted, "");
    site.call(&["test", "network_test.lua", "--filter", "one"])?
        .expect(
            0,
            "\nrunning 1 test of network_test.lua\n\
         test one alert per customer ... ok\n\n\
         test result: ok. 1 passed; 0 failed; 1 filtered out; finished in …s\n",
            "",
        );
    Ok(())
}

#[test]
fn a_test_that_fails_prints_its_line_and_the_difference() -> Tested {
    let site = site()?;
    let difference = "at \"printer\": - did not come, + was not expected\n  \
                      - {\"customer\":\"b\",\"total\":2000}\n    {\"customer\":\"a\",\"total\":200}\n  \
                      node big rejected an event: network.lua:9: too much\n";
    let wanted = [
        "\nrunning 7 tests of failing.lua",
        "test a wrong expectation ... FAILED",
        "test a wrong name ... FAILED",
        "test a wrong function ... FAILED",
        "test a dot ... FAILED",
        "test a script that is not there ... FAILED",
        "test a typing error in a link ... FAILED",
        "test an assertion ... FAILED",
        "\nfailures:\n",
        &format!("---- a wrong expectation ----\nfailing.lua:8: {difference}"),
        "---- a wrong name ----",
        "failing.lua:12: no node \"printr\"\n  hint: did you mean \"printer\"?\n",
        "---- a wrong function ----",
        "failing.lua:15: a test has no function \"expct\"\n  hint: did you mean \"expect\"?\n",
        "---- a dot ----",
        "failing.lua:18: load was called without its test\n  hint: write t:load(...), with a colon\n",
        "---- a script that is not there ----",
        "failing.lua:21: no such script: \"/…/none.lua\"\n",
        "---- a typing error in a link ----",
        "typo.lua:3: no source node \"windw\"\n  hint: did you mean \"window\"?\n",
        "---- an assertion ----",
        "failing.lua:27: not equal\n",
        "test result: FAILED. 0 passed; 7 failed; 0 filtered out; finished in …s\n",
    ];
    site.call(&["test", "failing.lua"])?.expect(
        1,
        &wanted.join("\n"),
        "tributary: 7 tests failed\n",
    );
    Ok(())
}

#[test]
fn a_file_of_tests_that_is_wrong_is_no_failed_test() -> Tested {
    let site = site()?;
    site.call(&["test", "none.lua"])?.expect(
        66,
        "",
        "tributary: no such script: \"/…/none.lua\"\n",
    );
    site.call(&["test", "typo.lua"])?.expect(
        65,
        "",
        "tributary: typo.lua:3: no source node \"windw\"\n  hint: did you mean \"window\"?\n",
    );
    let site = Site::with(&[(
        "twice_test.lua",
        "local tb = require('tributary')\nfor i = 1, 2 do tb.test('x', print) end\n",
    )])?;
    site.call(&["test", "."])?.expect(
        65,
        "",
        "tributary: ./twice_test.lua:2: a second test \"x\"\n",
    );
    let site = Site::with(&[("net.lua", "")])?;
    site.call(&["test", "."])?.expect(
        66,
        "",
        "tributary: no tests in \".\"\n  hint: files of tests end in test.lua or tests.lua\n",
    );
    Ok(())
}

#[test]
fn a_changed_script_is_loaded_again_in_the_middle_of_a_test() -> Tested {
    const NET: &str = "
local tb = require('tributary')
tb.create_filter('once', '1m', { by = { 'n' } })
tb.create_map('mark', function(e) return { n = e.data.n, mark = 'old' } end)
tb.chain('in', 'once', 'mark', 'out')
";
    const TESTS: &str = "
require('tributary').test('the filter keeps what it has seen', function(t)
    t:load('net.lua')
    t:inject('in', { n = 1 })
    t:expect('out', { { n = 1, mark = 'old' } })
    local now = t:now()
    t:reload('changed.lua')
    assert(t:now() == now)
    t:inject('in', { n = 1 }, { n = 2 })
    t:expect('out', { { n = 2, mark = 'new' } })
    t:expect('elsewhere', { { n = 2 } })
    local ok, why = pcall(t.reload, t, 'broken.lua')
    assert(not ok and tostring(why):find('broken.lua', 1, true), why)
    t:inject('in', { n = 3 })
    t:expect('out', { { n = 3, mark = 'new' } })
end)
";
    let changed = NET.replace("old", "new").replace("'1m'", "'5m'")
        + "tb.create_map('add', function(e) return { n = e.data.n } end) tb.chain('mark', 'add', 'elsewhere')";
    let site = Site::with(&[
        ("net.lua", NET),
        ("changed.lua", &changed),
        ("broken.lua", "error('no')"),
        ("net_test.lua", TESTS),
    ])?;
    let done = site.call(&["test", "net_test.lua"])?;
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    Ok(())
}
