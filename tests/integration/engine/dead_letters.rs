//! Dead letters: what is kept of a rejected event, and how it comes back.

use crate::support::binary::Site;
use crate::support::probe::{Log, Scripted, soon, text};
use std::error::Error;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use tributary::sink::DeadLetterSink;
use tributary::source::Requeue;
use tributary::store::{DeadLetters, Letter, LetterFilter};
use tributary::{Database, Network, OnError, Outcome, source};

type Tested = Result<(), Box<dyn Error>>;

fn all() -> LetterFilter {
    LetterFilter::default()
}

fn whole(letters: &DeadLetters) -> tributary::Result<Vec<Letter>> {
    let listed = letters.list(&all(), 1)?;
    listed.iter().map(|letter| letters.get(letter.id)).collect()
}

/// Runs a node that refuses everything over these payloads, into this sink.
fn refuse(payloads: &[&[u8]], sink: DeadLetterSink) -> tributary::Result<Network> {
    let (network, sender) = refusing(sink)?;
    for payload in payloads {
        assert_eq!(sender.deliver(*payload)?, Outcome::Delivered);
    }
    Ok(network)
}

fn refusing(sink: DeadLetterSink) -> tributary::Result<(Network, source::Sender)> {
    let network = Network::new();
    let (sender, input) = source::channel();
    network.add_source("in", input)?;
    let refusing = Scripted::new(&Log::default())
        .on_event(|_, _| Err(tributary::Error::data("not \"here\"").at("net.lua:7")));
    network.add_pipeline("node", refusing)?;
    network.add_sink("letters", sink)?;
    network.link("in", "node")?;
    let twice = OnError::retry(1).backoff(MS, MS);
    network.on_error("*", twice.after("letters"))?;
    network.start()?;
    Ok((network, sender))
}

const MS: std::time::Duration = std::time::Duration::from_millis(1);

fn holds_what_was_refused(letters: &DeadLetters, sink: DeadLetterSink) -> tributary::Result<()> {
    let bytes: Vec<u8> = (0..=255).collect();
    let network = refuse(&[&bytes, b"", "{\"a\": \u{fc}}".as_bytes()], sink)?;
    // It was delivered, so it is there for whoever looks, before anything has ended.
    let kept = whole(letters)?;
    assert_eq!(kept.len(), 3);
    assert_eq!(kept[0].payload, bytes);
    assert_eq!(kept[1].payload, b"");
    assert_eq!(kept[2].payload, "{\"a\": \u{fc}}".as_bytes());
    for letter in &kept {
        assert_eq!(letter.node, "node");
        assert_eq!(letter.reason, "not \"here\"");
        assert_eq!(letter.place.as_deref(), Some("net.lua:7"));
        assert_eq!(letter.attempts, 2);
        assert!(letter.at >= letter.time);
        assert_eq!(letter.size, letter.payload.len());
    }
    network.stop()?;
    let node = |name: &str| all().node(name);
    assert_eq!(letters.nodes(&all())?, [("node".to_owned(), 3, kept[2].id)]);
    assert_eq!(letters.purge(&node("other"))?, 0);
    let late = all().since(kept[2].at.saturating_add(MS));
    assert_eq!(letters.purge(&late)?, 0);
    assert_eq!(letters.purge(&node("node"))?, 3);
    assert_eq!(letters.list(&all(), 9)?, []);
    Ok(())
}

#[test]
fn a_letter_is_the_payload_byte_for_byte_and_all_that_is_known_of_why() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("refused.db");
    holds_what_was_refused(&DeadLetters::file(&path), DeadLetterSink::file(&path))?;
    let database = Database::open(&format!(
        "sqlite:{}",
        folder.path().join("all.db").display()
    ))?;
    let sink = DeadLetterSink::table(&database, "letters");
    holds_what_was_refused(&DeadLetters::table(&database), sink)?;
    Ok(())
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn a_letter_on_mariadb_is_the_same() -> Tested {
    let database = Database::open(&crate::support::mariadb::server().database())?;
    let sink = DeadLetterSink::table(&database, "letters");
    holds_what_was_refused(&DeadLetters::table(&database), sink)?;
    Ok(())
}

