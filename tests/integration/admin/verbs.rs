//! `status`, `tap` and `top`; the log as JSON; rejected events as an exit code.

use super::{NETWORK, Shown, Tested, eventually};
use crate::support::binary::Site;
use std::process::{Command, Stdio};

#[test]
fn status_is_one_screen_or_json() -> Tested {
    let shown = Shown::start(NETWORK, &[])?;
    let site = Site::new()?;
    let flows = || {
        let screen = site.call(&["status", &shown.address()])?.stdout;
        let mut lines = screen.lines();
        Ok(lines.any(|line| line.starts_with("double ") && line.contains(" open ")))
    };
    assert!(
        eventually(flows)?,
        "{}",
        site.call(&["status", &shown.address()])?.stdout
    );
    let done = site.call(&["status", &shown.address()])?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(
        done.stdout.starts_with("running: 7 nodes, 7 links, "),
        "{}",
        done.stdout
    );
    let done = site.call(&["status", &shown.address(), "--json"])?;
    let stats: serde_json::Value = serde_json::from_str(&done.stdout)?;
    assert!(stats["nodes"]["double"]["received"].is_u64());
    Ok(())
}

#[test]
fn the_verbs_say_where_no_network_is() -> Tested {
    let site = Site::new()?;
    for verb in [&["status"][..], &["tap"]] {
        let mut args = verb.to_vec();
        args.push("127.0.0.1:1");
        if verb == ["tap"] {
            args.push("node");
        }
        let done = site.call(&args)?;
        assert_eq!(done.code, Some(69), "{}", done.stderr);
        assert!(
            done.stderr.contains("the network at 127.0.0.1:1"),
            "{}",
            done.stderr
        );
    }
    let shown = Shown::start(NETWORK, &[])?;
    let done = site.call(&["top", &shown.address()])?;
    assert_eq!(done.code, Some(65), "{}", done.stderr);
    assert!(
        done.stderr.contains("top needs a terminal"),
        "{}",
        done.stderr
    );
    Ok(())
}

#[test]
fn tap_prints_events_up_to_a_limit_and_where_a_condition_holds() -> Tested {
    let shown = Shown::start(NETWORK, &[])?;
    let site = Site::new()?;
    let done = site.call(&[
        "tap",
        &shown.address(),
        "double",
        "--limit",
        "5",
        "--where",
        "e.data.stake == 7",
    ])?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(done.stdout.lines().count(), 5);
    for line in done.stdout.lines() {
        let value: serde_json::Value = serde_json::from_str(line)?;
        assert_eq!(value["data"]["double"], 14, "{line}");
    }
    let done = site.call(&["tap", &shown.address(), "doubel"])?;
    assert_eq!(done.code, Some(65), "{}", done.stderr);
    assert!(
        done.stderr.contains("did you mean \"double\"?"),
        "{}",
        done.stderr
    );
    let done = site.call(&[
        "tap",
        &shown.address(),
        "double",
        "--where",
        "e.data.stake >",
    ])?;
    assert_eq!(done.code, Some(65), "{}", done.stderr);
    Ok(())
}

#[test]
fn top_draws_in_a_terminal_and_leaves_it_as_it_was() -> Tested {
    let shown = Shown::start(NETWORK, &[])?;
    // `script` gives it a terminal.
    let command = format!(
        "{} top {}",
        env!("CARGO_BIN_EXE_tributary"),
        shown.address()
    );
    let Ok(mut child) = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
    else {
        return Ok(());
    };
    let mut keys = child.stdin.take().ok_or("no keys")?;
    // The picture is drawn once a second, and no key is read before the first.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    std::io::Write::write_all(&mut keys, b"s")?;
    // Until it is drawn again.
    std::thread::sleep(std::time::Duration::from_millis(500));
    std::io::Write::write_all(&mut keys, b"q")?;
    let done = child.wait_with_output()?;
    let screen = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{screen}");
    assert!(
        screen.contains("running: 7 nodes") && screen.contains("sorted by busy"),
        "{screen}"
    );
    assert!(
        screen.trim_end().ends_with("\u{1b}[?25h\u{1b}[?1049l"),
        "{screen:?}"
    );
    Ok(())
}

#[test]
fn the_log_is_json_where_that_is_asked_for() -> Tested {
    let site = Site::with(&[("net.lua", "require('tributary').create_ticker('t', '1s')")])?;
    let done = site.call(&[
        "run",
        "net.lua",
        "--for",
        "100ms",
        "-v",
        "--log-format",
        "json",
    ])?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.lines().count() > 1, "{}", done.stderr);
    for line in done.stderr.lines() {
        let value: serde_json::Value = serde_json::from_str(line)?;
        assert!(
            value["message"].is_string() && value["level"].is_string(),
            "{line}"
        );
    }
    let done = site.call(&["run", "none.lua", "--log-format", "json"])?;
    assert_eq!(done.code, Some(66));
    let value: serde_json::Value = serde_json::from_str(done.stderr.trim())?;
    assert!(
        value["message"]
            .as_str()
            .is_some_and(|text| text.contains("no such script"))
    );
    Ok(())
}

#[test]
fn rejected_events_are_an_exit_code_where_that_is_asked_for() -> Tested {
    let script = r#"
        local tb = require("tributary")
        tb.create_map("picky", function(e) if e.data.n == 2 then error("no") end return e end)
        tb.chain("in", "picky", "out")
    "#;
    let site = Site::with(&[("net.lua", script)])?;
    for verb in [&["run"][..], &["replay", "--time", "n"]] {
        let mut args = verb.to_vec();
        args.extend([
            "net.lua",
            "--input",
            "in=-",
            "--output",
            "out=-",
            "--fail-on-reject",
        ]);
        let done = site.feed(&args, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n")?;
        assert_eq!(done.code, Some(65), "{verb:?}: {}", done.stderr);
        assert!(
            done.stderr
                .contains("events were rejected: picky rejected 1"),
            "{}",
            done.stderr
        );
        assert_eq!(done.stdout, "{\"n\":1}\n{\"n\":3}\n");
        let done = site.feed(&args, "{\"n\":1}\n")?;
        assert_eq!(done.code, Some(0), "{verb:?}: {}", done.stderr);
    }
    Ok(())
}
