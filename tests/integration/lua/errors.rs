//! What a script is told when it is wrong: the place, the value, and what may have been meant.

use std::error::Error;
use tributary::{ErrorKind, Network, Result, Runtime, Table};

type Tested = std::result::Result<(), Box<dyn Error>>;

/// What a script is told; nodes `ticker` (a source), `p` and `q` (pipelines) and `printer` (a
/// sink) are there, made at `net.lua:2` to `net.lua:5`, as is a table `bets`.
fn told(body: &str) -> Result<String> {
    let runtime = Runtime::new(&Network::new())?;
    let bets = Table::new("bets").text("id").integer("at").text("note");
    runtime.database().declare(bets)?;
    runtime.run_text(
        "net.lua",
        "local tb = require('tributary')\ntb.create_ticker('ticker', '1s')\n\
         tb.create_forwarder('p')\ntb.create_forwarder('q')\ntb.create_discarder('printer')\n",
    )?;
    let before = (
        runtime.network().nodes().len(),
        runtime.network().edges().len(),
    );
    let text = format!("local tb = require('tributary')\n\n{body}\n");
    let error = runtime.run_text("new.lua", text).expect_err(body);
    assert_eq!(error.kind(), ErrorKind::Data, "{body}");
    let after = (
        runtime.network().nodes().len(),
        runtime.network().edges().len(),
    );
    assert_eq!(before, after, "a script that fails leaves nothing behind");
    Ok(error.to_string())
}

/// Runs each line of Lua and compares what it is told at line 3.
#[track_caller]
fn all(cases: &[(&str, &str)]) -> Result<()> {
    for (body, wanted) in cases {
        assert_eq!(told(body)?, format!("new.lua:3: {wanted}"), "of {body}");
    }
    Ok(())
}

#[test]
fn a_link_names_what_is_not_there_or_has_no_such_end() -> Result<()> {
    all(&[
        // Row 1 and 2.
        (
            r#"tb.link("tickr", "p")"#,
            r#"no source node "tickr"; did you mean "ticker"?"#,
        ),
        (
            r#"tb.link("ticker", "nowhere")"#,
            r#"no target node "nowhere""#,
        ),
        (
            r#"tb.link("printer", "p")"#,
            "printer is a sink and has no output",
        ),
        (
            r#"tb.link("p", "ticker")"#,
            "ticker is a source and has no input",
        ),
        (
            r#"tb.fanout("p", "ticker")"#,
            "ticker is a source and has no input",
        ),
        (
            r#"tb.fanin("p", "printer")"#,
            "printer is a sink and has no output",
        ),
        (
            r#"tb.link("p.left", "q")"#,
            r#"node p has no port "left"; its ports are out, errors, dropped"#,
        ),
        (
            r#"tb.link("p.error", "q")"#,
            r#"node p has no port "error"; did you mean "errors"?"#,
        ),
        (
            r#"tb.link("p", "q.errors")"#,
            r#"a link leads to a node, not to a port: "q.errors""#,
        ),
    ])
}

#[test]
fn a_node_is_defined_once_and_the_first_place_is_named() -> Result<()> {
    all(&[
        // Row 3 and 5.
        (
            r#"tb.create_forwarder("p")"#,
            r#"node "p" already defined at net.lua:3"#,
        ),
        (
            r#"tb.create_ticker("printer", "1s")"#,
            r#"node "printer" already defined at net.lua:5"#,
        ),
        (
            r#"tb.sliding_window_time("w", "w_out", "select 1", "bets", "1s", "at") tb.create_tester("w_out", ".")"#,
            r#"node "w_out" already defined at new.lua:3 (made by sliding_window_time for w)"#,
        ),
        (
            r#"tb.sliding_window_time("w", "q", "select 1", "bets", "1s", "at")"#,
            r#"node "q" already defined at net.lua:4"#,
        ),
    ])
}

