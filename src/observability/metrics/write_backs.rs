//! Variants on their way into the store.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Write-backs by how they ended.
#[derive(Debug, Clone)]
pub struct WriteBacks {
    /// Written.
    pub stored: Counter,
    /// Another node was first; its bytes stand.
    pub preceded: Counter,
    /// Given up on after all tries.
    pub failed: Counter,
    /// Never tried: the queue was full.
    pub dropped: Counter,
}

impl WriteBacks {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        registry.register("write_backs", "Variants written back to their store, by how it ended", family.clone());
        let counter = |outcome| family.get_or_create_owned(&[("outcome", outcome)]);
        Self {
            stored: counter("stored"),
            preceded: counter("preceded"),
            failed: counter("failed"),
            dropped: counter("dropped"),
        }
    }
}