#[test]
fn a_requeued_letter_goes_only_when_it_was_delivered() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("refused.db");
    refuse(&[b"good", b"bad", b"good"], DeadLetterSink::file(&path))?.stop()?;
    let letters = DeadLetters::file(&path);
    let network = Network::new();
    let seen = std::sync::Arc::new(AtomicU64::new(0));
    let counted = seen.clone();
    let node =
        Scripted::new(&Log::default()).on_event(move |event, _| match text(event).as_str() {
            "good" => {
                counted.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            _ => Err(tributary::Error::data("still not")),
        });
    network.add_sink("node", node)?;
    let requeue = Requeue::new(letters.clone(), all())?;
    let removed = requeue.removed();
    assert_eq!(
        requeue.nodes().collect::<Vec<_>>(),
        [("node", "node0".to_owned())]
    );
    network.add_source("again", requeue)?;
    network.link("again.node0", "node")?;
    network.start()?;
    network.wait()?;
    assert_eq!(
        (seen.load(Ordering::SeqCst), removed.load(Ordering::SeqCst)),
        (2, 2)
    );
    let left = whole(&letters)?;
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].id, left[0].payload.as_slice()),
        (2, b"bad".as_slice())
    );
    Ok(())
}

/// Two networks at once that feed the same letters back.
fn refuses_a_second(letters: &DeadLetters) -> Tested {
    let again = || -> tributary::Result<Network> {
        let network = Network::new();
        let node =
            Scripted::new(&Log::default()).on_event(|_, _| Err(tributary::Error::data("no")));
        network.add_sink("node", node)?;
        // It holds the letter until the network is stopped.
        network.on_error("node", OnError::retry(100))?;
        network.add_source("again", Requeue::new(letters.clone(), all())?)?;
        network.link("again.node0", "node")?;
        Ok(network)
    };
    let (first, second) = (again()?, again()?);
    first.start()?;
    let error = second.start().err().ok_or("two at once")?;
    assert_eq!(error.kind(), tributary::ErrorKind::Locked, "{error}");
    first.abort();
    let _ = first.stop();
    assert_eq!(whole(letters)?.len(), 1);
    let third = again()?;
    third.start()?;
    third.abort();
    let _ = third.stop();
    Ok(())
}

#[test]
fn letters_are_requeued_by_one_at_a_time() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("refused.db");
    refuse(&[b"bad"], DeadLetterSink::file(&path))?.stop()?;
    refuses_a_second(&DeadLetters::file(&path))?;
    let database = Database::open(&format!("sqlite:{}", folder.path().join("a.db").display()))?;
    refuse(&[b"bad"], DeadLetterSink::table(&database, "letters"))?.stop()?;
    refuses_a_second(&DeadLetters::table(&database))
}

#[test]
#[ignore = "needs mariadbd: run tests/run"]
fn letters_on_mariadb_are_requeued_by_one_at_a_time() -> Tested {
    let database = Database::open(&crate::support::mariadb::server().database())?;
    refuse(&[b"bad"], DeadLetterSink::table(&database, "letters"))?.stop()?;
    refuses_a_second(&DeadLetters::table(&database))
}

#[test]
fn one_event_in_a_thousand_that_raises_or_panics_is_what_is_kept() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("refused.db");
    let network = Network::new();
    let numbers: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    network.add_source("in", source::from_iter(numbers))?;
    let node = Scripted::new(&Log::default()).on_event(|event, _| {
        let number: u32 = text(event).parse().unwrap();
        match number % 1_000 {
            7 => Err(tributary::Error::data("seven")),
            8 => panic!("eight"),
            _ => Ok(()),
        }
    });
    network.add_sink("node", node)?;
    network.add_sink("letters", DeadLetterSink::file(&path))?;
    network.link("in", "node")?;
    network.on_error("*", OnError::to("letters"))?;
    network.start()?;
    network.wait()?;
    let kept = whole(&DeadLetters::file(&path))?;
    let texts: Vec<String> = kept
        .iter()
        .map(|letter| String::from_utf8_lossy(&letter.payload).into_owned())
        .collect();
    let wanted = (0..10).flat_map(|n| [n * 1_000 + 7, n * 1_000 + 8]);
    assert_eq!(texts, wanted.map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(kept[1].reason, "panicked: eight");
    Ok(())
}

