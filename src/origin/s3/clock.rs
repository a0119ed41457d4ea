//! The clock of the bucket, as its responses show it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use crate::support::unix_time::millis;

/// The difference between the bucket's clock and the local one. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct BucketClock {
    /// In milliseconds; [`UNKNOWN`] before the first response.
    ahead: Arc<AtomicI64>,
}

const UNKNOWN: i64 = i64::MIN;

/// `Date` has a resolution of one second, and a response takes some time to arrive. A smaller difference is ignored.
const TOLERANCE_MS: i64 = 2000;

impl Default for BucketClock {
    fn default() -> Self {
        Self { ahead: Arc::new(AtomicI64::new(UNKNOWN)) }
    }
}

impl BucketClock {
    /// Learns from the `Date` header of a response that has just arrived. The `Date` of a cached response, which has an
    /// `Age`, is old.
    pub(super) fn record<'a>(&self, header: impl Fn(&'static str) -> Option<&'a str>) {
        let date = header("date").filter(|_| header("age").is_none());
        let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else { return };
        let ahead = signed(millis(date)) - signed(millis(SystemTime::now()));
        let ahead = if ahead.abs() <= TOLERANCE_MS { 0 } else { ahead };
        let known = self.ahead.load(Ordering::Relaxed);
        if known == UNKNOWN || (ahead - known).abs() > TOLERANCE_MS {
            self.ahead.store(ahead, Ordering::Relaxed);
        }
    }

    /// The bucket's time; `None` before the first response.
    pub(super) fn now(&self) -> Option<SystemTime> {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let difference = Duration::from_millis(ahead.unsigned_abs());
        match ahead {
            UNKNOWN => None,
            0.. => SystemTime::now().checked_add(difference),
            _ => SystemTime::now().checked_sub(difference),
        }
    }
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many seconds the clock is ahead, after a response with this `Date`.
    fn ahead(clock: &BucketClock, seconds: i64, age: Option<&'static str>) -> Option<i64> {
        let now = SystemTime::now();
        let difference = Duration::from_secs(seconds.unsigned_abs());
        let date = httpdate::fmt_http_date(if seconds < 0 { now - difference } else { now + difference });
        clock.record(|name| if name == "date" { Some(date.as_str()) } else { age });
        let ahead = |theirs| signed(millis(theirs)) - signed(millis(SystemTime::now()));
        clock.now().map(|theirs| (ahead(theirs) + 500).div_euclid(1000))
    }

    #[test]
    fn the_clock_follows_the_date_of_responses() {
        let clock = BucketClock::default();
        assert_eq!(clock.now(), None);
        assert_eq!(ahead(&clock, 3600, Some("7")), None, "a cached response");
        assert!(ahead(&clock, 3600, None).is_some_and(|seconds| (3598..=3600).contains(&seconds)));
        assert!(ahead(&clock, -3600, None).is_some_and(|seconds| (-3602..=-3600).contains(&seconds)));
        assert_eq!(ahead(&clock, 1, None), Some(0), "within the tolerance");
    }
}
