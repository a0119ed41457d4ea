//! The right to make a variant, where nodes agree on that.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Leases by what became of the wish for one.
#[derive(Debug, Clone)]
pub struct Leases {
    /// Had at once, or after another node gave it up.
    pub held: Counter,
    /// Taken from a node that did not give it up in its time.
    pub taken_over: Counter,
    /// Another node has it: a flight began to wait for it.
    pub awaited: Counter,
    /// There was none to be had in time: the variant was made without.
    pub forgone: Counter,
}

impl Leases {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        registry.register("leases", "Leases of variants (fleet.lease), by what became of them", family.clone());
        let counter = |outcome| family.get_or_create_owned(&[("outcome", outcome)]);
        Self {
            held: counter("held"),
            taken_over: counter("taken_over"),
            awaited: counter("awaited"),
            forgone: counter("forgone"),
        }
    }
}
