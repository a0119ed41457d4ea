//! Size and age of the outbox as of its last listing, for metrics. A scrape must not send requests to the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::observability::metrics::{Gauge, Metrics};
use crate::support::unix_time::now_millis;

#[derive(Debug, Default)]
pub(super) struct Backlog {
    pending: AtomicU64,
    /// When the first pending notification is due by the local clock, in milliseconds since 1970; 0 if the outbox is
    /// empty.
    first_due: AtomicU64,
}

impl Backlog {
    /// Creates the backlog and registers its gauges.
    pub(super) fn register(metrics: &Metrics) -> Arc<Self> {
        let backlog = Arc::new(Self::default());
        let this = backlog.clone();
        let pending = Gauge::new(move || this.pending.load(Ordering::Relaxed) as f64);
        metrics.register_gauge("outbox_pending", "Notifications pending in the outbox, at most 1000", vec![pending]);
        let this = backlog.clone();
        let overdue = Gauge::new(move || this.overdue().as_secs_f64());
        let help = "How long the oldest pending notification has been due";
        metrics.register_gauge("outbox_overdue_seconds", help, vec![overdue]);
        backlog
    }

    /// `first_due` is by the clock of the outbox, which shows `now`.
    pub(super) fn update(&self, pending: usize, first_due: Option<u64>, now: u64) {
        let local = |due: u64| (due + now_millis()).saturating_sub(now);
        self.pending.store(pending as u64, Ordering::Relaxed);
        self.first_due.store(first_due.map(local).unwrap_or_default(), Ordering::Relaxed);
    }

    /// How long the first pending notification has been due.
    fn overdue(&self) -> Duration {
        match self.first_due.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            due => Duration::from_millis(now_millis().saturating_sub(due)),
        }
    }
}
