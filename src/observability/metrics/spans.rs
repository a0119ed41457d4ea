//! Spans on their way to the collector of traces.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Spans by what became of them.
#[derive(Debug, Clone)]
pub struct Spans {
    /// The collector has them.
    pub sent: Counter,
    /// The queue was full.
    pub dropped: Counter,
    /// The collector did not take them in all tries.
    pub failed: Counter,
}

impl Spans {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        registry.register("trace_spans", "Spans recorded for traces, by what became of them", family.clone());
        let counter = |outcome| family.get_or_create_owned(&[("outcome", outcome)]);
        Self { sent: counter("sent"), dropped: counter("dropped"), failed: counter("failed") }
    }
}
