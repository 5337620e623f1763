//! `exec:`: programs that write lines, and programs that are started for events.

use crate::support::probe::{Seen, soon, text};
use std::path::Path;
use std::time::{Duration, Instant};
use tributary::connect::{self, Options};
use tributary::{Network, OnError, Result, Runtime, sink, source};

fn shell(script: &str) -> Options {
    Options::new().with("args", vec!["-c", script])
}

fn reading(options: &Options) -> Result<(Network, Seen)> {
    let network = Network::new();
    network.add_source("in", connect::source("exec:sh", options)?)?;
    let seen = Seen::at(&network, "out")?;
    network.link("in", "out")?;
    Ok((network, seen))
}

#[test]
fn the_lines_of_a_program_are_events_and_its_end_is_the_end() -> Result<()> {
    let (network, seen) = reading(&shell("echo 1; echo '{\"a\": 2}'; printf 3"))?;
    network.start()?;
    network.wait()?;
    assert_eq!(seen.texts(), ["1", "{\"a\": 2}", "3"]);
    Ok(())
}

#[test]
fn a_program_that_fails_ends_the_network_and_one_that_is_missing_does_not_start_it() -> Result<()> {
    let (network, _) = reading(&shell("echo 1; exit 3"))?;
    network.start()?;
    let error = network.wait().expect_err("it fails");
    assert_eq!(
        error.to_string(),
        "node in: exec:sh: it ended: exit status: 3"
    );
    let network = Network::new();
    let source = connect::source("exec:./no-such-program", &Options::new())?;
    network.add_source("in", source)?;
    let error = network.start().expect_err("it is missing").to_string();
    assert!(
        error.contains("exec:./no-such-program: no such file"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_program_is_restarted_if_set_so_and_stopped_by_a_signal() -> Result<()> {
    let (network, seen) = reading(&shell("echo 1").with("restart", true))?;
    network.start()?;
    assert!(soon(|| seen.len() >= 2));
    network.stop()?;
    let (network, seen) = reading(&shell("echo 1; sleep 100"))?;
    network.start()?;
    assert!(soon(|| seen.len() == 1));
    let begun = Instant::now();
    network.stop()?;
    assert!(begun.elapsed() < Duration::from_secs(5));
    Ok(())
}

fn workflow(script: &str, more: Options, events: Vec<String>) -> Result<(Network, Seen)> {
    let network = Network::new();
    network.add_source("in", source::from_iter(events))?;
    network.add_sink(
        "out",
        connect::sink(
            "exec:sh",
            &more.with("args", vec!["-c", script, "sh", "{data.n}"]),
        )?,
    )?;
    let errors = Seen::at(&network, "errors")?;
    network.link("in", "out")?;
    network.link("out.errors", "errors")?;
    Ok((network, errors))
}

#[test]
fn a_workflow_gets_the_payload_and_its_exit_code_is_the_outcome() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let out = place.path().display();
    let script = format!("cat > {out}/$1; test $1 != 3");
    let events = (0..20).map(|n| format!("{{\"n\":{n}}}")).collect();
    let (network, errors) = workflow(&script, Options::new(), events)?;
    network.start()?;
    network.wait()?;
    for n in 0..20 {
        let got = std::fs::read_to_string(place.path().join(n.to_string())).expect("written");
        assert_eq!(got, format!("{{\"n\":{n}}}"));
    }
    let failed = errors.events();
    assert_eq!(failed.iter().map(text).collect::<Vec<_>>(), ["{\"n\":3}"]);
    let error = failed[0].meta().get("error").map(ToString::to_string);
    assert!(error.is_some_and(|e| e.contains("it ended: exit status: 1")));
    Ok(())
}

/// A file source with a checkpoint that leads to this program.
fn behind_a_checkpoint(place: &Path, script: &str) -> Result<Network> {
    let network = Network::new();
    let from = source::LineSource::file(place.join("in"), source::Follow::No)
        .checkpoint(place.join("place"));
    network.add_source("in", from)?;
    network.add_sink("out", connect::sink("exec:sh", &shell(script))?)?;
    network.link("in", "out")?;
    Ok(network)
}

fn ends(network: &Network) -> Result<()> {
    network.start()?;
    let ended = network.wait_timeout(Duration::from_secs(20));
    ended.expect("it ends by itself")
}

#[test]
fn a_program_that_ended_with_0_has_delivered_its_event() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let lines: String = (0..40).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    std::fs::write(place.path().join("in"), &lines).expect("written");
    let script = format!("echo $(cat) >> {}/got", place.path().display());
    let network = behind_a_checkpoint(place.path(), &script)?;
    ends(&network)?;
    let got = std::fs::read_to_string(place.path().join("got")).expect("written");
    assert_eq!(got.lines().filter(|line| line.contains('n')).count(), 40);
    let at = std::fs::read_to_string(place.path().join("place")).expect("a checkpoint");
    assert!(at.contains(&format!("\"offset\":{}", lines.len())), "{at}");
    Ok(())
}

#[test]
fn an_event_whose_program_failed_is_tried_again_and_the_others_are_not() -> Result<()> {
    for failing in [0, 5, 19] {
        let place = tempfile::tempdir().expect("a directory");
        let out = place.path().display();
        let script = format!(
            "cat > /dev/null; echo >> {out}/$1; test $1 != {failing} || test -e {out}/once || \
             (touch {out}/once; exit 1)"
        );
        let events = (0..20).map(|n| format!("{{\"n\":{n}}}")).collect();
        let (network, errors) = workflow(&script, Options::new(), events)?;
        network.on_error("out", OnError::retry(3).jitter(false))?;
        ends(&network)?;
        for n in 0..20 {
            let runs = std::fs::read(place.path().join(n.to_string())).expect("it ran");
            assert_eq!(runs.len(), if n == failing { 2 } else { 1 }, "runs of {n}");
        }
        assert_eq!(errors.len(), 0);
    }
    Ok(())
}

#[test]
fn an_event_whose_program_fails_each_time_goes_to_the_target_after_the_last_attempt() -> Result<()>
{
    let events = (0..20).map(|n| format!("{{\"n\":{n}}}")).collect();
    let (network, errors) = workflow("test $(($1 % 7)) != 3", Options::new(), events)?;
    network.add_sink("bad", sink::Discarder)?;
    network.on_error("out", OnError::retry(1).jitter(false).after("bad"))?;
    ends(&network)?;
    let failed: Vec<_> = errors.events().iter().map(text).collect();
    assert_eq!(failed, ["{\"n\":3}", "{\"n\":10}", "{\"n\":17}"]);
    for event in errors.events() {
        assert_eq!(event.meta().get("attempts").cloned(), Some(2.into()));
    }
    Ok(())
}

#[test]
fn programs_run_one_after_another_unless_more_are_asked_for() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let script = format!(
        "cat >> {0}/got; sleep 0.01; echo >> {0}/got",
        place.path().display()
    );
    let events: Vec<String> = (0..20).map(|n| format!("{{\"n\":{n}}}")).collect();
    let (network, _) = workflow(&script, Options::new(), events.clone())?;
    ends(&network)?;
    let got = std::fs::read_to_string(place.path().join("got")).expect("written");
    assert_eq!(got.lines().collect::<Vec<_>>(), events);
    Ok(())
}

