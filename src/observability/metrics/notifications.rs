//! Notifications sent to the API.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    status: String,
}

/// Delivery attempts by response status, and dead letters.
#[derive(Debug, Clone, Default)]
pub struct NotificationMetrics {
    attempts: Family<Labels, Counter>,
    /// Notifications that became dead letters after the last attempt.
    pub dead: Counter,
}

impl NotificationMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        let help = "Attempts to deliver a notification to the API, by response status";
        registry.register("notification_attempts", help, this.attempts.clone());
        let help = "Notifications that became dead letters after the last attempt";
        registry.register("notifications_dead", help, this.dead.clone());
        // Exported as 0 from the start, so that rate() sees the first increment.
        drop(this.attempts.get_or_create(&Labels { status: "200".into() }));
        this
    }

    /// Counts one delivery attempt; `status` is `None` if the API did not respond.
    pub fn record_attempt(&self, status: Option<u16>) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.attempts.get_or_create(&Labels { status }).inc();
    }
}
