//! Whether the API is worth asking right now.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::{RETRY_AFTER_MAX, Verdict, as_millis, jittered, millis};

#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: AtomicU32,
    /// Milliseconds since 1970.
    closed_from: AtomicU64,
    /// The API said that it is gone (410): nothing is sent until the next start.
    gone: AtomicBool,
}

/// Failures in a row after which the API gets a pause.
const FAILURES_MAX: u32 = 5;

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.gone.load(Ordering::Relaxed) || millis() < self.closed_from.load(Ordering::Relaxed)
    }

    /// Takes note of an answer; `pause` is for an API that fails and says of no time itself.
    pub(super) fn heed(&self, verdict: &Verdict, pause: Duration) {
        match verdict {
            Verdict::Delivered => self.failures.store(0, Ordering::Relaxed),
            Verdict::Gone => self.gone.store(true, Ordering::Relaxed),
            Verdict::Failed { retry_after, .. } => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
                let pause = match retry_after {
                    Some(after) => (*after).min(RETRY_AFTER_MAX),
                    None if failures.is_multiple_of(FAILURES_MAX) => jittered(pause),
                    None => return,
                };
                self.closed_from.fetch_max(millis() + as_millis(pause), Ordering::Relaxed);
            }
        }
    }
}
