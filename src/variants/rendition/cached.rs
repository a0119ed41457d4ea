//! The result of a flight for a variant, as it is kept in memory.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::{CacheValue, Retention};
use crate::support::memory::MemoryPermit;
use crate::variant::Variant;
use crate::variants::error::Error;
use crate::variants::memory::charged_bytes;
use crate::variants::rendition::Delivery;

/// A variant, or the error that all waiters of the flight get.
#[derive(Debug, Clone)]
pub(in crate::variants) enum CachedVariant {
    Found(Delivery),
    /// Kept for `ttl` if the error is lasting.
    Failed {
        error: Error,
        ttl: Duration,
        /// For the entry in memory. Without it, the error is not kept.
        permit: Option<Arc<MemoryPermit>>,
    },
}

impl CacheValue<Variant> for CachedVariant {
    fn weight(&self, _: &Variant) -> usize {
        let bytes = match self {
            Self::Found(Delivery::Rendition(rendition)) => rendition.bytes.len(),
            Self::Found(Delivery::Redirect(_) | Delivery::Stored(_)) | Self::Failed { .. } => 0,
        };
        usize::try_from(charged_bytes(bytes as u64)).unwrap_or(usize::MAX)
    }

    fn retention(&self) -> Retention {
        match self {
            Self::Found(delivery) => delivery.retention(),
            Self::Failed { error, ttl, permit: Some(_) } if error.is_lasting() => Retention::ExpireAfter(*ttl),
            Self::Failed { .. } => Retention::Never,
        }
    }

    fn panicked() -> Self {
        tracing::error!("flight panicked");
        Self::Failed { error: Error::Internal, ttl: Duration::ZERO, permit: None }
    }

    fn overloaded() -> Self {
        Self::Failed { error: Error::Overloaded, ttl: Duration::ZERO, permit: None }
    }
}
