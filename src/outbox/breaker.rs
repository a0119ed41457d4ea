//! Decides when notifications may be sent: not while the API fails, not before the time in its `Retry-After`, and not
//! after it has answered 410. After a pause one notification is sent, and the others follow if the API accepts it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::client::Delivery;
use crate::support::circuit_breaker::{CircuitBreaker, RequestPermit, Transition};

#[derive(Debug)]
pub(super) struct ApiBreaker {
    circuit_breaker: CircuitBreaker,
    /// The API answered 410, so nothing is sent until a restart.
    is_gone: AtomicBool,
}

/// Consecutive failures that open the circuit breaker.
const FAILURES_MAX: u32 = 5;

impl ApiBreaker {
    pub(super) fn new(pause: Duration) -> Self {
        Self { circuit_breaker: CircuitBreaker::new(FAILURES_MAX, pause), is_gone: AtomicBool::default() }
    }

    /// Returns the permit to send one notification, or `None` while deliveries are paused.
    pub(super) fn try_acquire(&self) -> Option<RequestPermit<'_>> {
        if self.is_gone.load(Ordering::Relaxed) { None } else { self.circuit_breaker.try_acquire() }
    }

    /// Records the result of a delivery attempt.
    pub(super) fn record(&self, permit: RequestPermit<'_>, delivery: &Delivery) {
        let transition = match delivery {
            Delivery::Accepted => permit.record_success(),
            Delivery::Gone => {
                self.is_gone.store(true, Ordering::Relaxed);
                permit.record_success()
            }
            // The pause that the API requests replaces the pause of the circuit breaker.
            Delivery::Failed { retry_after: Some(pause), .. } => permit.record_pause(*pause),
            Delivery::Failed { retry_after: None, .. } => permit.record_failure(),
        };
        match transition {
            Some(Transition::Opened) => tracing::warn!("circuit breaker of the notification API opened"),
            Some(Transition::Closed) => tracing::info!("circuit breaker of the notification API closed"),
            None => {}
        }
    }
}
