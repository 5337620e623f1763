//! Secrets in every form, and text that holds none.

use super::*;
use crate::time::monotonic;
use proptest::prelude::*;

type Encoder = fn(&str) -> String;

/// What encoders make of a secret.
fn encoders() -> Vec<(&'static str, Encoder)> {
    vec![
        ("as it is", str::to_owned),
        ("percent", percent_encoded),
        ("percent in small letters", |text| {
            percent_encoded(text).replace("%C", "%c").to_owned()
        }),
        ("every byte as percent", |text| {
            text.bytes().map(|byte| format!("%{byte:02x}")).collect()
        }),
        ("a form", |text| percent_encoded(text).replace("%20", "+")),
        ("percent twice", |text| {
            percent_encoded(&percent_encoded(text))
        }),
        ("JSON", |text| serde_json::Value::from(text).to_string()),
        ("JSON in JSON", |text| {
            let once = serde_json::Value::from(text).to_string();
            serde_json::Value::from(once).to_string()
        }),
        ("UTF-16 escapes", |text| {
            text.encode_utf16()
                .map(|unit| format!("\\u{unit:04X}"))
                .collect()
        }),
        ("debug", |text| format!("{text:?}")),
        ("debug of debug", |text| {
            format!("{:?}", format!("{text:?}"))
        }),
        ("escaped bytes", |text| {
            text.as_bytes().escape_ascii().to_string()
        }),
        ("bytes", |text| format!("{:?}", text.as_bytes())),
        ("hexadecimal", |text| {
            text.bytes().map(|byte| format!("{byte:02x}")).collect()
        }),
        ("base64", |text| base64(text.as_bytes())),
        ("base64 without padding", |text| {
            base64(text.as_bytes()).trim_end_matches('=').to_owned()
        }),
        ("base64 for addresses", |text| {
            base64(text.as_bytes()).replace('+', "-").replace('/', "_")
        }),
        ("base64 as percent", |text| {
            percent_encoded(&base64(text.as_bytes()))
        }),
        ("SQL", |text| format!("'{}'", text.replace('\'', "''"))),
        ("XML", |text| {
            let text = text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            text.replace('"', "&quot;").replace('\'', "&#39;")
        }),
        ("a template", |text| {
            text.replace('{', "{{").replace('}', "}}")
        }),
    ]
}

/// No encoder's form of the secret is left.
fn is_gone(secret: &str, shown: &str) -> Result<(), TestCaseError> {
    for (name, encode) in encoders() {
        let form = encode(secret);
        let form = form.trim_matches(['"', '\'', '=', '[', ']']);
        prop_assert!(!shown.contains(form), "{name} of {secret:?} in {shown:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn no_form_of_a_secret_is_left_in_a_text(
        secret in "[a-zA-Z0-9 +/=&<'\"\\\\%:@?{}äß😀\u{1}\n-]{12,40}",
        around in "[a-z :=/]{0,9}",
    ) {
        add(&secret);
        for (name, encode) in encoders() {
            let text = format!("{around}{}{around}", encode(&secret));
            let shown = scrub(&text);
            prop_assert!(shown.contains(MASK), "{name}: {shown:?}");
            is_gone(&secret, &shown)?;
            let error = crate::Error::data(text.as_str()).with_hint(text.as_str()).at(text.as_str());
            is_gone(&secret, &error.within(&text).to_string())?;
            // Cut in the middle of it.
            let long = format!("{}{text}", "-".repeat(crate::error::QUOTE_LIMIT - 25));
            let quoted = crate::error::quote(&long);
            prop_assert!(quoted.contains("***"), "{name}: {quoted}");
        }
        // As part of more in base64, wherever it begins.
        for before in ["", "m", "me", "me:", "me:x"] {
            let whole = base64(format!("{before}{secret}{around}").as_bytes());
            let shown = scrub(&whole).into_owned();
            prop_assert!(shown.contains(MASK), "{before}: {shown}");
            is_gone(&secret, &shown)?;
        }
    }

    #[test]
    fn any_text_can_be_scrubbed(text in any::<String>(), more in "[\\\\%u{}x0-9a-fA-FdD\"]{0,30}") {
        add("a-secret-for-any-text");
        let text = format!("{text}{more}");
        prop_assert_eq!(scrub(&text), text.as_str());
        let _ = scrub_cut(&format!("{text}a-secr"));
    }
}

#[test]
fn the_same_secrets_are_not_looked_for_twice_and_short_ones_never() {
    add("xyz");
    assert_eq!(scrub("xyz %78yz"), "xyz %78yz");
    add_password("me", "xy");
    assert_eq!(scrub("Basic bWU6eHk="), "Basic ***=");
    add("overlapping-one");
    add("one-overlapping");
    assert_eq!(scrub("<overlapping-one-overlapping>"), "<***>");
}

#[test]
fn a_secret_that_was_cut_is_one_and_the_host_of_an_address_is_none() {
    add("cut-0123456789abcdefghij");
    assert_eq!(scrub("a cut-0123456789abXX"), "a ***XX");
    assert_eq!(scrub("a cut-01234"), "a cut-01234");
    assert_eq!(scrub_cut("a cut-01234"), "a ***");
    add("https://host.example/hook/of/a/channel?key=0123456789");
    assert_eq!(scrub("https://host.example/x"), "https://host.example/x");
    assert_eq!(
        scrub("POST /hook/of/a/channel HTTP/1.1"),
        "POST *** HTTP/1.1"
    );
    assert_eq!(scrub("key: 0123456789"), "key: ***");
    add("first line of many\nsecond line of many\n");
    assert_eq!(scrub("| second line of many |"), "| *** |");
}

#[test]
fn a_text_is_scrubbed_in_time_linear_in_its_length_and_that_of_the_secret() {
    let took = |length: usize| {
        let secret = "a".repeat(length);
        let known = Known::of(BTreeSet::from([secret.clone()]), forms::of(&secret)).unwrap();
        let times = (0..3).map(|_| {
            let begun = monotonic();
            let shown = known.scrub(&secret, true);
            assert_eq!(shown, MASK);
            begun.elapsed()
        });
        times.min().unwrap()
    };
    let (short, long) = (took(8 << 10), took(64 << 10));
    assert!(
        long < short * 32,
        "{short:?} for 8 KiB, {long:?} for 64 KiB"
    );
}