#[test]
fn a_file_that_others_lock_is_waited_for() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("refused.db");
    let (network, sender) = refusing(DeadLetterSink::file(&path))?;
    let other = rusqlite::Connection::open(&path)?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    sender.send("a")?;
    let received = || network.stats().node("letters").map_or(0, |n| n.received);
    assert!(soon(|| received() == 1));
    let letters = DeadLetters::file(&path);
    assert_eq!(letters.list(&all(), 9)?.len(), 0);
    other.execute_batch("COMMIT")?;
    assert!(soon(|| letters.list(&all(), 9).is_ok_and(|l| l.len() == 1)));
    network.stop()?;
    Ok(())
}

/// A network that refuses what has `bad` in it, at a line that is known.
const NET: &str = "\
local tb = require('tributary')
tb.create_stdin('in')
tb.create_map('check', function(event)
    if event.data.bad then error('bad of ' .. event.data.n) end
    return event
end)
tb.create_stdout('out')
tb.chain('in', 'check', 'out')
tb.create_dlq('letters', { path = 'refused.db' })
tb.on_error('*', 'letters')
";

#[test]
fn letters_are_listed_shown_requeued_and_thrown_away() -> Tested {
    let site = Site::with(&[
        ("net.lua", NET),
        (
            "mended.lua",
            &NET.replace("event.data.bad then", "event.data.n == 3 then"),
        ),
    ])?;
    // Letters of two nodes come in any order, so each node has a run of its own.
    site.feed(&["run", "net.lua"], "{\"n\":1}\nno json\n")?
        .expect(0, "{\"n\":1}\n", "");
    site.feed(
        &["run", "net.lua"],
        "{\"n\":2,\"bad\":true}\n{\"n\":3,\"bad\":true}\n",
    )?
    .expect(0, "", "");
    let list = site.call(&["dlq", "list", "refused.db"])?;
    list.expect(
        0,
        "    id  rejected at…node   tries     bytes  reason, place, payload\n…1  …Z…in…1         7  malformed JSON at byte 1: …, near \"o json\" at standard input:2: \"no json\"\n…2  …Z…check      1        18  bad of 2 at net.lua:4: \"{\"n\":2,\"bad\":true}\"\n…3  …Z…check      1        18  bad of 3 at net.lua:4: \"{\"n\":3,\"bad\":true}\"\n",
        "",
    );
    let lines = |args: &[&str]| -> Result<usize, Box<dyn Error>> {
        let mut call = vec!["dlq", "list", "refused.db"];
        call.extend(args);
        Ok(site.call(&call)?.stdout.lines().count() - 1)
    };
    assert_eq!(lines(&["--node", "check"])?, 2);
    assert_eq!(lines(&["--limit", "1"])?, 1);
    assert_eq!(lines(&["--since", "1h"])?, 3);
    site.call(&[
        "dlq",
        "list",
        "refused.db",
        "--since",
        "2100-01-01T00:00:00Z",
    ])?
    .expect(0, "no letters\n", "");
    site.call(&["dlq", "show", "refused.db", "2", "--raw"])?
        .expect(0, "{\"n\":2,\"bad\":true}", "");
    let shown = site.call(&["dlq", "show", "refused.db", "2"])?;
    for part in [
        "node         check\n",
        "attempts     1\n",
        "place        net.lua:4\n",
    ] {
        assert!(shown.stdout.contains(part), "{}", shown.stdout);
    }
    site.call(&["dlq", "requeue", "refused.db", "mended.lua"])?
        .expect(
            65,
            "",
            "tributary: letters of node \"in\": it is a source, and takes no events\n  \
         hint: feed its input again, or choose others with --node; nothing was changed\n",
        );
    site.call(&[
        "dlq",
        "requeue",
        "refused.db",
        "mended.lua",
        "--node",
        "check",
    ])?
    .expect(0, "{\"n\":2,\"bad\":true}\n2 of 2 letters delivered\n", "");
    // The one that is refused still came back, as a new letter.
    let list = site.call(&["dlq", "list", "refused.db", "--node", "check"])?;
    assert!(list.stdout.contains("     4  "), "{}", list.stdout);
    assert_eq!(lines(&[])?, 2);
    site.call(&["dlq", "purge", "refused.db"])?.expect(
        2,
        "",
        "tributary: no choice of letters to throw away\n  \
         hint: --node NODE, --since TIME, or --all\n",
    );
    site.call(&["dlq", "purge", "refused.db", "--node", "in"])?
        .expect(0, "1 letter thrown away\n", "");
    site.call(&["dlq", "purge", "refused.db", "--all"])?
        .expect(0, "1 letter thrown away\n", "");
    site.call(&["dlq", "requeue", "refused.db", "net.lua"])?
        .expect(0, "no letters\n", "");
    Ok(())
}

