//! Runs the blocks of a page in a directory.

use super::Tested;
use super::blocks::{Block, read};
use crate::support::text::fits;
use std::error::Error;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Blocks in these languages are read, not run. Those in Rust are doc tests.
const READ: [&str; 10] = [
    "text",
    "json",
    "toml",
    "ini",
    "sql",
    "rust",
    "rust,no_run",
    "mermaid",
    "yaml",
    "diff",
];

/// So many nodes are created for a block at most.
const MOST_NODES: usize = 40;

/// The binary under `cargo run`, and the examples under `cargo run --example`.
const CARGO: &str = r#"#!/usr/bin/env bash
example=
[ "$1" = run ] || { echo "cargo $1 is not for a test" >&2; exit 64; }
shift
while [ $# -gt 0 ]; do
    case "$1" in
        --release) shift ;;
        --features) shift 2 ;;
        --example) example=$2; shift 2 ;;
        --) shift; break ;;
        *) break ;;
    esac
done
if [ -n "$example" ]; then exec "$EXAMPLES/$example" "$@"; else exec tributary "$@"; fi
"#;

struct Page {
    directory: tempfile::TempDir,
    path: String,
    examples: PathBuf,
}

/// Runs the blocks of a page in their order.
pub fn page(path: &Path) -> Tested {
    let page = Page::new()?;
    for block in read(&fs::read_to_string(path)?)? {
        let place = format!("{}:{}", path.display(), block.line);
        let ran = match (&*block.language, block.not_run()) {
            (language, _) if READ.contains(&language) => Ok(()),
            ("lua", not_run) => page.lua(&block, not_run.is_some()),
            (_, Some(_)) => Ok(()),
            ("sh", _) => page.shell(&block.text).and_then(|done| succeeded(&done)),
            ("console", _) => page.console(&block.text),
            (other, _) => Err(format!("blocks in {other:?} are not known here").into()),
        };
        ran.map_err(|error| format!("{place}: {error}"))?;
    }
    Ok(())
}

/// Runs a command that a page shows, in a directory as a page has it, and gives what it prints.
pub fn command(command: &str) -> Result<String, Box<dyn Error>> {
    let done = Page::new()?.shell(command)?;
    succeeded(&done)?;
    Ok(String::from_utf8(done.stdout)?)
}

impl Page {
    fn new() -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        symlink(
            super::root().join("examples"),
            directory.path().join("examples"),
        )?;
        let tools = directory.path().join(".tools");
        fs::create_dir(&tools)?;
        fs::write(tools.join("cargo"), CARGO)?;
        fs::set_permissions(tools.join("cargo"), fs::Permissions::from_mode(0o755))?;
        let binary = Path::new(env!("CARGO_BIN_EXE_tributary"));
        let binaries = binary.parent().ok_or("no directory of the binary")?;
        let inherited = std::env::var("PATH").unwrap_or_default();
        Ok(Page {
            path: format!("{}:{}:{inherited}", tools.display(), binaries.display()),
            examples: binaries.join("examples"),
            directory,
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.directory.path())
            .env("PATH", &self.path);
        command
            .env("EXAMPLES", &self.examples)
            .env_remove("RUST_LOG");
        command.stdin(std::process::Stdio::null());
        command
    }

    /// Runs a script, with both of its outputs as one.
    fn shell(&self, script: &str) -> Result<Output, Box<dyn Error>> {
        let mut command = self.command("timeout");
        let script = format!("exec 2>&1\n{script}");
        command.args(["60", "bash", "-e", "-o", "pipefail", "-c", &script]);
        Ok(command.output()?)
    }

    /// Runs each command and compares what it prints.
    fn console(&self, text: &str) -> Tested {
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let command = line.strip_prefix("$ ");
            let mut command = command
                .ok_or_else(|| format!("no command: {line}"))?
                .to_owned();
            while let Some(more) = lines.next_if(|line| line.starts_with("> ")) {
                command = format!("{command}\n{}", &more[2..]);
            }
            let mut wanted = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
                wanted.push(line);
            }
            let done = self.shell(&command)?;
            succeeded(&done).map_err(|error| format!("{command}: {error}"))?;
            let printed = String::from_utf8_lossy(&done.stdout);
            let got: Vec<&str> = printed.lines().collect();
            if !all_fit(&wanted, &got) {
                let wanted = wanted.join("\n");
                return Err(format!("{command}\nshown:\n{wanted}\nprinted:\n{printed}").into());
            }
        }
        Ok(())
    }

    /// Writes the block where it is a file, and loads it.
    fn lua(&self, block: &Block, only_loaded: bool) -> Tested {
        let file = block.file.clone().unwrap_or_else(|| "block.lua".to_owned());
        let path = self.directory.path().join(&file);
        fs::create_dir_all(path.parent().ok_or("no directory")?)?;
        let module = "local tb = require(\"tributary\")\n";
        if block.text.contains("local tb =") || block.is("helper") {
            fs::write(&path, &block.text)?;
        } else {
            fs::write(&path, format!("{module}{}", block.text))?;
        }
        let is_test = file.ends_with("test.lua");
        if (is_test && !only_loaded) || block.is("helper") {
            return Ok(());
        }
        let mut nodes = module.to_owned();
        for _ in 0..MOST_NODES {
            fs::write(self.directory.path().join("nodes.lua"), &nodes)?;
            let mut check = self.command("tributary");
            check
                .arg("check")
                .arg("nodes.lua")
                .args(block.values("with"))
                .arg(&file);
            for name in secrets(&block.text) {
                let value = if name.contains("WEBHOOK") {
                    "https://127.0.0.1:9/hook"
                } else {
                    "127.0.0.1:9"
                };
                check.env(name, value);
            }
            let done = check.output()?;
            let stderr = String::from_utf8_lossy(&done.stderr);
            if done.status.success() || stderr.contains("is not built in") {
                return Ok(());
            }
            match missing(&stderr) {
                Some(node) => nodes += &format!("tb.create_forwarder(\"{node}\")\n"),
                None => return Err(stderr.into()),
            }
        }
        Err("too many nodes that it does not create".into())
    }
}

/// The node that a block links and does not create, and which is no misspelling of one.
fn missing(stderr: &str) -> Option<&str> {
    let (_, rest) = stderr.split_once(" node \"")?;
    let (name, rest) = rest.split_once('"')?;
    (stderr.contains(": no ") && !rest.contains("did you mean")).then_some(name)
}

/// The names in `${env:NAME}`.
fn secrets(text: &str) -> impl Iterator<Item = &str> {
    text.split("${env:")
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
}

fn succeeded(done: &Output) -> Tested {
    if done.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&done.stdout);
    Err(format!("{}:\n{printed}", done.status).into())
}

/// Whether the lines are those that are shown; a line `…` is any number of them.
fn all_fit(wanted: &[&str], got: &[&str]) -> bool {
    match wanted {
        [] => got.is_empty(),
        ["…", rest @ ..] => (0..=got.len()).any(|from| all_fit(rest, &got[from..])),
        [first, rest @ ..] => {
            got.first().is_some_and(|line| fits(first, line)) && all_fit(rest, &got[1..])
        }
    }
}

#[test]
fn a_line_of_an_ellipsis_is_any_number_of_lines() {
    assert!(all_fit(&["a", "…", "c"], &["a", "b", "b", "c"]));
    assert!(all_fit(&["…"], &[]) && all_fit(&["a…"], &["ab"]));
    assert!(!all_fit(&["a", "…", "c"], &["a", "b"]) && !all_fit(&[], &["a"]));
}
