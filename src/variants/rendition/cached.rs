//! The result of a flight for a variant, as it is kept in memory.

use std::time::Duration;

use crate::cache::{CacheValue, Retention};
use crate::variant::Variant;
use crate::variants::error::Error;
use crate::variants::rendition::Delivery;

/// A variant, or the error that all waiters of the flight get.
#[derive(Debug, Clone)]
pub(in crate::variants) enum CachedVariant {
    Found(Delivery),
    /// Kept for `ttl` if the error is lasting.
    Failed {
        error: Error,
        ttl: Duration,
    },
}

/// Memory that an entry uses in addition to its bytes and key: the tables of the header map and the nodes of the cache.
const OVERHEAD_BYTES: usize = 2048;

impl CacheValue<Variant> for CachedVariant {
    fn weight(&self, key: &Variant) -> usize {
        let bytes = match self {
            Self::Found(Delivery::Rendition(rendition)) => rendition.bytes.len(),
            Self::Found(Delivery::Redirect(_)) | Self::Failed { .. } => 0,
        };
        OVERHEAD_BYTES + key.original.as_str().len() + bytes
    }

    fn retention(&self) -> Retention {
        match self {
            Self::Found(delivery) => delivery.retention(),
            Self::Failed { error, ttl } if error.is_lasting() => Retention::ExpireAfter(*ttl),
            Self::Failed { .. } => Retention::Never,
        }
    }

    fn panicked() -> Self {
        tracing::error!("flight panicked");
        Self::Failed { error: Error::Internal, ttl: Duration::ZERO }
    }

    fn overloaded() -> Self {
        Self::Failed { error: Error::Overloaded, ttl: Duration::ZERO }
    }
}
