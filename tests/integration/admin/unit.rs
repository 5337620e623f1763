//! The service files of the guide: the unit for systemd, the manifest for Kubernetes.

use super::{NETWORK, Tested, get};
use crate::support::binary::{Running, Site};
use crate::support::process::free_port;
use std::process::Command;

/// The block of the guide in this language.
fn block(language: &str) -> Tested<String> {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc/guide/operations.md");
    let text = std::fs::read_to_string(guide)?;
    let begin = format!("```{language}\n");
    let (_, block) = text.split_once(&begin).ok_or("no such block")?;
    let (block, _) = block.split_once("```").ok_or("the block has no end")?;
    Ok(block.to_owned())
}

#[test]
fn the_unit_of_the_guide_passes_systemd_analyze() -> Tested {
    let unit = block("ini")?;
    let unit = unit.replace("/usr/local/bin/tributary", env!("CARGO_BIN_EXE_tributary"));
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("tributary.service");
    std::fs::write(&path, unit)?;
    // Where there is no systemd there is nothing that could take it.
    let Ok(done) = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&path)
        .output()
    else {
        return Ok(());
    };
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    // What other units of the machine lack is not this one's fault.
    let own: Vec<&str> = stderr
        .lines()
        .filter(|line| line.contains("tributary"))
        .collect();
    assert!(own.is_empty(), "{stderr}");
    Ok(())
}

#[test]
fn the_container_of_the_manifest_runs_and_its_probes_are_answered() -> Tested {
    let manifest = block("yaml")?;
    let (port, site) = (
        free_port(),
        Site::with(&[("net.lua", NETWORK), ("token", "a-long-token")])?,
    );
    let here = manifest
        .replace("/scripts/network.lua", "net.lua")
        .replace("/secrets/admin-token", "token")
        .replace("0.0.0.0:7171", &format!("0.0.0.0:{port}"));
    let (_, args) = here.split_once(" args:\n").ok_or("no arguments")?;
    let args = args
        .lines()
        .map_while(|line| line.trim().strip_prefix("- "));
    let mut running = Running::of(site.command(&args.collect::<Vec<_>>()))?;
    let probes = here.lines().filter_map(|line| {
        line.split_once("httpGet: { path: ")?
            .1
            .split_once(", port: 7171 }")
    });
    let probes: Vec<&str> = probes.map(|(path, _)| path).collect();
    assert_eq!(probes, ["/healthz", "/readyz"]);
    for path in probes {
        running.until(path, || {
            get(port, path).is_ok_and(|reply| reply.status == 200)
        })?;
    }
    assert_eq!(get(port, "/metrics")?.status, 401, "others need the token");
    let done = running.stop()?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let grace = here
        .split_once("terminationGracePeriodSeconds: ")
        .ok_or("no grace")?
        .1;
    let grace: u32 = grace.lines().next().ok_or("no grace")?.parse()?;
    let drain = here.split_once("--drain=").ok_or("no drain limit")?.1;
    let drain: u32 = drain.split_once('s').ok_or("seconds")?.0.parse()?;
    assert!(grace > drain, "the drain limit fits into the grace period");
    Ok(())
}