#[test]
fn a_name_outside_the_grammar_is_refused_with_the_grammar() -> Result<()> {
    let long = "n".repeat(300);
    let hint = r#"allowed is [A-Za-z_][A-Za-z0-9_-]{0,127}, and not "_" alone"#;
    // Row 4.
    for (lua, shown) in [
        ("", r#""""#.to_owned()),
        ("_", r#""_""#.to_owned()),
        ("a b", r#""a b""#.to_owned()),
        (&long, format!("\"{}…\"", &long[..120])),
        (r#"x\";drop"#, r#""x";drop""#.to_owned()),
        (r"a\0b", r#""a\0b""#.to_owned()),
        ("🦀", r#""🦀""#.to_owned()),
        ("1a", r#""1a""#.to_owned()),
        (r"\27[31m", r#""\u{1b}[31m""#.to_owned()),
    ] {
        let told = told(&format!("tb.create_forwarder(\"{lua}\")"))?;
        assert_eq!(told, format!("new.lua:3: bad name {shown}; {hint}"));
    }
    assert!(
        told(r#"tb.create_forwarder("../x")"#)?.contains(
            r#"bad name "../x"; allowed is [A-Za-z_][A-Za-z0-9_-]{0,127}; a dot separates"#
        )
    );
    assert!(
        told(r#"tb.create_forwarder("a.b")"#)?.contains(
            r#"bad name "a.b"; allowed is [A-Za-z_][A-Za-z0-9_-]{0,127}; a dot separates"#
        )
    );
    assert!(told(r#"tb.create_forwarder("a\xff")"#)?.contains("a string in UTF-8 expected"));
    Ok(())
}

#[test]
fn a_second_link_between_two_nodes_is_refused_and_two_into_one_are_not() -> Result<()> {
    let twice = "a second link would not make a second copy; events are copied to different nodes";
    all(&[
        // Row 6.
        (
            r#"tb.link("p", "q") tb.link("p", "q")"#,
            &format!("p is already linked to q at new.lua:3; {twice}"),
        ),
        (
            r#"tb.fanout("p", "q", "q")"#,
            &format!("p is already linked to q at new.lua:3; {twice}"),
        ),
    ])?;
    // Row 7.
    let network = Network::new();
    let text = "local tb = require('tributary') tb.create_forwarder('a') tb.create_forwarder('b') \
                tb.create_discarder('c') tb.link('a', 'c') tb.link('b', 'c')";
    Runtime::new(&network)?.run_text("net.lua", text)?;
    assert!(network.is_connected("a", "c") && network.is_connected("b", "c"));
    Ok(())
}

#[test]
fn a_cycle_is_refused_with_its_path_and_lines() -> Result<()> {
    let cycle = "a cycle would block for ever:";
    // Row 8.
    all(&[
        (
            r#"tb.link("p", "p")"#,
            &format!("{cycle} p -> p (new.lua:3)"),
        ),
        (
            r#"tb.link("p.errors", "p")"#,
            &format!("{cycle} p.errors -> p (new.lua:3)"),
        ),
    ])?;
    assert_eq!(
        told("tb.link('p', 'q')\ntb.link('q', 'p')")?,
        format!("new.lua:4: {cycle} q -> p (new.lua:4) -> q (new.lua:3)")
    );
    let five = "for i = 1, 5 do tb.create_forwarder('n' .. i) end\n\
                for i = 1, 4 do tb.link('n' .. i, 'n' .. i + 1) end\n\
                tb.link('n5', 'n1')";
    let path = "n5 -> n1 (new.lua:5) -> n2 (new.lua:4) -> n3 (new.lua:4) -> n4 (new.lua:4) -> n5";
    assert_eq!(
        told(five)?,
        format!("new.lua:5: {cycle} {path} (new.lua:4)")
    );
    Ok(())
}

#[test]
fn wrong_arguments_are_named_by_number_and_function() -> Result<()> {
    let expected = |at: u8, function: &str, got: &str| {
        format!("bad argument #{at} to {function}: string expected, got {got}")
    };
    // Row 9 and 10.
    all(&[
        (r#"tb.fanout("p")"#, "fanout of p needs at least one target"),
        (r#"tb.fanin("p")"#, "fanin of p needs at least one source"),
        ("tb.fanin()", &expected(1, "fanin", "nothing")),
        (
            r#"tb.balance("ticker", "p")"#,
            "balance of ticker needs at least two members",
        ),
        (r#"tb.link(nil, "q")"#, &expected(1, "link", "nil")),
        (r#"tb.link("p", 1)"#, &expected(2, "link", "number 1")),
        (r#"tb.link(1, {})"#, &expected(1, "link", "number 1")),
        (r#"tb.link("p", {})"#, &expected(2, "link", "table")),
        (r#"tb.link("p")"#, &expected(2, "link", "nothing")),
        (
            r#"tb.link("p", "q", {}, 1)"#,
            "too many arguments to link: 3 at most, got 4",
        ),
        (
            r#"tb.link("p", "q", 1)"#,
            "bad argument #3 to link: table of options expected, got number 1",
        ),
        (r#"tb.fanout("p", "q", nil)"#, &expected(3, "fanout", "nil")),
        (
            r#"tb.create_tester("t")"#,
            &expected(2, "create_tester", "nothing"),
        ),
        (
            r#"tb.create_forwarder("f", 1)"#,
            "too many arguments to create_forwarder: 1 at most, got 2",
        ),
        (
            r#"tb.node_exists()"#,
            &expected(1, "node_exists", "nothing"),
        ),
        (
            r#"tb.stats(1)"#,
            "too many arguments to stats: 0 at most, got 1",
        ),
        (
            r#"tb.link("p", "q", {capcity = 1})"#,
            r#"link has no option "capcity"; did you mean "capacity"?"#,
        ),
        (
            r#"tb.create_filter("f", "1s", {colour = 1})"#,
            r#"create_filter has no option "colour"; its options are by, store, max_keys"#,
        ),
        (
            r#"tb.create_filter("f", "1s", {by = 1})"#,
            "option by of create_filter: a string or a list of strings expected, got 1",
        ),
        (
            r#"tb.create_filter("f", "1s", {by = {}})"#,
            "option by of create_filter: a string or a list of strings expected, got {}",
        ),
        (
            r#"tb.link("p", "q", {capacity = 1.5})"#,
            "option capacity of link: integer expected, got 1.5",
        ),
    ])?;
    // A whole number is one, also where Lua computed it as a float.
    let network = Network::new();
    let text = "local tb = require('tributary') tb.create_forwarder('a') \
                tb.create_discarder('b') tb.link('a', 'b', {capacity = 2^4})";
    Runtime::new(&network)?.run_text("net.lua", text)?;
    assert_eq!(network.edges()[0].capacity.events, 16);
    Ok(())
}

#[test]
fn an_unknown_function_gets_a_suggestion() -> Result<()> {
    // Row 11.
    all(&[
        (
            r#"tb.lnk("p", "q")"#,
            r#"tributary has no function "lnk"; did you mean "link"?"#,
        ),
        (
            r#"tb.create_tickr("t", "1s")"#,
            r#"tributary has no function "create_tickr"; did you mean "create_ticker"?"#,
        ),
        (
            r#"tb.frobnicate()"#,
            r#"tributary has no function "frobnicate""#,
        ),
        ("tb[1]()", "tributary has no number 1"),
        (
            r#"require("tributry")"#,
            r#"no module "tributry"; did you mean "tributary"?"#,
        ),
        (
            r#"os.execute("true")"#,
            "os.execute is not available to this script",
        ),
        (r#"io.open("x")"#, "io.open is not available to this script"),
    ])
}

#[test]
fn what_is_not_linked_is_named_with_its_place() -> Tested {
    // Row 12.
    let network = Network::new();
    let text = "local tb = require('tributary')\ntb.create_ticker('t', '1s')\n\
                tb.create_forwarder('f')\ntb.create_forwarder('g')\n\
                tb.create_discarder('d')\ntb.create_discarder('e')\n\
                tb.link('t', 'f')\ntb.link('g', 'd')";
    Runtime::new(&network)?.run_text("net.lua", text)?;
    let unlinked: Vec<String> = network.check().iter().map(ToString::to_string).collect();
    assert_eq!(
        unlinked,
        [
            "net.lua:3: node f has no output: what leaves it goes nowhere",
            "net.lua:4: node g has no input: nothing is linked to it",
            "net.lua:6: node e has no input: nothing is linked to it",
        ]
    );
    Ok(())
}

#[test]
fn a_duration_outside_the_grammar_is_refused() -> Result<()> {
    let grammar = r#"write whole numbers with units, as in "10s", "1h30m", "500ms""#;
    let units = "the units are us, ms, s, m, h and d";
    // Row 13 and 14.
    for (text, wanted) in [
        ("0s", "it must be more than zero".to_owned()),
        ("-1s", "it is negative".to_owned()),
        ("", format!("it is empty; {grammar}")),
        ("10", r#"no unit; did you mean "10s"?"#.to_owned()),
        ("10 s", format!("{units}; {grammar}")),
        ("1e3s", format!("{units}; {grammar}")),
        ("1h1", format!("no unit; {grammar}")),
        ("9999999h", "longer than the maximum of 36500d".to_owned()),
        ("NaN", "…".to_owned()),
        ("５s", "…".to_owned()),
        ("500µs", "…".to_owned()),
        (
            "99999999999999999999999999999999999999999s",
            "longer than the maximum of 36500d".to_owned(),
        ),
    ] {
        for call in [
            format!("tb.create_ticker('t', '{text}')"),
            format!("tb.create_ratelimit('t', '{text}')"),
            format!("tb.create_filter('t', '{text}')"),
        ] {
            let name = call.split(['.', '(']).nth(1).unwrap_or_default();
            let at = format!("new.lua:3: bad argument #2 to {name}: bad duration \"{text}\": ");
            let told = told(&call)?;
            assert!(
                crate::support::text::fits(&format!("{at}{wanted}"), &told),
                "{told}"
            );
        }
    }
    all(&[(
        r#"tb.sliding_window_time("w", "o", "select 1", "bets", "500ms", "at")"#,
        r#"bad window size "500ms": column resolution is 1 s; use a whole number of seconds"#,
    )])?;
    let text = told(r#"tb.sliding_window_time("w", "o", "select 1", "bets", "10s", "note")"#)?;
    assert!(
        text.contains("bets.note is text, so it cannot be the time column of a window"),
        "{text}"
    );
    Ok(())
}

#[test]
fn an_error_in_the_prelude_points_at_the_users_line() -> Result<()> {
    all(&[
        (
            r#"tb.chain("p", "q", "nowhere")"#,
            r#"no target node "nowhere""#,
        ),
        (
            r#"tb.chain("p")"#,
            "bad argument #2 to link: string expected, got nil",
        ),
    ])?;
    assert_eq!(
        told("coroutine.wrap(function()\n  tb.chain('p', 'x')\nend)()")?,
        r#"new.lua:4: no target node "x""#
    );
    Ok(())
}
