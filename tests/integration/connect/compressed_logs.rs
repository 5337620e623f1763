//! Logs that are compressed when they are set aside: what was not read of them is read, once and in order.

use super::followed::{Following, Place};
use crate::support::binary::Site;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::error::Error;
use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::process::Command;
use std::time::Duration;
use tributary::source::{Follow, LineSource};

type Tested<T = ()> = Result<T, Box<dyn Error>>;

fn gzip(place: &Place, name: &str) -> Tested {
    let done = Command::new("gzip").arg(place.at(name)).status()?;
    assert!(done.success());
    Ok(())
}

/// Compresses a file as a program does that does not keep the time.
fn pack(place: &Place, name: &str) -> Tested {
    // The compressed file is younger by a second: compression keeps whole seconds.
    std::thread::sleep(Duration::from_millis(1_100));
    let text = fs::read(place.at(name))?;
    let mut packed = GzEncoder::new(
        File::create(place.at(&format!("{name}.gz")))?,
        Compression::fast(),
    );
    packed.write_all(&text)?;
    packed.finish()?;
    Ok(fs::remove_file(place.at(name))?)
}

/// Lines that are numbered, and of which each file has some kilobytes.
fn lines(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("{{\"n\":{n}}}\n")).collect()
}

fn texts(from: usize, to: usize) -> Vec<String> {
    lines(from, to).lines().map(str::to_owned).collect()
}

/// How a file is compressed.
type Compress = fn(&Place, &str) -> Tested;

#[test]
fn the_rest_of_a_log_that_was_compressed_while_no_network_ran_is_read() -> Tested {
    for compress in [gzip as Compress, pack] {
        for (first, second) in [(1, 4), (1_000, 3_000), (20_000, 20_001)] {
            let place = Place::with(&lines(0, first))?;
            assert_eq!(place.read()?, texts(0, first));
            place.add("log", &lines(first, second))?;
            place.rename("log", "log.1")?;
            compress(&place, "log.1")?;
            place.add("log", &lines(second, second + 2))?;
            assert_eq!(place.read()?, texts(first, second + 2));
            assert_eq!(place.read()?, [""; 0], "and not again");
            place.rename("log.1.gz", "log.2.gz")?;
            place.rename("log", "log.1")?;
            compress(&place, "log.1")?;
            place.add("log", &lines(second + 2, second + 3))?;
            assert_eq!(place.read()?, texts(second + 2, second + 3));
        }
    }
    Ok(())
}

#[test]
fn several_logs_that_were_compressed_while_no_network_ran_are_read_in_order() -> Tested {
    for delayed in [false, true] {
        let place = Place::with(&lines(0, 10))?;
        assert_eq!(place.read()?, texts(0, 10));
        place.add("log", &lines(10, 1_000))?;
        let mut written = 1_000;
        for round in 0..4 {
            for number in (1..=round).rev() {
                let plain = delayed && number == 1;
                let end = if plain { "" } else { ".gz" };
                let (from, to) = (format!("log.{number}"), format!("log.{}", number + 1));
                place.rename(&format!("{from}{end}"), &format!("{to}{end}"))?;
                if plain {
                    gzip(&place, &to)?;
                }
            }
            place.rename("log", "log.1")?;
            if !delayed {
                gzip(&place, "log.1")?;
            }
            place.add("log", &lines(written, written + 700))?;
            written += 700;
            // Compression keeps whole seconds.
            std::thread::sleep(Duration::from_millis(1_100));
        }
        assert_eq!(place.read()?, texts(10, written), "delayed: {delayed}");
        assert_eq!(place.read()?, [""; 0]);
    }
    Ok(())
}

#[test]
fn a_log_of_which_nothing_was_read_is_read_from_its_beginning_though_it_was_compressed() -> Tested {
    let place = Place::with("")?;
    assert_eq!(place.read()?, [""; 0]);
    place.add("log", &lines(0, 500))?;
    place.rename("log", "log.1")?;
    gzip(&place, "log.1")?;
    place.add("log", &lines(500, 501))?;
    assert_eq!(place.read()?, texts(0, 501));
    Ok(())
}

