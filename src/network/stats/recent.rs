//! What has changed in the last ten seconds: counters, looked at once a second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often the counters are looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// How far back a rate looks.
const SPAN: Duration = Duration::from_secs(10);

/// The values of `N` counters at some instants.
#[derive(Debug)]
pub(crate) struct Recent<const N: usize>(VecDeque<(Instant, [u64; N])>);

impl<const N: usize> Recent<N> {
    /// All counters are zero at this instant.
    pub fn new(now: Instant) -> Self {
        Recent(VecDeque::from([(now, [0; N])]))
    }

    /// The counters have these values now.
    pub fn look(&mut self, now: Instant, values: [u64; N]) {
        self.0.push_back((now, values));
        let is_old = |(at, _): &(Instant, _)| now.duration_since(*at) >= SPAN;
        // One that is older is the begin of the span.
        while self.0.get(1).is_some_and(is_old) {
            self.0.pop_front();
        }
    }

    /// By how much each has grown, in a second, up to now.
    pub fn rates(&self, now: Instant, values: [u64; N]) -> [f64; N] {
        let Some((at, before)) = self.0.front() else {
            return [0.0; N];
        };
        let seconds = now.saturating_duration_since(*at).as_secs_f64();
        let mut rates = [0.0; N];
        if seconds > 0.0 {
            for (rate, (value, before)) in rates.iter_mut().zip(values.iter().zip(before)) {
                *rate = value.saturating_sub(*before) as f64 / seconds;
            }
        }
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_ten_seconds() {
        let begun = crate::time::monotonic();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut recent = Recent::new(begun);
        assert_eq!(recent.rates(begun, [5]), [0.0]);
        assert_eq!(recent.rates(at(2), [10]), [5.0]);
        for second in 1..=60 {
            // A hundred in a second up to the thirtieth second, nothing after it.
            recent.look(at(second), [100 * second.min(30)]);
        }
        assert_eq!(recent.rates(at(60), [3_000]), [0.0]);
        recent.look(at(61), [3_050]);
        assert_eq!(recent.rates(at(61), [3_050]), [5.0]);
        assert!(recent.0.len() <= 12);
    }
}
