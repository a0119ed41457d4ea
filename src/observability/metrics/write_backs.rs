//! Write-backs: variants written to their store after the response.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Write-backs by outcome.
#[derive(Debug, Clone)]
pub struct WriteBackMetrics {
    /// The store accepted the variant.
    pub stored: Counter,
    /// Another node stored the variant first; its bytes are kept.
    pub lost_race: Counter,
    /// All attempts failed.
    pub failed: Counter,
    /// The write was not attempted because the queue was full.
    pub dropped: Counter,
}

impl WriteBackMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        registry.register("write_backs", "Variants written back to their store, by outcome", family.clone());
        let counter = |outcome| family.get_or_create_owned(&[("outcome", outcome)]);
        Self {
            stored: counter("stored"),
            lost_race: counter("lost_race"),
            failed: counter("failed"),
            dropped: counter("dropped"),
        }
    }
}
