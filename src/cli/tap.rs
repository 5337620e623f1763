//! `tributary tap`: the events of a node of a running network.

use super::print;
use super::remote::Remote;
use crate::{Error, Network, Result, Runtime};
use serde_json::Value;

/// Print the events that leave a node of a running network, as JSON lines, until Ctrl-C.
///
/// A line has the node, the port, the time, the meta, and the payload: `data` if it is JSON, `text` otherwise.
/// The network is not held back: events that come faster than they are read are left out, and counted.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    remote: Remote,

    /// The node, for its port out, or NODE.PORT; NODE.in is what it takes
    #[arg(value_name = "NODE[.PORT]")]
    node: String,

    /// End after so many events
    #[arg(long, value_name = "EVENTS")]
    limit: Option<u64>,

    /// Print only events for which this Lua expression is true, such as "e.data.stake > 100"
    #[arg(long = "where", value_name = "LUA")]
    condition: Option<String>,
}

pub fn run(options: &Options) -> Result<()> {
    let runtime = Runtime::new(&Network::new())?;
    let condition = options.condition.as_deref();
    let condition = condition.map(|text| runtime.condition(text)).transpose()?;
    let (mut printed, mut lost) = (0, 0);
    if options.limit == Some(0) {
        return Ok(());
    }
    let path = format!("/api/v1/tap/{}", encoded(&options.node));
    let read = options.remote.client()?.lines(&path, |line| {
        let value: Value = serde_json::from_str(line)
            .map_err(|error| Error::data(format!("a line of the tap is no JSON: {error}")))?;
        if let Some(count) = value.get("lost").and_then(Value::as_u64) {
            lost += count;
            log::warn!("{count} events are left out: they come faster than they are read");
            return Ok(true);
        }
        if let Some(condition) = &condition
            && !condition.holds(&value)?
        {
            return Ok(true);
        }
        print(&format!("{line}\n"))?;
        printed += 1;
        Ok(options.limit.is_none_or(|limit| printed < limit))
    });
    if lost > 0 {
        log::info!("{lost} events were left out in all");
    }
    read
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let encode = |byte: u8| {
        if plain(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    name.bytes().map(encode).collect()
}
