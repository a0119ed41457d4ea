//! Originals whose variants were dropped, and the bucket's events that asked for it.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Purges by how they ended, and events by what was made of them.
#[derive(Debug, Clone)]
pub struct Purges {
    /// An original's variants are gone.
    pub done: Counter,
    /// The store failed: stored variants may be left.
    pub failed: Counter,
    /// Stored variants that purges deleted.
    pub variants: Counter,
    /// Events that named originals, which were purged.
    pub followed: Counter,
    /// Events of other buckets, prefixes or kinds.
    pub passed_over: Counter,
    /// Messages that are no such event.
    pub unknown: Counter,
    /// Events whose purge failed: they are to be sent again.
    pub events_failed: Counter,
}

impl Purges {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let purges = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let events = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let variants = Counter::default();
        registry.register("purges", "Originals whose variants were to be dropped, by how it ended", purges.clone());
        registry.register("purged_variants", "Stored variants that purges deleted", variants.clone());
        registry.register("events", "Event notifications of the bucket, by what was made of them", events.clone());
        let purge = |outcome| purges.get_or_create_owned(&[("outcome", outcome)]);
        let event = |outcome| events.get_or_create_owned(&[("outcome", outcome)]);
        Self {
            done: purge("done"),
            failed: purge("failed"),
            variants,
            followed: event("followed"),
            passed_over: event("passed_over"),
            unknown: event("unknown"),
            events_failed: event("failed"),
        }
    }
}
