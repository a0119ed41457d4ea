//! Leases of variants (`fleet.lease`).

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Attempts to lease a variant, by outcome.
#[derive(Debug, Clone)]
pub struct LeaseMetrics {
    /// The lease was acquired, either at once or after another node released it.
    pub held: Counter,
    /// The lease was acquired after it expired, because another node had stopped renewing it.
    pub taken_over: Counter,
    /// Another node holds the lease, so a flight started to wait.
    pub waited: Counter,
    /// The store failed, or does not replace an expired lease, so the variant was made without a lease.
    pub unavailable: Counter,
}

impl LeaseMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        registry.register("leases", "Attempts to lease a variant (fleet.lease), by outcome", family.clone());
        let counter = |outcome| family.get_or_create_owned(&[("outcome", outcome)]);
        Self {
            held: counter("held"),
            taken_over: counter("taken_over"),
            waited: counter("waited"),
            unavailable: counter("unavailable"),
        }
    }
}
