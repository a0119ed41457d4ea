//! What waits in the outbox, as it was last seen: for the numbers, which must not ask a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::millis;
use crate::observability::metrics::{Gauge, Metrics};

#[derive(Debug, Default)]
pub(super) struct Backlog {
    pending: AtomicU64,
    /// When the first is or was due, in milliseconds since 1970; 0 if there is none.
    first_due: AtomicU64,
}

impl Backlog {
    pub(super) fn saw(&self, pending: usize, first_due: Option<u64>) {
        self.pending.store(pending as u64, Ordering::Relaxed);
        self.first_due.store(first_due.unwrap_or_default(), Ordering::Relaxed);
    }

    /// How long the first one has been due and is not delivered.
    fn overdue(&self) -> Duration {
        match self.first_due.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            due => Duration::from_millis(millis().saturating_sub(due)),
        }
    }

    pub(super) fn watch(self: &Arc<Self>, metrics: &Metrics) {
        let (pending, overdue) = (self.clone(), self.clone());
        let pending = Gauge::new(move || pending.pending.load(Ordering::Relaxed) as f64);
        metrics.register_gauge("outbox_pending", "Notifications that wait in the outbox, 1000 for more", vec![pending]);
        let overdue = Gauge::new(move || overdue.overdue().as_secs_f64());
        metrics.register_gauge("outbox_overdue_seconds", "How long the first of them has been due", vec![overdue]);
    }
}