#[test]
fn a_letter_of_a_node_that_is_no_more_is_refused_by_name_and_stays() -> Tested {
    let site = Site::with(&[
        ("net.lua", NET),
        ("new.lua", &NET.replace("'check'", "'verify'")),
    ])?;
    site.feed(&["run", "net.lua"], "{\"n\":2,\"bad\":true}\n")?
        .expect(0, "", "");
    site.call(&["dlq", "requeue", "refused.db", "new.lua"])?
        .expect(
            65,
            "",
            "tributary: letters of node \"check\": it is not in the scripts\n  \
         hint: load the scripts that had it, or choose others with --node; nothing was changed\n",
        );
    let list = site.call(&["dlq", "list", "refused.db"])?;
    assert_eq!(list.stdout.lines().count(), 2);
    Ok(())
}

#[test]
fn a_place_that_cannot_be_written_keeps_the_network_from_starting() -> Tested {
    // Row 55.
    let site = Site::with(&[("net.lua", NET)])?;
    for (path, reason) in [
        (
            "none/refused.db",
            "cannot create it\n  hint: there is no directory \"none\"\n",
        ),
        (".", "it is a directory\n"),
        ("text.db", "file is not a database\n"),
    ] {
        fs::write(
            site.path("text.db"),
            "this is some text and no database at all",
        )?;
        fs::write(site.path("other.lua"), NET.replace("refused.db", path))?;
        site.call(&["check", "other.lua"])?
            .expect(0, "ok: 4 nodes, 5 links\n", "");
        site.call(&["run", "other.lua"])?.expect(
            73,
            "",
            &format!(
                "tributary: other.lua:9: node letters: dead letters: database \"{path}\": {reason}"
            ),
        );
    }
    assert!(!site.path("refused.db").exists(), "a check creates nothing");
    Ok(())
}

#[test]
fn a_file_without_letters_is_an_error_and_never_created() -> Tested {
    let site = Site::new()?;
    site.call(&["dlq", "list", "none.db"])?.expect(
        66,
        "",
        "tributary: \"none.db\": no such file or directory\n",
    );
    assert!(!site.path("none.db").exists());
    rusqlite::Connection::open(site.path("other.db"))?.execute_batch("CREATE TABLE t (a)")?;
    site.call(&["dlq", "list", "other.db"])?.expect(
        65,
        "",
        "tributary: \"other.db\": there are no dead letters in it\n",
    );
    let network = refuse(&[b"a"], DeadLetterSink::file(site.path("one.db")))?;
    assert!(soon(|| site.path("one.db").exists()));
    network.stop()?;
    site.call(&["dlq", "show", "one.db", "9"])?.expect(
        65,
        "",
        "tributary: \"one.db\": no letter 9\n",
    );
    Ok(())
}
