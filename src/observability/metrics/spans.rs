//! Spans exported to the trace collector.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Recorded spans, by outcome of their export.
#[derive(Debug, Clone)]
pub struct SpanMetrics {
    /// The collector accepted the span.
    pub sent: Counter,
    /// The queue was full.
    pub dropped: Counter,
    /// The collector did not accept the span in any attempt.
    pub failed: Counter,
}

impl SpanMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        registry.register("trace_spans", "Recorded spans, by outcome of their export", family.clone());
        let counter = |outcome| family.get_or_create_owned(&[("outcome", outcome)]);
        Self { sent: counter("sent"), dropped: counter("dropped"), failed: counter("failed") }
    }
}
