//! A variant ready for delivery: its bytes or its public URL, with prebuilt response headers.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

pub(super) mod cached;
pub(super) mod delivery;

use super::error::Error;
use super::timings::Timings;
use crate::cache::{Retention, Schedule};
use crate::support::memory::MemoryPermit;
use crate::variant::{Format, ObjectKey};

/// A variant in the form that responses deliver.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// The bytes (`answers.mode = "stream"`, or a variant that could not be stored).
    Rendition(Arc<Rendition>),
    /// The variant's URL in its store (`answers.mode = "redirect"`).
    Redirect(Arc<Redirect>),
    /// A stored variant that is too large for memory. Each response streams it from the store.
    Stored(Arc<StoredRendition>),
}

/// The bytes of a variant with the response headers of a cache hit.
#[derive(Debug, Clone)]
pub struct Rendition {
    pub headers: HeaderMap,
    pub bytes: Bytes,
    pub validators: Validators,
    pub(super) provenance: Provenance,
    pub(super) retention: Retention,
}

/// The public URL of a stored variant, as the response headers of a redirect.
#[derive(Debug, Clone)]
pub struct Redirect {
    pub headers: HeaderMap,
    /// Value of the `?v=` cache buster.
    pub(super) version: Box<str>,
    /// For the entry in memory. Without it, the redirect is not kept.
    pub(super) permit: Option<Arc<MemoryPermit>>,
    pub(super) provenance: Provenance,
    pub(super) retention: Retention,
}

/// A variant in its store with the response headers of a stream.
#[derive(Debug, Clone)]
pub struct StoredRendition {
    pub headers: HeaderMap,
    pub key: ObjectKey,
    pub bytes: u64,
    /// ETag of the object. If the store has another object, the variant was replaced.
    pub store_etag: Box<str>,
    pub validators: Validators,
    /// For the entry in memory. Without it, the headers are not kept.
    pub(super) permit: Option<Arc<MemoryPermit>>,
    pub(super) provenance: Provenance,
    pub(super) retention: Retention,
}

/// Validators of a representation (RFC 9110 section 8.8), parsed for preconditions.
#[derive(Debug, Clone)]
pub struct Validators {
    pub etag: headers::ETag,
    /// `None` if a date does not identify the representation.
    pub last_modified: Option<SystemTime>,
}

/// How and from which original the variant was obtained.
#[derive(Debug, Clone)]
pub(super) struct Provenance {
    pub(super) acquisition: Acquisition,
    pub(super) timings: Timings,
    /// ETag of the original that the variant was made from; empty if it is not known.
    pub(super) original_etag: Box<str>,
    /// True if the original has a gain map.
    pub(super) has_gain_map: bool,
    /// The format that negotiation uses instead.
    pub(super) not_smaller_than: Option<Format>,
    /// A time before the last check of this ETag by the store. The freshness of the variant counts from this time.
    pub(super) checked_at: Instant,
}

/// How a flight obtained the variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquisition {
    /// Decoded, resized and encoded.
    Made,
    /// Read from the variants' store.
    Stored,
    /// Kept from memory after a check that the original has not changed.
    Revalidated,
    /// Kept from memory, because the store failed and the original could not be checked.
    Stale,
}

/// Properties of a rendition that determine its response headers.
#[derive(Debug)]
pub struct RenditionFacts<'a> {
    pub media_type: &'static str,
    pub bytes: u64,
    /// True if the bytes are not in memory.
    pub is_streamed: bool,
    pub etag: &'a str,
    pub last_modified: SystemTime,
}

/// Builds the response headers of renditions. The HTTP layer implements it; the headers are built once, and each cache
/// hit clones them.
pub trait PrebuildHeaders: fmt::Debug + Send + Sync {
    /// Headers of a 200 response with the rendition.
    ///
    /// # Errors
    /// [`Error::Internal`] if a value is not a valid header value.
    fn rendition(&self, facts: &RenditionFacts<'_>) -> Result<HeaderMap, Error>;

    /// Headers of a redirect to `url`.
    ///
    /// # Errors
    /// [`Error::Internal`] if the URL is not a valid header value.
    fn redirect(&self, url: &str) -> Result<HeaderMap, Error>;
}

/// How long variants and errors stay fresh in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Freshness {
    /// `None` if originals never change, so that a variant stays fresh until it is evicted.
    pub(super) revalidate_after: Option<Duration>,
    /// Maximum time that a request waits for a revalidation.
    pub(super) revalidate_timeout: Duration,
    pub(super) failure_ttl: Duration,
}

/// A variant is revalidated in the background once this part of its freshness has passed: four fifths.
const REFRESH_AFTER: (u32, u32) = (4, 5);

impl Freshness {
    /// Retention of a variant whose original was checked at `checked_at`. It does not depend on the time that the check
    /// took.
    pub(super) fn since(&self, checked_at: Instant) -> Retention {
        let stale_at = self.revalidate_after.and_then(|time| Some((time, checked_at.checked_add(time)?)));
        // A time that the clock cannot represent never comes.
        let Some((time, stale_at)) = stale_at else { return Retention::UntilEvicted };
        let (part, whole) = REFRESH_AFTER;
        Retention::Revalidate(Schedule { revalidate_at: checked_at + time / whole * part, stale_at })
    }

