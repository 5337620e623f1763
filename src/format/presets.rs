//! Patterns of logs that many have.

use super::pattern::{Extra, Pattern};
use super::types::Types;
use crate::error::Result;

/// A pattern by its name.
pub(super) struct Preset {
    pub name: &'static str,
    /// Its parts, one after the other.
    pattern: &'static [&'static str],
    extra: Extra,
}

/// The access log of Apache and nginx, without and with referer and agent. Apache writes a quote in quotes as
/// `\"`.
const COMMON: &str = concat!(
    r#"^(?<host>[^ ]+) [^ ]+ (?<user>[^ ]+) \[(?<time>[^\]]+)\] "#,
    r#""(?:(?<method>[A-Z]+) (?<path>[^ "]*)(?: (?<protocol>[^ "]*))?|(?<request>(?:[^"\\]|\\.)*))" "#,
    r#"(?<status>[0-9]{3}) (?<bytes>[0-9]+|-)"#,
);
const REFERER: &str = r#" "(?<referer>(?:[^"\\]|\\.)*)" "(?<agent>(?:[^"\\]|\\.)*)""#;

const ERROR: &str = concat!(
    r#"(?s)^(?<time>[0-9/]{10} [0-9:]{8}) \[(?<level>[a-z]+)\] (?<pid>[0-9]+)#(?<tid>[0-9]+): "#,
    r#"(?:\*(?<connection>[0-9]+) )?(?<message>.*?)(?:, client: (?<client>[^,]*))?"#,
    r#"(?:, server: (?<server>[^,]*))?(?:, request: "(?<request>[^"]*)")?"#,
    r#"(?:, (?:sub)?(?:request|upstream): "(?<upstream>[^"]*)")?(?:, host: "(?<host>[^"]*)")?"#,
    r#"(?:, referrer: "(?<referrer>[^"]*)")?$"#,
);

const OF_ACCESS: Extra = Extra {
    types: &[
        ("time", "%d/%b/%Y:%H:%M:%S %z"),
        ("status", "integer"),
        ("bytes", "integer"),
    ],
    none: Some("-"),
    may_be_missing: &["request"],
};

pub(super) const PRESETS: [Preset; 3] = [
    Preset {
        name: "combined",
        pattern: &[COMMON, REFERER],
        extra: OF_ACCESS,
    },
    Preset {
        name: "common",
        pattern: &[COMMON],
        extra: OF_ACCESS,
    },
    Preset {
        name: "nginx_error",
        pattern: &[ERROR],
        extra: Extra {
            types: &[
                ("time", "%Y/%m/%d %H:%M:%S"),
                ("pid", "integer"),
                ("tid", "integer"),
                ("connection", "integer"),
            ],
            none: None,
            may_be_missing: &[],
        },
    },
];

/// The pattern of this name, where there is one.
///
/// # Errors
/// A type of a field that it does not have.
pub(super) fn preset(name: &str, types: &Types) -> Option<Result<Pattern>> {
    let preset = PRESETS.iter().find(|preset| preset.name == name)?;
    Some(Pattern::new(&preset.pattern.concat(), types, &preset.extra))
}
