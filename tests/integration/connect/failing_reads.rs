//! A disk that fails for a while: reads of a file fail as the library below the binary does for them.

use crate::support::binary::{Running, Site};
use std::error::Error;
use std::fs;
use std::io::Write;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

type Tested<T = ()> = Result<T, Box<dyn Error>>;

/// While there is a file `fails`, reads of the file `log` fail.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
ssize_t pread64(int fd, void *buffer, size_t size, off64_t at) {
    static ssize_t (*real)(int, void *, size_t, off64_t);
    char name[64], path[4096];
    if (!real) real = (ssize_t (*)(int, void *, size_t, off64_t)) dlsym(RTLD_NEXT, "pread64");
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(name, path, sizeof path - 1);
    path[len < 0 ? 0 : len] = 0;
    if (len > 4 && !strcmp(path + len - 4, "/log") && !access("fails", F_OK)) {
        errno = EIO;
        return -1;
    }
    return real(fd, buffer, size, at);
}
"#;

/// A directory with this library.
fn site(options: &str) -> Tested<Site> {
    let script = format!(
        "local tb = require('tributary')
        tb.create_file_source('in', 'log', {{ {options} }})
        tb.create_sink('out', 'file:out') tb.link('in', 'out')"
    );
    let site = Site::with(&[("net.lua", &script), ("log", "1\n"), ("eio.c", LIBRARY)])?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]);
    let done = compiler
        .arg(site.path("eio.so"))
        .arg(site.path("eio.c"))
        .arg("-ldl")
        .status()?;
    assert!(done.success());
    Ok(site)
}

fn until(site: &Site, name: &str, text: &str) -> Tested {
    let begun = Instant::now();
    while !site.read(name).unwrap_or_default().contains(text) {
        let stderr = site.read("stderr").unwrap_or_default();
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{text}: {stderr}"
        );
        // Until the next look.
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn a_file_source_waits_for_a_disk_that_fails_and_loses_nothing() -> Tested {
    for (options, follows) in [
        ("follow = true, checkpoint = 'place'", true),
        ("checkpoint = 'place'", false),
        ("follow = true", true),
    ] {
        let site = site(options)?;
        if !follows {
            fs::write(site.path("fails"), "")?;
        }
        let mut command = site.command(&["run", "net.lua"]);
        command.env("LD_PRELOAD", site.path("eio.so"));
        command.stderr(fs::File::create(site.path("stderr"))?);
        let running = Running::of(command)?;
        if follows {
            until(&site, "out", "1\n")?;
            fs::write(site.path("fails"), "")?;
        }
        let mut log = fs::File::options().append(true).open(site.path("log"))?;
        log.write_all(b"2\n")?;
        until(&site, "stderr", "input/output error")?;
        // Longer than the pauses between attempts.
        sleep(Duration::from_millis(1_500));
        fs::remove_file(site.path("fails"))?;
        until(&site, "out", "1\n2\n")?;
        let done = if follows {
            running.stop()?
        } else {
            running.wait()?
        };
        assert_eq!(done.code, Some(0), "{options}");
        assert_eq!(site.read("out")?, "1\n2\n", "{options}");
        let stderr = site.read("stderr")?;
        assert!(
            stderr.contains("node in: back after"),
            "{options}: {stderr}"
        );
        assert!(stderr.contains("\"log\""), "{options}: {stderr}");
    }
    Ok(())
}
