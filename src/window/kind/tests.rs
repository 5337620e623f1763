//! Each kind of window by itself: its windows, when rows leave, what is late.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn rules(kind: WindowKind) -> WindowRules {
    WindowRules::new(kind, None, true)
}

fn hopping(size: u64, slide: u64) -> WindowRules {
    rules(WindowKind::Hopping {
        size: Duration::from_secs(size),
        slide: Duration::from_secs(slide),
    })
}

fn seconds(windows: impl Iterator<Item = WindowBounds>) -> Vec<(i64, i64)> {
    let seconds = |window: WindowBounds| (window.start / SECOND, window.end / SECOND);
    windows.map(seconds).collect()
}

#[test]
fn an_instant_is_in_the_windows_whose_bounds_contain_it() {
    let hopping = hopping(10, 5);
    assert_eq!(seconds(hopping.fixed_windows(at(12))), [(5, 15), (10, 20)]);
    assert_eq!(seconds(hopping.fixed_windows(at(15))), [(10, 20), (15, 25)]);
    assert_eq!(seconds(hopping.fixed_windows(at(-1))), [(-10, 0), (-5, 5)]);
    assert_eq!(seconds(hopping.open_windows(at(12), at(15))), [(10, 20)]);
    let sliding = rules(WindowKind::Sliding(Duration::from_secs(10)));
    assert_eq!(sliding.fixed_windows(at(12)).count(), 0);
    assert_eq!(
        sliding.windows_of(at(12), at(15)).collect::<Vec<_>>(),
        [None]
    );
}

#[test]
fn a_row_leaves_by_the_rule_of_its_kind() {
    let sliding = rules(WindowKind::Sliding(Duration::from_secs(10)));
    // In whole seconds the row is found until the second is over.
    assert_eq!(sliding.leaves(at(12), 0), 23 * SECOND);
    assert_eq!(hopping(10, 5).leaves(at(12), 0), 20 * SECOND);
    let count = rules(WindowKind::Count(3));
    let leaves = count.leaves(at(12), 4);
    assert!(count.expired(at(12), 7) < leaves && count.expired(at(12), 8) >= leaves);
    let session = rules(WindowKind::Session(Duration::from_secs(10)));
    assert_eq!(session.leaves(at(12), 0), i64::MAX);
}

#[test]
fn a_row_is_late_when_no_window_takes_it() {
    let (system, event) = (TimeDomain::System, TimeDomain::Event);
    let sliding = rules(WindowKind::Sliding(Duration::from_secs(10)));
    assert!(sliding.is_late(at(11), at(12), at(12), event));
    assert!(!sliding.is_late(at(11), at(12), at(12), system));
    let hopping = hopping(10, 5);
    assert!(!hopping.is_late(at(12), at(19), at(19), event));
    assert!(hopping.is_late(at(12), at(20), at(20), event));
    let session = rules(WindowKind::Session(Duration::from_secs(10)));
    assert!(!session.is_late(at(12), at(22), at(22), event));
    assert!(session.is_late(at(12), at(23), at(23), event));
}

#[test]
fn bounds_are_ordered_by_their_end() {
    let first = WindowBounds { start: 5, end: 8 };
    let second = WindowBounds { start: 0, end: 10 };
    let third = WindowBounds { start: 1, end: 10 };
    assert!(first < second && second < third);
}
