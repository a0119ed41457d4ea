//! Originals on their way in.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Uploads by how they ended.
#[derive(Debug, Clone)]
pub struct Uploads {
    outcomes: Family<[(&'static str, &'static str); 1], Counter>,
    bytes: Counter,
}

impl Uploads {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let this = Self { outcomes: Family::default(), bytes: Counter::default() };
        registry.register("uploads", "Uploads, by how they ended", this.outcomes.clone());
        registry.register("upload_bytes", "Bytes of originals that were stored", this.bytes.clone());
        // So that the first one is an increase.
        drop(this.outcomes.get_or_create(&[("outcome", "stored")]));
        this
    }

    /// One was stored.
    pub fn stored(&self, bytes: u64) {
        self.count("stored");
        self.bytes.inc_by(bytes);
    }

    /// Its very bytes were there already.
    pub fn known(&self) {
        self.count("known");
    }

    /// One was refused or failed; `name` is of its problem, of which there are few.
    pub fn refused(&self, name: &'static str) {
        self.count(name);
    }

    fn count(&self, outcome: &'static str) {
        self.outcomes.get_or_create(&[("outcome", outcome)]).inc();
    }
}
