//! Retry policy for failed requests, which follows the standard retry mode of the AWS SDKs.

use std::time::Duration;

use tokio::sync::Semaphore;

use crate::support::backoff::{Backoff, jitter};

#[derive(Debug)]
pub(super) struct RetryPolicy {
    attempts: u32,
    /// Each retry takes permits from this budget, so a store that fails all requests does not receive several times as
    /// many requests.
    budget: Semaphore,
}

/// The full budget. A retry costs [`RETRY_COST`]. A request that succeeds at once returns 1, and a retry that succeeds
/// returns its cost.
const BUDGET: usize = 500;
const RETRY_COST: u32 = 5;

const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(20) };

impl RetryPolicy {
    pub(super) fn new(attempts: u32) -> Self {
        Self { attempts, budget: Semaphore::new(BUDGET) }
    }

    /// The pause after `failures` failed attempts; `None` to give up. `requested` is the pause that the store requests.
    pub(super) fn pause(&self, failures: u32, requested: Option<Duration>) -> Option<Duration> {
        if failures >= self.attempts {
            return None;
        }
        self.budget.try_acquire_many(RETRY_COST).ok()?.forget();
        Some(requested.map_or_else(|| jitter(BACKOFF.pause(failures)), |requested| requested.min(BACKOFF.max)))
    }

    /// Records that a request was answered after `failures` failed attempts.
    pub(super) fn record_success(&self, failures: u32) {
        let earned = if failures > 0 { RETRY_COST as usize } else { 1 };
        // Concurrent calls may exceed the full budget by a few permits.
        self.budget.add_permits(earned.min(BUDGET.saturating_sub(self.budget.available_permits())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_the_attempts_are_used_up() {
        let policy = RetryPolicy::new(3);
        assert!(policy.pause(1, None).unwrap() <= BACKOFF.first);
        assert!(policy.pause(2, None).unwrap() <= BACKOFF.first * 2);
        assert_eq!(policy.pause(3, None), None);
        assert_eq!(policy.pause(1, Some(Duration::from_millis(70))), Some(Duration::from_millis(70)));
        assert_eq!(policy.pause(1, Some(Duration::MAX)), Some(BACKOFF.max), "the pause a store asks for is bounded");
    }

    #[test]
    fn a_store_that_always_fails_uses_up_the_budget() {
        let policy = RetryPolicy::new(3);
        let retries = (0..1000).filter(|_| policy.pause(1, None).is_some()).count();
        assert_eq!(retries, BUDGET / RETRY_COST as usize);
        (0..RETRY_COST).for_each(|_| policy.record_success(0));
        assert!(policy.pause(1, None).is_some(), "successes refill the budget");
        (0..10 * BUDGET).for_each(|_| policy.record_success(0));
        assert_eq!(policy.budget.available_permits(), BUDGET, "up to its full size");
    }
}
