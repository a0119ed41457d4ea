//! Which failures pass, and when it is tried again: as the SDK does by its standard mode.

use std::time::Duration;

use tokio::sync::Semaphore;

use crate::support::backoff::jitter;

/// How often reads are tried again.
#[derive(Debug)]
pub(super) struct Retries {
    attempts: u32,
    /// What further tries are paid of, so that a store that fails throughout is not asked several times as much for it.
    budget: Semaphore,
}

/// The budget where all is well; a further try costs five and a success gives one back.
const BUDGET: usize = 500;
const PRICE: u32 = 5;

/// Before the second try; before each further one twice as long.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(20);

impl Retries {
    pub(super) fn new(attempts: u32) -> Self {
        Self { attempts, budget: Semaphore::new(BUDGET) }
    }

    /// How long to wait after so many tries that have failed; `None` is to give up. `asked` is what the store asks for.
    pub(super) fn pause(&self, tries: u32, asked: Option<Duration>) -> Option<Duration> {
        if tries >= self.attempts {
            return None;
        }
        self.budget.try_acquire_many(PRICE).ok()?.forget();
        let pause = PAUSE.saturating_mul(2_u32.saturating_pow(tries - 1)).min(PAUSE_MAX);
        Some(asked.map_or_else(|| jitter(pause), |asked| asked.min(PAUSE_MAX)))
    }

    /// A request has been answered after so many tries.
    pub(super) fn answered(&self, tries: u32) {
        let earned = if tries > 1 { PRICE as usize } else { 1 };
        // Two at a time may overfill it by a few.
        self.budget.add_permits(earned.min(BUDGET.saturating_sub(self.budget.available_permits())));
    }
}

/// Whether an answer may be another one soon.
pub(super) fn passes(status: u16, code: Option<&str>) -> bool {
    matches!(status, 429 | 500 | 502..=504) || code.is_some_and(|code| CODES.contains(&code))
}

/// Codes that say so whatever the status is.
const CODES: [&str; 8] = [
    "BandwidthLimitExceeded",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_with_the_attempts() {
        let retries = Retries::new(3);
        assert!(retries.pause(1, None).unwrap() < PAUSE);
        assert!(retries.pause(2, None).unwrap() < PAUSE * 2);
        assert_eq!(retries.pause(3, None), None);
        assert_eq!(retries.pause(1, Some(Duration::from_millis(70))), Some(Duration::from_millis(70)));
        assert_eq!(retries.pause(1, Some(Duration::MAX)), Some(PAUSE_MAX), "and no store makes it wait for ever");
    }

    #[test]
    fn a_store_that_only_fails_is_soon_tried_but_once() {
        let retries = Retries::new(3);
        let tried = (0..1000).filter(|_| retries.pause(1, None).is_some()).count();
        assert_eq!(tried, BUDGET / PRICE as usize);
        (0..PRICE).for_each(|_| retries.answered(1));
        assert!(retries.pause(1, None).is_some(), "answers earn it back");
        (0..10 * BUDGET).for_each(|_| retries.answered(1));
        assert_eq!(retries.budget.available_permits(), BUDGET, "and no more than there was");
    }

    #[test]
    fn what_passes_is_told_by_status_or_code() {
        for (status, code) in [(500, None), (503, Some("SlowDown")), (429, None), (400, Some("RequestTimeout"))] {
            assert!(passes(status, code), "{status} {code:?}");
        }
        for (status, code) in [(501, None), (403, Some("AccessDenied")), (404, None), (301, Some("PermanentRedirect"))]
        {
            assert!(!passes(status, code), "{status} {code:?}");
        }
    }
}
