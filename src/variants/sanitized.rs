//! Memory of sanitized SVG originals, so that each is sanitized once and not for each request, each range and each HEAD.
//!
//! Its bytes are charged to the share of variants, of which it fills only a small part. Concurrent requests share a flight.
//! Nothing is stored, because a sanitized file is made faster than a variant.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::batch::run::BatchRunner;
use super::batch::sanitize::sanitize_svg;
use super::error::Error;
use super::memory::charged_bytes;
use super::rate_limit::RateLimitKind;
use crate::cache::{Cache, CacheValue, Retention, ServedFrom};
use crate::config::Tuning;
use crate::observability::metrics::Counter;
use crate::support::memory::{MemoryAccount, MemoryShare};
use crate::support::tasks::Tasks;
use crate::variant::ObjectKey;

/// Sanitized originals in memory. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct SanitizedSvgs(Cache<SvgVersion, CachedSvg>);

/// An original at one point in time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SvgVersion {
    original: ObjectKey,
    etag: Arc<str>,
}

/// The result of sanitizing a version of an original.
#[derive(Debug, Clone)]
enum CachedSvg {
    Sanitized(Bytes),
    /// The original has another ETag now.
    Replaced,
    Failed {
        error: Error,
        ttl: Duration,
    },
}

/// The share of variants divided by this number is for sanitized originals.
const CACHE_PART: u64 = 16;

/// Maximum number of flights of other clients that a request joins and that end because those clients are limited.
const LIMITED_FLIGHTS_MAX: usize = 8;

impl SanitizedSvgs {
    pub(super) fn new(memory: &MemoryAccount, tuning: &Tuning, tasks: Tasks) -> Self {
        let bytes_max = memory.budget(MemoryShare::Variants).bytes_max() / CACHE_PART;
        Self(Cache::new(bytes_max, tuning.flights_max, tasks, Counter::default()))
    }

    /// The sanitized original from memory, or from a flight for which `client` is charged. Errors that the original caused
    /// are kept for `failure_ttl`. `None` if the original does not have this ETag anymore.
    pub(super) async fn get(
        &self,
        runner: &Arc<BatchRunner>,
        (original, etag): (&ObjectKey, &str),
        client: IpAddr,
        failure_ttl: Duration,
    ) -> Result<Option<Bytes>, Error> {
        let version = SvgVersion { original: original.clone(), etag: etag.into() };
        for _ in 0..LIMITED_FLIGHTS_MAX {
            let make = || {
                let (runner, version) = (runner.clone(), version.clone());
                async move {
                    match sanitize_svg(&runner, &version.original, &version.etag, client).await {
                        Ok(Some(bytes)) => CachedSvg::Sanitized(bytes),
                        Ok(None) => CachedSvg::Replaced,
                        Err(error) => CachedSvg::Failed { error, ttl: failure_ttl },
                    }
                }
            };
            // The flight continues after the timeout, and a later request gets its result.
            let flight = tokio::time::timeout(runner.flight_timeout, self.0.get_or_make(&version, make));
            match flight.await.map_err(|_| Error::FlightTimeout)? {
                (CachedSvg::Sanitized(bytes), _) => return Ok(Some(bytes)),
                (CachedSvg::Replaced, _) => return Ok(None),
                // The client of the flight is limited, and this one may not be.
                (CachedSvg::Failed { error: Error::RateLimited(limit), .. }, ServedFrom::JoinedFlight)
                    if limit.kind == RateLimitKind::CpuPerClient => {}
                (CachedSvg::Failed { error, .. }, _) => return Err(error),
            }
        }
        Err(Error::Overloaded)
    }

    /// Removes all versions of an original.
    pub(super) fn forget(&self, original: &ObjectKey) {
        self.0.invalidate_matching(|version| version.original == *original);
    }

    pub(super) fn forget_all(&self) {
        self.0.invalidate_matching(|_| true);
    }
}

impl CacheValue<SvgVersion> for CachedSvg {
    fn weight(&self, version: &SvgVersion) -> usize {
        let bytes = match self {
            Self::Sanitized(bytes) => bytes.len(),
            Self::Replaced | Self::Failed { .. } => version.original.as_str().len(),
        };
        usize::try_from(charged_bytes(bytes as u64)).unwrap_or(usize::MAX)
    }

    fn retention(&self) -> Retention {
        match self {
            Self::Sanitized(_) => Retention::UntilEvicted,
            Self::Failed { error, ttl } if error.is_lasting() => Retention::ExpireAfter(*ttl),
            Self::Replaced | Self::Failed { .. } => Retention::Never,
        }
    }

    fn panicked() -> Self {
        Self::Failed { error: Error::Internal, ttl: Duration::ZERO }
    }

    fn overloaded() -> Self {
        Self::Failed { error: Error::Overloaded, ttl: Duration::ZERO }
    }
}
