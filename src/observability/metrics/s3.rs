//! Requests to S3, and what they cost.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What a request to S3 asks for, as it is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Get,
    Head,
    Put,
    List,
    Delete,
    Other,
}

impl Kind {
    /// What its span is called.
    pub const fn span(self) -> &'static str {
        match self {
            Self::Get => "s3.get",
            Self::Head => "s3.head",
            Self::Put => "s3.put",
            Self::List => "s3.list",
            Self::Delete => "s3.delete",
            Self::Other => "s3.other",
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Head => "head",
            Self::Put => "put",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Other => "other",
        }
    }

    /// US dollars for one request: Amazon S3 pricing, S3 Standard in us-east-1, November 2026. Bytes are not in it.
    const fn dollars(self) -> f64 {
        match self {
            Self::Get | Self::Head => 0.000_000_4,
            Self::Put | Self::List | Self::Other => 0.000_005,
            Self::Delete => 0.0,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    kind: &'static str,
    status: String,
}

/// Requests to S3 by kind and status, with their price.
#[derive(Debug, Clone, Default)]
pub struct S3 {
    requests: Family<Labels, Counter>,
    dollars: Counter<f64, AtomicU64>,
    /// How often a store was found gone.
    pub circuit_openings: Counter,
}

impl S3 {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register("s3_requests", "Requests to S3 that have ended, each try counted", this.requests.clone());
        let help = "Price of all requests sent to S3 in US dollars, as Amazon S3 Standard bills them, without traffic";
        registry.register("s3_cost_dollars", help, this.dollars.clone());
        let help = "How often a store counted as gone, so that it was not asked for a while";
        registry.register("s3_circuit_openings", help, this.circuit_openings.clone());
        this
    }

    /// Adds the price of one try. It is billed when it is sent, whether or not anybody still waits for its answer.
    pub fn pay(&self, kind: Kind) {
        self.dollars.inc_by(kind.dollars());
    }

    /// Counts one try that has ended; `status` is `None` where no answer came.
    pub fn count(&self, kind: Kind, status: Option<u16>) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.requests.get_or_create(&Labels { kind: kind.as_str(), status }).inc();
    }
}
