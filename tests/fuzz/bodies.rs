//! What must hold of any bytes: the bodies of the fuzz targets, which the tests run too. To add
//! one: a function here, a name among the `BODIES` of the tests, a file in `targets`, and a
//! directory in `corpus`.

use std::time::Duration;
use tributary::payload::{check_json, parse_json};
use tributary::script::Limits;
use tributary::time::{format_duration, parse_duration};
use tributary::{Database, Endpoint, Name, Network, Payload, Runtime};

/// What is read as JSON is written as the same JSON, and two readers agree.
pub fn events(bytes: &[u8]) {
    let parsed = parse_json(bytes);
    assert_eq!(
        parsed.is_ok(),
        check_json(bytes).is_ok(),
        "the readers do not agree"
    );
    let payload = Payload::from(bytes.to_vec());
    assert_eq!(
        payload.json().is_ok(),
        parsed.is_ok(),
        "a payload does not agree"
    );
    assert_eq!(payload.bytes(), bytes);
    let Ok(value) = parsed else { return };
    let other = serde_json::from_slice::<serde_json::Value>(bytes);
    assert!(other.is_ok(), "serde_json refuses it: {other:?}");
    let again = parse_json(value.to_string().as_bytes());
    assert_eq!(again.ok(), Some(value), "it is written as something else");
}

/// A duration that is read is written as one that is read as the same.
pub fn durations(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(duration) = parse_duration(text) {
        assert_eq!(
            parse_duration(&format_duration(duration)).ok(),
            Some(duration)
        );
    }
}

/// A name is as it was written, and so is where a link begins.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(name) = Name::new(text) {
        assert_eq!(name.as_str(), text);
        assert!(!text.is_empty() && !text.contains('.'));
    }
    if let Ok(endpoint) = Endpoint::new(text) {
        assert_eq!(Endpoint::new(&endpoint.to_string()).ok(), Some(endpoint));
    }
}

/// A script is loaded or refused within its limits; one that is refused leaves nothing behind.
pub fn scripts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let limits = Limits {
        memory: 32 << 20,
        load_time: Duration::from_millis(300),
        call_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let network = Network::new();
    let database = Database::open("sqlite::memory:").expect("there is memory");
    let runtime = Runtime::with_limits(&network, &database, limits).expect("the limits are good");
    if let Err(error) = runtime.run_text("fuzz.lua", text) {
        assert!(!error.to_string().contains("panic"), "{error}");
        assert!(
            network.nodes().is_empty(),
            "nodes are left of what was refused"
        );
    }
}

/// An address is read or refused, and its password never shown.
pub fn urls(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let shown = match Database::check_url(text) {
        Ok(shown) => shown,
        Err(error) => error.to_string(),
    };
    let parts = text
        .split_once("://")
        .filter(|(scheme, _)| !scheme.starts_with("sqlite"));
    let rest = parts.map_or("", |(_, rest)| rest);
    let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
    let password = user.split_once(':').map_or("", |(_, password)| password);
    // Elsewhere it is no password, and may be shown.
    if password.contains("hunter2") && text.matches("hunter2").count() == 1 {
        assert!(!shown.contains("hunter2"), "the password is shown: {shown}");
    }
}
