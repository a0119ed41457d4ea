//! Purges of variants, and the bucket events that trigger them.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Purges and bucket event notifications, by outcome.
#[derive(Debug, Clone)]
pub struct PurgeMetrics {
    /// All variants of an original were deleted.
    pub done: Counter,
    /// The store failed, so variants may be left in it.
    pub failed: Counter,
    /// Stored variants that purges deleted.
    pub variants: Counter,
    /// Events that led to a purge.
    pub applied: Counter,
    /// Events of other buckets, prefixes or types.
    pub ignored: Counter,
    /// Messages that are not bucket events.
    pub unknown: Counter,
    /// Events whose purge failed; the sender is expected to send them again.
    pub events_failed: Counter,
}

impl PurgeMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let purges = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let events = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let variants = Counter::default();
        registry.register("purges", "Purges of an original's variants, by outcome", purges.clone());
        registry.register("purged_variants", "Stored variants deleted by purges", variants.clone());
        registry.register("events", "Bucket event notifications received, by outcome", events.clone());
        let purge = |outcome| purges.get_or_create_owned(&[("outcome", outcome)]);
        let event = |outcome| events.get_or_create_owned(&[("outcome", outcome)]);
        Self {
            done: purge("done"),
            failed: purge("failed"),
            variants,
            applied: event("applied"),
            ignored: event("ignored"),
            unknown: event("unknown"),
            events_failed: event("failed"),
        }
    }
}
