//! Changes that clients ask for. The host makes them, on the thread that has the runtime.

use crate::connect::server::{Response, Server, State};
use crate::error::{Error, ErrorKind, Result, did_you_mean, quote};
use crate::network::{ChangePlan, PlannedChange};
use crate::script::{ReloadOptions, Runtime};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};

/// A change that a client has asked for.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Scripts are loaded again: all of them, or this one.
    Reload {
        unit: Option<String>,
        options: ReloadOptions,
    },
    /// A script is loaded.
    Load {
        path: String,
        options: ReloadOptions,
    },
    /// Everything that a script has made is removed.
    Unload { unit: String },
}

/// A change, and the way to its answer.
pub(super) struct Asked {
    pub change: Change,
    pub reply: SyncSender<Result<Value>>,
}

impl Change {
    /// Makes the change; the plans of all scripts that it concerns come back.
    pub fn make(&self, runtime: &Runtime) -> Result<Value> {
        let plans = match self {
            Change::Reload { unit, options } => {
                let units = runtime.units().into_iter();
                let names = units.filter(|unit| !unit.files.is_empty());
                let mut names: Vec<String> = names.map(|unit| unit.name).collect();
                if let Some(unit) = unit {
                    names = vec![known(&names, unit)?];
                }
                reload(runtime, names, options)?
            }
            Change::Load { path, options } => {
                let units = runtime.units().into_iter();
                let names: Vec<String> = units.map(|unit| unit.name).collect();
                // One that was loaded already has its name.
                let name = find(&names, path).unwrap_or_else(|| path.clone());
                reload(runtime, vec![name], options)?
            }
            Change::Unload { unit } => {
                let units = runtime.units().into_iter();
                let names: Vec<String> = units.map(|unit| unit.name).collect();
                let name = known(&names, unit)?;
                let plan = runtime.unload(&name)?;
                log::info!("unloaded {name}");
                vec![described(&name, &plan)]
            }
        };
        Ok(json!({ "units": plans }))
    }
}

/// The script of this name, or of the file that the name leads to.
fn find(names: &[String], name: &str) -> Option<String> {
    let full = |name: &str| Path::new(name).canonicalize().ok();
    let by_name = names.iter().find(|known| *known == name);
    let by_file = || {
        names
            .iter()
            .find(|known| full(known).is_some_and(|it| Some(it) == full(name)))
    };
    by_name.or_else(by_file).cloned()
}

/// The same, where there is one.
fn known(names: &[String], name: &str) -> Result<String> {
    find(names, name).ok_or_else(|| {
        let error = Error::data(format!("no script {} was loaded", quote(name)));
        let all = || format!("the scripts are {}", names.join(", "));
        let hint = did_you_mean(name, names.iter().map(String::as_str));
        error.with_hint(hint.unwrap_or_else(all))
    })
}

fn reload(runtime: &Runtime, names: Vec<String>, options: &ReloadOptions) -> Result<Vec<Value>> {
    let mut plans = Vec::new();
    for name in names {
        let plan = reload_logged(runtime, &name, options)?;
        plans.push(described(&name, &plan));
    }
    Ok(plans)
}

/// Loads a script again, and logs what that has changed, if it was to change anything.
///
/// # Errors
/// Those of [`Runtime::reload`].
pub(crate) fn reload_logged(
    runtime: &Runtime,
    name: &str,
    options: &ReloadOptions,
) -> Result<ChangePlan> {
    let plan = runtime.reload_with(name, options)?;
    if options.is_dry_run() {
        return Ok(plan);
    }
    if plan.is_empty() {
        log::info!("reloaded {name}: nothing changed");
    } else {
        let lines: Vec<String> = plan.to_string().lines().map(str::to_owned).collect();
        log::warn!("reloaded {name}: {}", lines.join("; "));
    }
    Ok(plan)
}

fn described(unit: &str, plan: &ChangePlan) -> Value {
    let change = |change: &PlannedChange| {
        json!({
            "action": change.action.as_str(),
            "name": change.name,
            "place": change.place,
            "loss": change.loss.as_ref().map(ToString::to_string),
        })
    };
    json!({
        "unit": unit,
        "changed": !plan.is_empty(),
        "nodes": plan.nodes.iter().map(change).collect::<Vec<_>>(),
        "links": plan.links.iter().map(change).collect::<Vec<_>>(),
        "text": plan.to_string(),
    })
}

/// Connections that wait for the answer to a change.
#[derive(Default)]
pub(super) struct Waiting(Vec<Answer>);

struct Answer {
    id: u64,
    closes: bool,
    reply: Receiver<Result<Value>>,
}

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, id: u64, closes: bool, reply: Receiver<Result<Value>>) {
        self.0.push(Answer { id, closes, reply });
    }

    /// Answers those whose change was made or refused; `respond` makes an answer of the result.
    pub fn answer(&mut self, server: &mut Server, respond: impl Fn(Result<Value>) -> Response) {
        self.0.retain(|waiting| {
            let result = match waiting.reply.try_recv() {
                Ok(result) => result,
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => {
                    let error = "the process ended before the change was made";
                    Err(Error::new(ErrorKind::Closed, error))
                }
            };
            let peer = server.peer(waiting.id);
            if let Some(peer) = peer.filter(|peer| matches!(peer.state, State::Waiting { .. })) {
                peer.respond(&respond(result), waiting.closes);
                server.answered(waiting.id);
            }
            false
        });
    }
}
