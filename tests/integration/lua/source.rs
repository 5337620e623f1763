//! What a script is told about its text and its errors: file, line, column, never nothing.

use std::error::Error;
use std::fs;
use tributary::{ErrorKind, Network, Result, Runtime};

type Tested = std::result::Result<(), Box<dyn Error>>;

fn told(text: &str) -> Result<String> {
    let runtime = Runtime::new(&Network::new())?;
    let error = runtime.run_text("s.lua", text).expect_err(text);
    assert_eq!(error.kind(), ErrorKind::Data, "{text}");
    Ok(error.to_string())
}

#[track_caller]
fn all(cases: &[(&str, &str)]) -> Result<()> {
    for (text, wanted) in cases {
        assert_eq!(told(text)?, *wanted, "of {text}");
    }
    Ok(())
}

#[test]
fn a_mistake_in_the_grammar_is_shown_with_line_and_column() -> Result<()> {
    // Row 15.
    all(&[
        (
            "local x = 1\nlocal y = \"unfinished\n",
            "s.lua:2:11: unfinished string near '\"unfinished', in the line: local y = \"unfinished",
        ),
        (
            "local x = = 1",
            "s.lua:1:11: unexpected symbol near '=', in the line: local x = = 1",
        ),
        (
            "f(1,, 2, 3)",
            "s.lua:1:5: unexpected symbol near ',', in the line: f(1,, 2, 3)",
        ),
        (
            "local b, c = 'é=', = 2",
            "s.lua:1:20: unexpected symbol near '=', in the line: local b, c = 'é=', = 2",
        ),
        (
            "local t = {\n1, 2\n",
            "s.lua:3: '}' expected (to close '{' at line 1) near <eof>",
        ),
        (
            "goto nowhere",
            "s.lua:1: no visible label 'nowhere' for <goto> at line 1, in the line: goto nowhere",
        ),
    ])
}

#[test]
fn an_error_of_the_script_never_has_an_empty_message() -> Result<()> {
    let no_text = "s.lua: the script raised an error that is no text";
    let nil = "s.lua: the script raised an error with the value nil";
    // Row 16.
    all(&[
        ("\nerror('my words')", "s.lua:2: my words"),
        ("error('no place', 0)", "s.lua: no place"),
        ("error()", nil),
        ("error(nil)", nil),
        ("error({})", no_text),
        ("error({code = 1})", no_text),
        ("error(print)", no_text),
        ("error(42)", "s.lua: 42"),
        (
            "error('')",
            "s.lua:1: the script raised an error with an empty message",
        ),
        (
            "error(setmetatable({}, {__tostring = function() return 'mine' end}))",
            "s.lua: mine",
        ),
        (
            "error('\\27[31mred\\27[0m\\a')",
            "s.lua:1: \\u{1b}[31mred\\u{1b}[0m\\u{7}",
        ),
        (
            "\n\nlocal x = nil + 1",
            "s.lua:3: attempt to perform arithmetic on a nil value",
        ),
        (
            "string.rep()",
            "s.lua:1: bad argument #1 to 'rep' (string expected, got no value)",
        ),
        ("assert(false, 'not so')", "s.lua:1: not so"),
    ])?;
    let cut = told("error('a\\0b')")?;
    assert!(cut.starts_with("s.lua:1: a"), "{cut}");
    Ok(())
}

#[test]
fn an_error_that_was_caught_keeps_its_place_when_it_is_raised_again() -> Result<()> {
    let caught = "local ok, e = pcall(require('tributary').link, 'x', 'y')\n";
    let wanted = "no source node \"x\"";
    assert_eq!(
        told(&format!("{caught}\nerror(e)"))?,
        format!("s.lua:1: {wanted}")
    );
    assert_eq!(
        told(&format!("{caught}\nerror('why: ' .. tostring(e))"))?,
        format!("s.lua:3: why: s.lua:1: {wanted}")
    );
    Ok(())
}

