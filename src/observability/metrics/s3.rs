//! Requests to S3.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Billing category of a request to S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum S3RequestKind {
    Get,
    Head,
    Put,
    List,
    Delete,
    Other,
}

impl S3RequestKind {
    /// Name of the request's span.
    pub const fn span_name(self) -> &'static str {
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
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    kind: &'static str,
    status: String,
}

/// Requests to S3 by kind and response status.
#[derive(Debug, Clone, Default)]
pub struct S3Metrics {
    requests: Family<Labels, Counter>,
    /// How often the circuit breaker of a store opened.
    pub circuit_openings: Counter,
}

impl S3Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register("s3_requests", "Completed requests to S3, counting each attempt", this.requests.clone());
        let help = "How often the circuit breaker of a store opened";
        registry.register("s3_circuit_openings", help, this.circuit_openings.clone());
        this
    }

    /// Counts one completed attempt; `status` is `None` if S3 did not respond.
    pub fn record_response(&self, kind: S3RequestKind, status: Option<u16>) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.requests.get_or_create(&Labels { kind: kind.as_str(), status }).inc();
    }
}
