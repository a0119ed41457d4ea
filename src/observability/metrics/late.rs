//! Variants that are made later (`formats.avif_later`).

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Variants of the queue by outcome, and what they cost and save.
#[derive(Debug, Clone)]
pub struct LateMetrics {
    /// It was made and stored.
    pub made: Counter,
    /// It was made and stored, but clients keep the interim format.
    pub not_smaller: Counter,
    /// The store had it already.
    pub already_stored: Counter,
    /// The queue was full, or the original was purged.
    pub dropped: Counter,
    /// It would have exceeded a limit of `[rates]`.
    pub limited: Counter,
    /// It could not be made or stored.
    pub failed: Counter,
    /// Bytes by which the made variants are smaller than the interim ones.
    pub saved_bytes: Counter,
    /// CPU time of the variants that were made.
    pub cpu_seconds: Counter<f64, AtomicU64>,
}

impl LateMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let help = "Variants that were made later (formats.avif_later), by outcome";
        registry.register("late_variants", help, family.clone());
        let counter = |outcome| family.get_or_create_owned(&[("outcome", outcome)]);
        let (saved_bytes, cpu_seconds) = (Counter::default(), Counter::default());
        let help = "Bytes by which variants that were made later are smaller than those that clients got before";
        registry.register("late_saved_bytes", help, saved_bytes.clone());
        let help = "CPU time of variants that were made later, in seconds";
        registry.register("late_cpu_seconds", help, cpu_seconds.clone());
        Self {
            made: counter("made"),
            not_smaller: counter("not_smaller"),
            already_stored: counter("already_stored"),
            dropped: counter("dropped"),
            limited: counter("limited"),
            failed: counter("failed"),
            saved_bytes,
            cpu_seconds,
        }
    }
}
