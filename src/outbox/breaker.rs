//! Decides when notifications are sent to the API: not while it is failing, not before the time of its `Retry-After`, and not
//! after it has answered 410.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{RETRY_AFTER_MAX, Verdict, as_millis, millis};
use crate::support::circuit_breaker::{CircuitBreaker, RequestPermit, Transition};

#[derive(Debug)]
pub(super) struct ApiBreaker {
    circuit_breaker: CircuitBreaker,
    /// The end of the last `Retry-After`, in milliseconds since 1970.
    not_before: AtomicU64,
    /// The API has answered 410: nothing is sent until the next start.
    is_gone: AtomicBool,
}

/// Consecutive failures after which the API gets a pause.
const FAILURES_MAX: u32 = 5;

impl ApiBreaker {
    pub(super) fn new(pause: Duration) -> Self {
        Self {
            circuit_breaker: CircuitBreaker::new(FAILURES_MAX, pause),
            not_before: AtomicU64::default(),
            is_gone: AtomicBool::default(),
        }
    }

    /// Permission to send one notification; `None` while the API is paused.
    pub(super) fn try_acquire(&self) -> Option<RequestPermit<'_>> {
        let is_paused = millis() < self.not_before.load(Ordering::Relaxed);
        if is_paused || self.is_gone.load(Ordering::Relaxed) { None } else { self.circuit_breaker.try_acquire() }
    }

    pub(super) fn record(&self, permit: RequestPermit<'_>, verdict: &Verdict) {
        let transition = match verdict {
            Verdict::Delivered => permit.record_success(),
            Verdict::Gone => {
                self.is_gone.store(true, Ordering::Relaxed);
                permit.record_success()
            }
            // The API's own pause replaces that of the circuit breaker.
            Verdict::Failed { retry_after: Some(after), .. } => {
                let end = millis() + as_millis((*after).min(RETRY_AFTER_MAX));
                self.not_before.fetch_max(end, Ordering::Relaxed);
                None
            }
            Verdict::Failed { retry_after: None, .. } => permit.record_failure(),
        };
        match transition {
            Some(Transition::Opened) => tracing::warn!("circuit breaker of the notification API opened"),
            Some(Transition::Closed) => tracing::info!("circuit breaker of the notification API closed"),
            None => {}
        }
    }
}
