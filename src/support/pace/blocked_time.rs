//! The time for which the socket of a connection accepted no bytes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// Total time for which the socket was blocked. The pace of an HTTP/2 stream excludes this time, because the
/// pace of the connection includes it.
#[derive(Debug)]
pub struct BlockedTime {
    start: Instant,
    /// Nanoseconds of the periods that have ended.
    total: AtomicU64,
    /// Nanoseconds from `start` to the beginning of the current period; 0 if the socket is not blocked.
    since: AtomicU64,
}

impl Default for BlockedTime {
    fn default() -> Self {
        Self { start: Instant::now(), total: AtomicU64::new(0), since: AtomicU64::new(0) }
    }
}

impl BlockedTime {
    /// Begins a period.
    pub fn begin(&self) {
        self.since.store(self.now().max(1), Relaxed);
    }

    /// Ends the current period and returns its length.
    pub fn end(&self) -> Duration {
        let period = self.current(self.since.swap(0, Relaxed));
        self.total.fetch_add(period, Relaxed);
        Duration::from_nanos(period)
    }

    /// All periods so far, including the current one.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.total.load(Relaxed) + self.current(self.since.load(Relaxed)))
    }

    fn current(&self, since: u64) -> u64 {
        if since == 0 { 0 } else { self.now().saturating_sub(since) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
