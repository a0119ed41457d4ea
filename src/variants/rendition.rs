//! A variant ready for delivery: its bytes or its public URL, with prebuilt response headers.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::HeaderMap;

pub(super) mod cached;
pub(super) mod delivery;

use super::error::Error;
use super::timings::Timings;
use crate::cache::Retention;

/// A variant in the form that responses deliver.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// The bytes (`answers.mode = "stream"`, or a variant that could not be stored).
    Rendition(Arc<Rendition>),
    /// The variant's URL in its store (`answers.mode = "redirect"`).
    Redirect(Arc<Redirect>),
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
    pub(super) provenance: Provenance,
    pub(super) retention: Retention,
}

/// Validators of a representation (RFC 9110 section 8.8), parsed for preconditions.
#[derive(Debug, Clone)]
pub struct Validators {
    pub etag: headers::ETag,
    pub last_modified: SystemTime,
}

/// How and from which original the variant was obtained.
#[derive(Debug, Clone)]
pub(super) struct Provenance {
    pub(super) acquisition: Acquisition,
    pub(super) timings: Timings,
    /// ETag of the original that the variant was made from; empty if it is not known.
    pub(super) original_etag: Box<str>,
    /// When the store last confirmed this ETag. The freshness of the variant counts from this time.
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
    pub bytes: usize,
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
    pub(super) failure_ttl: Duration,
}

impl Freshness {
    /// Remaining freshness of a variant whose original was checked at `checked_at`.
    pub(super) fn remaining(&self, checked_at: Instant) -> Retention {
        match self.revalidate_after {
            Some(time) => Retention::FreshFor(time.saturating_sub(checked_at.elapsed())),
            None => Retention::UntilEvicted,
        }
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
    /// The same delivery, whose original was found unchanged at `checked_at`.
    pub(super) fn revalidated(&self, freshness: &Freshness, checked_at: Instant, timings: Timings) -> Self {
        self.with_freshness(freshness.remaining(checked_at), Acquisition::Revalidated, timings)
    }

    /// The same delivery, served instead of an error of the store. It stays fresh until the store is tried again.
    pub(super) fn stale(&self, freshness: &Freshness, timings: Timings) -> Self {
        self.with_freshness(Retention::FreshFor(freshness.failure_ttl), Acquisition::Stale, timings)
    }

    fn with_freshness(&self, retention: Retention, acquisition: Acquisition, timings: Timings) -> Self {
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
        };
        *kept = retention;
        (provenance.acquisition, provenance.timings) = (acquisition, timings);
        this
    }

    /// ETag of the original that the variant was made from; empty if it is not known.
    pub(super) fn original_etag(&self) -> &str {
        &self.provenance().original_etag
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
            Self::Redirect(redirect) => redirect.retention,
        }
    }

    fn provenance(&self) -> &Provenance {
        match self {
            Self::Rendition(rendition) => &rendition.provenance,
            Self::Redirect(redirect) => &redirect.provenance,
        }
    }
}
