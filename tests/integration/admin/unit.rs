//! The unit for systemd in the guide is one that systemd takes.

use super::Tested;
use std::process::Command;

#[test]
fn the_unit_of_the_guide_passes_systemd_analyze() -> Tested {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc/guide/operations.md");
    let text = std::fs::read_to_string(guide)?;
    let (_, unit) = text.split_once("```ini\n").ok_or("no unit")?;
    let (unit, _) = unit.split_once("```").ok_or("the unit has no end")?;
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