#[test]
fn a_script_with_a_long_name_keeps_its_lines() -> Result<()> {
    let runtime = Runtime::new(&Network::new())?;
    for name in [
        format!("{}/net.lua", "a_directory_with_a_name/".repeat(9)),
        // Lua cuts the name in the middle of a character.
        format!("{}é/net.lua", "x".repeat(58)),
    ] {
        for (text, wanted) in [
            (
                "\n\nlocal x = nil + 1",
                ":3: attempt to perform arithmetic on a nil value",
            ),
            (
                "\nrequire('tributary').link('a', 'b')",
                ":2: no source node \"a\"",
            ),
            (
                "local x = = 1",
                ":1:11: unexpected symbol near '=', in the line: local x = = 1",
            ),
            ("\nerror('words')", ":2: words"),
        ] {
            let error = runtime.run_text(&name, text).expect_err(text);
            assert_eq!(error.to_string(), format!("{name}{wanted}"));
        }
    }
    Ok(())
}

#[test]
fn marks_shebangs_and_line_ends_leave_the_lines_where_they_are() -> Tested {
    // Row 22.
    let directory = tempfile::tempdir()?;
    let runtime = Runtime::new(&Network::new())?;
    let path = directory.path().join("s.lua");
    for head in ["\u{feff}", "#!/usr/bin/env tributary", "\u{feff}#!/bin/x"] {
        for end in ["\n", "\r\n"] {
            fs::write(&path, [head, "local x = 1", "error('here')"].join(end))?;
            let error = runtime.run(&path).expect_err("it raises");
            assert_eq!(error.to_string(), format!("{}:3: here", path.display()));
        }
    }
    for (bytes, wanted) in [
        (
            &b"\xff\xfel\0o\0"[..],
            "the script is UTF-16; save it as UTF-8",
        ),
        (b"\xfe\xff\0l\0o", "the script is UTF-16; save it as UTF-8"),
        (
            b"\x1bLuaT\0",
            "binary chunks are not allowed; give the source text",
        ),
        (
            b"-- fine\nlocal x = '\xe9'\n",
            "line 2 is not UTF-8; save the script as UTF-8",
        ),
    ] {
        fs::write(&path, bytes)?;
        let error = runtime.run(&path).expect_err(wanted);
        assert_eq!(error.to_string(), format!("{}: {wanted}", path.display()));
        assert_eq!(error.kind(), ErrorKind::Data);
    }
    Ok(())
}

#[test]
fn a_script_file_that_cannot_be_read_is_named_with_the_reason() -> Tested {
    // Row 23.
    let directory = tempfile::tempdir()?;
    let runtime = Runtime::new(&Network::new())?;
    let path = |name: &str| directory.path().join(name);
    fs::write(path("empty.lua"), "")?;
    runtime.run(path("empty.lua"))?;

    let missing = runtime.run("no/such.lua").expect_err("missing");
    let absolute = std::env::current_dir()?.join("no/such.lua");
    assert_eq!(missing.kind(), ErrorKind::NoInput);
    assert_eq!(missing.to_string(), format!("no such script: {absolute:?}"));

    let error = runtime.run(directory.path()).expect_err("a directory");
    assert_eq!(error.kind(), ErrorKind::NoInput);
    assert_eq!(
        error.to_string(),
        format!(
            "cannot read script {:?}: it is a directory",
            directory.path()
        )
    );

    let made = std::process::Command::new("mkfifo")
        .arg(path("fifo.lua"))
        .status()?;
    assert!(made.success());
    let error = runtime.run(path("fifo.lua")).expect_err("a pipe");
    assert_eq!(
        error.to_string(),
        format!(
            "cannot read script {:?}: it is not a regular file",
            path("fifo.lua")
        )
    );

    // A file of 100 MB without a byte on the disk.
    fs::File::create(path("big.lua"))?.set_len(100 << 20)?;
    let error = runtime.run(path("big.lua")).expect_err("too big");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(
        error.to_string(),
        format!(
            "script {:?} has 104857600 bytes, more than 8 MiB",
            path("big.lua")
        )
    );

    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path("empty.lua"), fs::Permissions::from_mode(0o000))?;
    // The superuser reads everything.
    if fs::read(path("empty.lua")).is_err() {
        let error = runtime.run(path("empty.lua")).expect_err("no permission");
        assert_eq!(error.kind(), ErrorKind::NoPermission);
        assert!(error.message().ends_with("permission denied"), "{error}");
    }
    Ok(())
}
