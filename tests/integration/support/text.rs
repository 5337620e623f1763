//! What tests say of texts: a pattern in which `…` stands for anything within a line, and a
//! comparison that shows a person where two texts part.

/// Whether a line is what the pattern says; `…` in it stands for anything.
pub fn fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// The lines of both, those that part marked with `-` (wanted) and `+` (got); `None` when each
/// line fits.
pub fn difference(wanted: &str, got: &str) -> Option<String> {
    let wanted: Vec<&str> = wanted.lines().collect();
    let got: Vec<&str> = got.lines().collect();
    let all_fit = || wanted.iter().zip(&got).all(|(w, g)| fits(w, g));
    if wanted.len() == got.len() && all_fit() {
        return None;
    }
    let mut shown = String::new();
    for at in 0..wanted.len().max(got.len()) {
        match (wanted.get(at), got.get(at)) {
            (Some(wanted), Some(got)) if fits(wanted, got) => shown += &format!("  {got}\n"),
            (wanted, got) => {
                shown += &wanted.map(|line| format!("- {line}\n")).unwrap_or_default();
                shown += &got.map(|line| format!("+ {line}\n")).unwrap_or_default();
            }
        }
    }
    Some(shown)
}

#[test]
fn the_ellipsis_stands_for_anything_within_a_line() {
    assert!(fits("a…c", "abc") && fits("a…c", "ac") && fits("…", "") && fits("…b…", "abc"));
    assert!(!fits("a…c", "abd") && !fits("ab", "abc") && !fits("ab…ba", "aba"));
    assert_eq!(difference("a\nb…", "a\nbc\n"), None);
    assert_eq!(
        difference("a\nb", "a\nc").as_deref(),
        Some("  a\n- b\n+ c\n")
    );
}
