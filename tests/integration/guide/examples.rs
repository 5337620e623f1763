//! Every example prints what its module comment declares, in the block that begins with "text".
//!
//! `…` stands for anything within a line. Where no line has one the output is just that; otherwise
//! every line printed must fit a declared one, and every declared one a line that was printed.

use crate::support::text::{difference, fits};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

type Tested = Result<(), Box<dyn Error>>;

/// The lines that an example declares.
fn declared(example: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let alone = examples.join(format!("{example}.rs"));
    let source = if alone.exists() {
        alone
    } else {
        examples.join(example).join("main.rs")
    };
    let text = std::fs::read_to_string(source)?;
    let comment = text.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<String> = comment
        .map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned())
        .skip_while(|line| line != "```text")
        .skip(1)
        .take_while(|line| line != "```")
        .collect();
    if lines.is_empty() {
        Err(format!("example {example} does not declare what it prints").into())
    } else {
        Ok(lines)
    }
}

/// Where cargo put the example: beside the directory of the test's binary.
fn program(example: &str) -> Result<PathBuf, Box<dyn Error>> {
    let test = std::env::current_exe()?;
    let profile = test
        .ancestors()
        .nth(2)
        .ok_or("no directory of the profile")?;
    let program = profile.join("examples").join(example);
    if program.exists() {
        Ok(program)
    } else {
        Err(format!("{program:?} is not built: run `cargo build --examples`").into())
    }
}

fn hold(example: &str, args: &[&str]) -> Tested {
    let declared = declared(example)?;
    let mut call = Command::new(program(example)?);
    let output = call.args(args).env_remove("RUST_LOG").output()?;
    let printed = String::from_utf8(output.stdout)?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaints}", output.status);
    assert_eq!(complaints, "", "an example has nothing to complain of");
    if !declared.iter().any(|line| line.contains('…')) {
        let parts = difference(&declared.join("\n"), &printed);
        assert!(parts.is_none(), "\n{}", parts.unwrap_or_default());
        return Ok(());
    }
    for line in printed.lines() {
        let known = declared.iter().any(|pattern| fits(pattern, line));
        assert!(
            known,
            "printed and not declared: {line}\nall of it:\n{printed}"
        );
    }
    for pattern in &declared {
        let kept = printed.lines().any(|line| fits(pattern, line));
        assert!(
            kept,
            "declared and not printed: {pattern}\nall of it:\n{printed}"
        );
    }
    Ok(())
}

#[test]
fn advanced_prints_what_it_declares() -> Tested {
    hold("advanced", &["--for", "8s"])
}

#[test]
fn scripted_prints_what_it_declares() -> Tested {
    hold("scripted", &["--for", "2s"])
}

#[test]
fn embedded_prints_what_it_declares() -> Tested {
    hold("embedded", &[])
}

#[test]
fn custom_node_prints_what_it_declares() -> Tested {
    hold("custom_node", &[])
}

#[test]
fn custom_export_prints_what_it_declares() -> Tested {
    hold("custom_export", &[])
}

#[cfg(feature = "nats")]
#[test]
#[ignore = "needs nats-server and mariadbd: run tests/run"]
fn cluster_loses_nothing_and_prints_what_it_declares() -> Tested {
    hold("cluster", &[])
}

#[test]
fn every_example_is_held_to_something() -> Tested {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(examples)? {
        let path = entry?.path();
        if path.is_dir() && !path.join("main.rs").exists() {
            // A script alone: the README runs it with the binary.
            continue;
        }
        let name = path
            .file_stem()
            .ok_or("no name")?
            .to_string_lossy()
            .into_owned();
        declared(&name)?;
        names.push(name);
    }
    names.sort();
    let held = [
        "advanced",
        "cluster",
        "custom_export",
        "custom_node",
        "embedded",
        "scripted",
    ];
    assert_eq!(names, held, "a new example needs a test here");
    Ok(())
}

#[test]
fn the_script_of_the_filter_lets_each_id_pass_once() -> Tested {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/filter/network.lua");
    let lines = "{\"id\":1}\n{\"id\":2}\n{\"id\":1}\n";
    let site = crate::support::binary::Site::new()?;
    let done = site.feed(
        &["run", script, "--input", "in=-", "--output", "out=-"],
        lines,
    )?;
    done.expect(0, "{\"id\":1}\n{\"id\":2}\n", "");
    Ok(())
}

#[test]
fn the_tests_of_the_examples_pass() -> Tested {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let site = crate::support::binary::Site::new()?;
    let done = site.call(&["test", examples])?;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert!(
        done.stdout.contains("3 passed; 0 failed"),
        "{}",
        done.stdout
    );
    Ok(())
}
