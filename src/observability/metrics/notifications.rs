//! Notifications on their way to the API.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    status: String,
}

/// Tries, by what the API answered, and those that were given up on.
#[derive(Debug, Clone, Default)]
pub struct Notices {
    tries: Family<Labels, Counter>,
    /// Given up on after all tries.
    pub dead: Counter,
}

impl Notices {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register("notification_tries", "Notifications sent to the API, by its answer", this.tries.clone());
        registry.register("notifications_dead", "Notifications that were given up on", this.dead.clone());
        // So that the first one is an increase.
        drop(this.tries.get_or_create(&Labels { status: "200".into() }));
        this
    }

    /// Counts one try; `status` is `None` where no answer came.
    pub fn tried(&self, status: Option<u16>) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.tries.get_or_create(&Labels { status }).inc();
    }
}