#[test]
fn what_was_compressed_before_the_first_start_is_not_read() -> Tested {
    for compress in [gzip as Compress, pack] {
        let place = Place::with(&lines(0, 800))?;
        place.copy_and_cut("log", "log.2")?;
        compress(&place, "log.2")?;
        place.add("log", &lines(800, 900))?;
        place.copy_and_cut("log", "log.1")?;
        place.add("log", &lines(900, 910))?;
        let mut following = place.follow()?;
        assert_eq!(following.look(), texts(900, 910));
        compress(&place, "log.1")?;
        for _ in 0..10 {
            following.look();
        }
        assert_eq!(following.end()?, texts(900, 910));
        assert_eq!(place.read()?, [""; 0]);
    }
    Ok(())
}

#[test]
fn a_log_that_is_compressed_after_it_was_read_is_not_read_again() -> Tested {
    for compress in [gzip as Compress, pack] {
        for late in [0, 300] {
            let place = Place::with(&lines(0, 600))?;
            let mut following = place.follow()?;
            assert_eq!(following.look(), texts(0, 600));
            let mut writer = place.open("log")?;
            place.rename("log", "log.1")?;
            place.add("log", &lines(600, 610))?;
            following.look();
            compress(&place, "log.1")?;
            // The writer has it open still.
            writer.write_all(lines(610, 610 + late).as_bytes())?;
            following.look();
            drop(writer);
            for _ in 0..10 {
                following.look();
            }
            assert_eq!(following.end()?, texts(0, 610 + late));
            place.add("log", &lines(1_000, 1_001))?;
            assert_eq!(place.read()?, texts(1_000, 1_001));
        }
    }
    Ok(())
}

#[test]
fn logs_that_are_compressed_at_once_while_the_network_runs_are_read() -> Tested {
    let place = Place::with(&lines(0, 600))?;
    let mut following = place.follow()?;
    assert_eq!(following.look(), texts(0, 600));
    // Two rotations between two looks.
    place.add("log", &lines(600, 700))?;
    place.rename("log", "log.2")?;
    gzip(&place, "log.2")?;
    place.add("log", &lines(700, 1_400))?;
    place.rename("log", "log.1")?;
    gzip(&place, "log.1")?;
    place.add("log", &lines(1_400, 1_500))?;
    assert_eq!(following.look(), texts(0, 1_500));
    for _ in 0..10 {
        following.look();
    }
    assert_eq!(following.end()?, texts(0, 1_500));
    assert_eq!(place.read()?, [""; 0]);
    Ok(())
}

#[test]
fn a_log_that_was_copied_cut_and_compressed_is_read_to_its_end() -> Tested {
    for runs in [false, true] {
        let place = Place::with(&lines(0, 600))?;
        let mut following = place.follow()?;
        assert_eq!(following.look(), texts(0, 600));
        let mut running = Some(following);
        if !runs {
            running.take().map(Following::end).transpose()?;
        }
        place.add("log", &lines(600, 900))?;
        place.copy_and_cut("log", "log.1")?;
        gzip(&place, "log.1")?;
        place.add("log", &lines(900, 920))?;
        let (mut following, from) = match running {
            Some(following) => (following, 0),
            None => (place.follow()?, 600),
        };
        for _ in 0..10 {
            following.look();
        }
        assert_eq!(following.end()?, texts(from, 920), "runs: {runs}");
    }
    Ok(())
}

#[test]
fn a_compressed_log_that_is_still_written_is_read_to_its_end() -> Tested {
    let place = Place::with(&lines(0, 10))?;
    assert_eq!(place.read()?, texts(0, 10));
    place.add("log", &lines(10, 4_000))?;
    let text = fs::read(place.at("log"))?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&text)?;
    let packed = packed.finish()?;
    fs::remove_file(place.at("log"))?;
    place.add("log", &lines(4_000, 4_001))?;
    let half = packed.len() / 2;
    let mut file = File::create(place.at("log.1.gz"))?;
    file.write_all(&packed[..half])?;
    let mut following = place.follow()?;
    let begun = following.look().len();
    assert!((2..3_990).contains(&begun), "{begun}");
    file.write_all(&packed[half..])?;
    following.look();
    let mut seen = following.end()?;
    // The new log is read beside it.
    seen.sort_by_key(|line| {
        line.len() * 10_000 + line[5..line.len() - 1].parse::<usize>().unwrap()
    });
    assert_eq!(seen, texts(10, 4_001));
    Ok(())
}

