//! How slowly a client may read.
//!
//! A client may take nothing for `server.write_timeout`. Each byte that it takes earns back some of the time that it
//! kept the server waiting, so a client that trickles is cut off as well, and one that reads steadily never is.

use std::time::Duration;

mod blocked_time;
mod stream;

pub use blocked_time::BlockedTime;
pub use stream::PacedStream;

/// The patience with one client that reads one response, or with one connection.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The time for which the client may still take nothing.
    credit: Duration,
    credit_max: Duration,
}

/// Minimum average rate of a reader, in bytes per second.
const RATE_MIN: u64 = 1024;

/// Time that one byte earns.
const NANOS_PER_BYTE: u64 = 1_000_000_000 / RATE_MIN;

impl Pace {
    /// The pace of a client that may take nothing for `timeout`.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self { credit: timeout, credit_max: timeout }
    }

    /// The time for which the client may still take nothing.
    #[must_use]
    pub fn credit(&self) -> Duration {
        self.credit
    }

    /// Records that the client took nothing for `time`, although there was something to take.
    pub fn waited(&mut self, time: Duration) {
        self.credit = self.credit.saturating_sub(time);
    }

    /// Records that the client took some bytes.
    pub fn took(&mut self, bytes: usize) {
        if self.credit < self.credit_max {
            let earned = Duration::from_nanos((bytes as u64).saturating_mul(NANOS_PER_BYTE));
            self.credit = self.credit.saturating_add(earned).min(self.credit_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Seconds until a client that takes `bytes` every `interval` is cut off, or `None` after a day.
    fn cut_off_after(bytes: usize, interval: Duration) -> Option<u64> {
        let mut pace = Pace::new(TIMEOUT);
        let mut time = Duration::ZERO;
        while time < Duration::from_secs(86_400) {
            if pace.credit() <= interval {
                return Some((time + pace.credit()).as_secs());
            }
            pace.waited(interval);
            pace.took(bytes);
            time += interval;
        }
        None
    }

    #[test]
    fn a_client_that_takes_nothing_or_trickles_is_cut_off_and_a_steady_one_is_not() {
        assert_eq!(cut_off_after(0, Duration::from_secs(1)), Some(30));
        assert_eq!(cut_off_after(1, Duration::from_secs(29)), Some(30));
        assert_eq!(cut_off_after(100, Duration::from_secs(1)), Some(33));
        assert_eq!(cut_off_after(16 << 10, Duration::from_secs(1)), None);
        assert_eq!(cut_off_after(400 << 10, Duration::from_secs(25)), None, "a large receive buffer opens rarely");
    }
}