#[test]
fn workflows_run_side_by_side_within_their_number_and_time() -> Result<()> {
    let events = |many: usize| (0..many).map(|n| format!("{{\"n\":{n}}}")).collect();
    let begun = Instant::now();
    let (network, errors) = workflow("sleep 0.3", Options::new().with("parallel", 8), events(8))?;
    network.start()?;
    network.wait()?;
    assert!(begun.elapsed() < Duration::from_millis(2_000) && errors.len() == 0);
    let limits = Options::new().with("timeout", "200ms");
    let (network, errors) = workflow("exec sleep 100", limits, events(2))?;
    network.start()?;
    network.wait()?;
    assert_eq!(errors.len(), 2);
    Ok(())
}

#[test]
fn a_script_starts_programs_only_where_it_may() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "xec").expect("written");
    let filled = format!("e${{file:{}}}:sh", file.path().display());
    for url in ["exec:sh", "EXEC:sh", &filled] {
        let script = format!("require('tributary').create_sink('x', '{url}')");
        let made = Runtime::new(&Network::new()).and_then(|r| r.run_text("net.lua", &script));
        let error = made.expect_err("it may not").to_string();
        assert!(
            error.contains("exec is not available to this script"),
            "{error}"
        );
    }
}

#[test]
fn a_program_runs_on_when_its_source_is_replaced_by_its_like() -> Result<()> {
    let script = shell("i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done");
    let (network, seen) = reading(&script)?;
    network.start()?;
    for _ in 0..5 {
        if network
            .replace("in", connect::source("exec:sh", &script)?)
            .is_err()
        {
            // It has ended.
            break;
        }
    }
    network.wait()?;
    let expected: Vec<String> = (0..3000).map(|n| n.to_string()).collect();
    assert_eq!(seen.texts(), expected);
    Ok(())
}