#[test]
fn a_compressed_log_that_is_damaged_is_read_as_far_as_it_goes_and_named_in_a_warning() -> Tested {
    let script = "local tb = require('tributary')
        tb.create_file_source('in', 'log', { follow = true, checkpoint = 'place', rotate_wait = '200ms' })
        tb.create_stdout('out') tb.link('in', 'out')";
    for cut in [false, true] {
        let site = Site::with(&[("net.lua", script), ("log", &lines(0, 10))])?;
        let run = || site.call(&["run", "net.lua", "--for", "1500ms"]);
        run()?.expect(0, &lines(0, 10), "");
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(lines(0, 4_000).as_bytes())?;
        let mut packed = packed.finish()?;
        let half = packed.len() / 2;
        if cut {
            packed.truncate(half)
        } else {
            packed[half..].fill(0xff)
        }
        fs::remove_file(site.path("log"))?;
        fs::write(site.path("log.1.gz"), packed)?;
        fs::write(site.path("log"), lines(5_000, 5_001))?;
        let done = run()?;
        let wanted = if cut {
            "log.1.gz\" ends in the middle of its compressed content: the rest is lost"
        } else {
            "log.1.gz\" is damaged: what it had behind byte "
        };
        assert!(done.stderr.contains(wanted), "{}", done.stderr);
        assert!(done.stdout.contains(&lines(5_000, 5_001)), "cut: {cut}");
        assert!(done.stdout.contains(&lines(10, 100)), "cut: {cut}");
        assert!(!done.stdout.contains(&lines(0, 1)), "cut: {cut}");
        assert_eq!(run()?.stdout, "", "cut: {cut}");
    }
    Ok(())
}

#[test]
fn a_kill_in_the_middle_of_a_compressed_log_is_survived() -> Tested {
    let place = Place::with(&lines(0, 10))?;
    assert_eq!(place.read()?, texts(0, 10));
    place.add("log", &lines(10, 300_000))?;
    place.rename("log", "log.1")?;
    gzip(&place, "log.1")?;
    place.add("log", &lines(300_000, 300_001))?;
    let source = LineSource::file(place.at("log"), Follow::Yes);
    let source = source.checkpoint(place.at("place")).in_flight(1_000);
    let mut following = Following::start(source)?;
    let read = following.look().len();
    drop(following);
    let mut all: Vec<String> = texts(10, 10 + read);
    all.extend(place.read()?);
    all.dedup();
    all.sort_by_key(|line| line[5..line.len() - 1].parse::<usize>().unwrap());
    all.dedup();
    assert_eq!(all, texts(10, 300_001));
    Ok(())
}

#[test]
fn short_logs_with_the_same_lines_are_all_read() -> Tested {
    let place = Place::with("10\n")?;
    assert_eq!(place.read()?, ["10"]);
    place.add("log", "1\n")?;
    for number in [2, 1] {
        let name = format!("log.{number}");
        place.rename("log", &name)?;
        let at = std::time::SystemTime::now() + Duration::from_secs(10 - 2 * number);
        let times = FileTimes::new().set_modified(at);
        File::options()
            .append(true)
            .open(place.at(&name))?
            .set_times(times)?;
        gzip(&place, &name)?;
        place.add("log", "0\n1\n")?;
    }
    assert_eq!(place.read()?, ["1", "0", "1", "0", "1"]);
    Ok(())
}

#[test]
fn a_log_that_was_empty_when_it_was_opened_is_not_mistaken_for_another_file_with_its_inode()
-> Tested {
    let place = Place::with("")?;
    assert_eq!(place.read()?, [""; 0]);
    let saved = fs::read_to_string(place.at("place"))?;
    let inode = |name: &str| -> Tested<u64> {
        Ok(std::os::unix::fs::MetadataExt::ino(&fs::metadata(
            place.at(name),
        )?))
    };
    assert!(saved.contains(&inode("log")?.to_string()));
    let old = inode("log")?;
    fs::rename(place.at("log"), place.at("strange"))?;
    place.add("strange", "no log\n")?;
    assert_eq!(inode("strange")?, old);
    place.add("log", "2\n")?;
    assert_eq!(place.read()?, ["2"]);
    Ok(())
}
