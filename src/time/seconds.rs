//! Instants as rows hold them: unix seconds, whole or with a fraction.
//!
//! A time is rounded to the microsecond when it is read, and never compared as a double again.
//! Rounding is monotone: of two doubles the greater one never has the earlier instant. So the
//! comparison of an instant with a bound is, in SQL, the comparison of the double with the least
//! double that has that instant: [`Timestamp::least_secs`].

use super::Timestamp;

/// Instants are counted up to here, in microseconds from the epoch: 291,000 years in both
/// directions. What is added to a time in windows stays within 64 bits.
const COUNTED: i64 = 9_200_000_000_000_000_000;

/// How far a time may be from the clock before its unit is doubted, in seconds: 20 years.
const FAR: f64 = 20.0 * 365.25 * 86_400.0;

/// Units in which times are written by others, and how many of them are a second.
const UNITS: [(&str, f64); 3] = [
    ("milliseconds", 1e3),
    ("microseconds", 1e6),
    ("nanoseconds", 1e9),
];

impl Timestamp {
    /// The instant so many seconds after the epoch, rounded to the microsecond; `None` beyond what
    /// is counted.
    pub(crate) fn of_secs(seconds: f64) -> Option<Timestamp> {
        // The cast saturates.
        Timestamp((seconds * 1e6).round() as i64).counted()
    }

    /// The same for whole seconds.
    pub(crate) fn of_whole_secs(seconds: i64) -> Option<Timestamp> {
        Timestamp::from_secs(seconds).counted()
    }

    fn counted(self) -> Option<Timestamp> {
        (-COUNTED..=COUNTED).contains(&self.0).then_some(self)
    }

    /// The nearest instant that is counted.
    pub(crate) fn within_counted(self) -> Timestamp {
        Timestamp(self.0.clamp(-COUNTED, COUNTED))
    }

    /// The least number of seconds that is rounded to this instant or a later one.
    pub(crate) fn least_secs(self) -> f64 {
        if self.0 < -COUNTED {
            return f64::MIN;
        }
        let reaches = |seconds: f64| (seconds * 1e6).round() as i64 >= self.0;
        // Half a microsecond before it, but for what the arithmetic rounds off.
        let mut least = (self.0 as f64 - 0.5) / 1e6;
        while !reaches(least) {
            least = least.next_up();
        }
        while reaches(least.next_down()) {
            least = least.next_down();
        }
        least
    }
}

/// Whether a time, in seconds, is decades from an instant.
pub(crate) fn is_far(seconds: f64, now: Timestamp) -> bool {
    (seconds - now.as_secs_f64()).abs() > FAR
}

/// The unit in which a number would be a time around an instant, where seconds are not.
pub(crate) fn unit_that_fits(number: f64, now: Timestamp) -> Option<&'static str> {
    let fits = |(_, per): &&(&str, f64)| !is_far(number / per, now);
    let found = UNITS.iter().find(fits).filter(|_| is_far(number, now));
    found.map(|(unit, _)| *unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Instants of every magnitude, and those around whole seconds.
    fn micros() -> impl Strategy<Value = i64> {
        prop_oneof![
            -COUNTED..=COUNTED,
            -5_000_000_i64..5_000_000,
            (-3_i64..3).prop_map(|micros| 1_700_000_000_000_000 + micros),
            (0_u32..62, any::<bool>())
                .prop_map(|(bits, minus)| (1 << bits) * [1, -1][usize::from(minus)]),
        ]
    }

    proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

            #[test]
            fn the_least_seconds_of_an_instant_are_rounded_to_it_and_no_less_are(micros in micros()) {
                let least = Timestamp(micros).least_secs();
                let rounded = |seconds: f64| (seconds * 1e6).round() as i64;
                prop_assert!(rounded(least) >= micros);
                prop_assert!(rounded(least.next_down()) < micros);
            }

            #[test]
            fn a_time_is_at_or_after_an_instant_as_a_double_just_where_it_is_rounded(
                micros in micros(),
                ulps in -4_i64..=4,
                off in prop_oneof![Just(0.0), Just(-0.5), Just(0.5), Just(-1.0), Just(1.0)],
            ) {
                let near = (micros as f64 + off) / 1e6;
                let near = (0..ulps.abs()).fold(near, |near, _| if ulps > 0 {
    near.next_up()
                } else {
    near.next_down()
                });
                if let Some(read) = Timestamp::of_secs(near) {
                    prop_assert_eq!(read.0 >= micros, near >= Timestamp(micros).least_secs());
                }
            }
        }

    #[test]
    fn the_unit_that_fits_is_the_one_that_is_near_the_clock() {
        let now = Timestamp::from_secs(1_709_315_512);
        for (number, unit) in [
            (1_709_315_512.0, None),
            (1_709_315_512e3, Some("milliseconds")),
            (1_609_315_512e6, Some("microseconds")),
            (1_709_315_512e9, Some("nanoseconds")),
            (5.0, None),
            (1e17, None),
        ] {
            assert_eq!(unit_that_fits(number, now), unit, "{number}");
        }
    }
}
