//! Durations in text: what is taken, what is refused in which words.

use proptest::prelude::*;
use std::time::Duration;
use tributary::Result;
use tributary::time::{MAX_DURATION, format_duration, parse_duration, parse_positive_duration};

fn refused(text: &str) -> String {
    let error = parse_duration(text).unwrap_err();
    assert_eq!(error.kind().exit_code(), 65);
    let text = error.to_string();
    assert!(text.starts_with("bad duration \""), "{text}");
    text
}

#[test]
fn what_the_grammar_allows_is_taken() -> Result<()> {
    let micros = |text| parse_duration(text).map(|duration| duration.as_micros());
    assert_eq!(micros("10s")?, 10_000_000);
    assert_eq!(micros("1h30m")?, 5_400_000_000);
    assert_eq!(micros("500ms")?, 500_000);
    assert_eq!(micros("1d2h3m4s5ms6us")?, 93_784_005_006);
    assert_eq!(micros("0s")?, 0);
    assert_eq!(micros("007s")?, 7_000_000);
    assert_eq!(parse_duration("36500d")?, MAX_DURATION);
    Ok(())
}

#[test]
fn row_13_of_bad_durations_is_refused() {
    let grammar = "write whole numbers with units";
    assert!(refused("").contains("it is empty") && refused("").contains(grammar));
    assert!(refused("-1s").contains("it is negative"));
    assert!(refused("10").ends_with("no unit; did you mean \"10s\"?"));
    assert!(refused("10 s").contains("the units are us, ms, s, m, h and d"));
    assert!(refused("1e3s").contains("the units are"));
    assert!(refused("1h1").contains("no unit") && refused("1h1").contains(grammar));
    assert!(refused("9999999h").ends_with("longer than the maximum of 36500d"));
    assert!(refused("NaN").contains("a number was expected"));
    assert!(refused("５s").contains("a number was expected"));
    assert!(refused("500µs").contains("the units are"));
    for text in [
        " 10s", "10s ", "10S", "1.5s", "s", "+1s", "1s1h", "1s1s", "1m2m", "10x", "0x10s",
    ] {
        assert!(refused(text).contains(grammar), "{text}");
    }
    assert!(refused(&"9".repeat(60)).contains("longer than"));
    assert!(refused(&format!("{}s", "9".repeat(60))).contains("longer than"));
    assert!(refused(&"x".repeat(500)).chars().count() < 300);
    assert!(refused("1\u{1b}[31ms").is_ascii());
}

#[test]
fn zero_is_refused_where_time_must_pass() -> Result<()> {
    for zero in ["0s", "0ms", "0d0s"] {
        let error = parse_positive_duration(zero).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("bad duration \"{zero}\": it must be more than zero")
        );
    }
    assert_eq!(parse_positive_duration("1us")?, Duration::from_micros(1));
    assert!(parse_positive_duration("-0s").is_err());
    Ok(())
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(micros in 0..=MAX_DURATION.as_micros() as u64) {
        let duration = Duration::from_micros(micros);
        prop_assert_eq!(parse_duration(&format_duration(duration)).ok(), Some(duration));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        let _ = parse_duration(&text);
    }

    #[test]
    fn nothing_but_the_grammar_is_read(text in "[0-9hmsdu .-]{0,8}") {
        if let Ok(duration) = parse_duration(&text) {
            prop_assert!(text.starts_with(|c: char| c.is_ascii_digit()));
            prop_assert!(!text.contains([' ', '.', '-']));
            prop_assert!(duration <= MAX_DURATION);
        }
    }
}