    /// How long a lasting error is cached that was found by a check at `checked_at`: an original may be stored or replaced
    /// after an error too.
    pub(super) fn error_ttl(&self, checked_at: Instant) -> Duration {
        let ttl = self.revalidate_after.map_or(self.failure_ttl, |time| time.min(self.failure_ttl));
        ttl.saturating_sub(checked_at.elapsed())
    }
}

impl Rendition {
    /// The same rendition for the current waiters only: it is not kept in memory, and caches may keep it only briefly.
    pub(super) fn uncacheable(mut self) -> Self {
        self.retention = Retention::Never;
        self
    }
}

impl Delivery {
    /// The same delivery, whose original was found unchanged by a check at `checked_at`.
    pub(super) fn revalidated(&self, freshness: &Freshness, checked_at: Instant, timings: Timings) -> Self {
        self.with_retention(freshness.since(checked_at), Acquisition::Revalidated, timings)
    }

    /// The same delivery after a check of its original failed. The original is checked again after
    /// [`Freshness::failure_ttl`], or once the delivery is stale.
    pub(super) fn unconfirmed(&self, freshness: &Freshness, timings: Timings) -> Self {
        let now = Instant::now();
        match self.retention() {
            Retention::Revalidate(Schedule { stale_at, .. }) if now < stale_at => {
                let revalidate_at = now + freshness.failure_ttl.min(stale_at - now);
                let retention = Retention::Revalidate(Schedule { revalidate_at, stale_at });
                self.with_retention(retention, self.acquisition(), timings)
            }
            _ => self.stale(freshness, timings),
        }
    }

    /// The same delivery, whose original may have changed. The original is checked again after
    /// [`Freshness::failure_ttl`].
    pub(super) fn stale(&self, freshness: &Freshness, timings: Timings) -> Self {
        let now = Instant::now();
        let revalidate_at = now.checked_add(freshness.failure_ttl).unwrap_or(now);
        let retention = Retention::Revalidate(Schedule { revalidate_at, stale_at: now });
        self.with_retention(retention, Acquisition::Stale, timings)
    }

    /// True if the original was last checked so long ago that the variant was already stale at `time`.
    pub(super) fn was_stale_at(&self, time: Instant) -> bool {
        matches!(self.retention(), Retention::Revalidate(Schedule { stale_at, .. }) if stale_at < time)
    }

    fn with_retention(&self, retention: Retention, acquisition: Acquisition, timings: Timings) -> Self {
        let mut this = self.clone();
        let (provenance, kept) = match &mut this {
            Self::Rendition(rendition) => {
                let Rendition { provenance, retention, .. } = Arc::make_mut(rendition);
                (provenance, retention)
            }
            Self::Redirect(redirect) => {
                let Redirect { provenance, retention, .. } = Arc::make_mut(redirect);
                (provenance, retention)
            }
            Self::Stored(stored) => {
                let StoredRendition { provenance, retention, .. } = Arc::make_mut(stored);
                (provenance, retention)
            }
        };
        *kept = retention;
        (provenance.acquisition, provenance.timings) = (acquisition, timings);
        this
    }

    /// ETag of the original that the variant was made from; empty if it is not known.
    pub(super) fn original_etag(&self) -> &str {
        &self.provenance().original_etag
    }

    /// True if the original has a gain map.
    pub(super) fn has_gain_map(&self) -> bool {
        self.provenance().has_gain_map
    }

    /// The format that negotiation uses instead, because its variant does not have more bytes.
    pub(super) fn not_smaller_than(&self) -> Option<Format> {
        self.provenance().not_smaller_than
    }

    /// Number of bytes of the variant; `None` if it is a redirect.
    pub(super) fn bytes(&self) -> Option<u64> {
        match self {
            Self::Rendition(rendition) => Some(rendition.bytes.len() as u64),
            Self::Stored(stored) => Some(stored.bytes),
            Self::Redirect(_) => None,
        }
    }

    /// How the flight obtained the variant.
    #[must_use]
    pub fn acquisition(&self) -> Acquisition {
        self.provenance().acquisition
    }

    /// Durations of the steps of the flight.
    #[must_use]
    pub fn timings(&self) -> &Timings {
        &self.provenance().timings
    }

    /// False for a variant that is served once and not kept.
    #[must_use]
    pub fn is_cacheable(&self) -> bool {
        self.retention() != Retention::Never
    }

    pub(super) fn retention(&self) -> Retention {
        match self {
            Self::Rendition(rendition) => rendition.retention,
            Self::Redirect(redirect) if redirect.permit.is_none() => Retention::Never,
            Self::Redirect(redirect) => redirect.retention,
            Self::Stored(stored) if stored.permit.is_none() => Retention::Never,
            Self::Stored(stored) => stored.retention,
        }
    }

    fn provenance(&self) -> &Provenance {
        match self {
            Self::Rendition(rendition) => &rendition.provenance,
            Self::Redirect(redirect) => &redirect.provenance,
            Self::Stored(stored) => &stored.provenance,
        }
    }
}
