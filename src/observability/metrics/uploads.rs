//! Uploads of originals.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Uploads by outcome.
#[derive(Debug, Clone)]
pub struct UploadMetrics {
    outcomes: Family<[(&'static str, &'static str); 1], Counter>,
    bytes: Counter,
}

impl UploadMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let this = Self { outcomes: Family::default(), bytes: Counter::default() };
        registry.register("uploads", "Uploads, by outcome", this.outcomes.clone());
        registry.register("upload_bytes", "Bytes of originals stored by uploads", this.bytes.clone());
        // Exported as 0 from the start, so that rate() sees the first increment.
        drop(this.outcomes.get_or_create(&[("outcome", "stored")]));
        this
    }

    /// Counts an original of `bytes` bytes that was stored.
    pub fn record_stored(&self, bytes: u64) {
        self.count("stored");
        self.bytes.inc_by(bytes);
    }

    /// Counts an upload whose bytes were already stored under its key.
    pub fn record_duplicate(&self) {
        self.count("duplicate");
    }

    /// Counts an upload that was rejected or failed. `problem` is the name of its problem type, of which there are few.
    pub fn record_error(&self, problem: &'static str) {
        self.count(problem);
    }

    fn count(&self, outcome: &'static str) {
        self.outcomes.get_or_create(&[("outcome", outcome)]).inc();
    }
}
