//! A variant's bytes with their headers, ready to be answered many times.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use headers::{HeaderMapExt, LastModified};
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::cache::{Keep, Outcome, Source};
use crate::observability::{metrics, traces};
use crate::proxy::error::Failure;
use crate::proxy::preconditions::Validators;
use crate::proxy::response_headers::Policy;
use crate::support::hex;
use crate::variant::Variant;

/// RFC 9211.
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// W3C Server-Timing.
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What asking for a variant ends with.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Rendition(Arc<Rendition>),
    Location(Arc<Location>),
    Failed { failure: Failure, remembered: Duration },
}

/// Bytes and headers of a variant.
#[derive(Debug, Clone)]
pub(crate) struct Rendition {
    /// As a hit is answered: only what differs otherwise is set again.
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    pub(crate) validators: Validators,
    origin: Provenance,
    keep: Keep,
}

/// Where a stored variant is.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    pub(crate) headers: HeaderMap,
    /// The part of the URL that tells it from what was there before.
    pub(crate) version: Box<str>,
    origin: Provenance,
    keep: Keep,
}

/// How a flight came to its answer.
#[derive(Debug, Clone)]
pub(crate) struct Provenance {
    pub(crate) detail: Detail,
    pub(crate) steps: Steps,
    /// The ETag of the original that the variant was made of; empty if that is not known.
    pub(crate) original_etag: Box<str>,
    /// When that was so: from then on it is good for as long as config says.
    pub(crate) as_of: Instant,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Detail {
    /// Decoded, resized, encoded.
    Made,
    /// Found in the variants' store.
    Stored,
    /// Found in memory, and its original has not changed.
    Revalidated,
    /// Found in memory, and the store that could say whether its original has changed fails.
    Stale,
}

impl Detail {
    const fn outcome(self) -> metrics::Outcome {
        match self {
            Self::Made => metrics::Outcome::Made,
            Self::Stored => metrics::Outcome::Stored,
            Self::Revalidated => metrics::Outcome::Revalidated,
            Self::Stale => metrics::Outcome::Stale,
        }
    }

    /// The value of `Cache-Status` (RFC 9211); docs/URLS.md explains each.
    const fn cache_status(self, source: Source) -> &'static str {
        match (source, self) {
            (_, Self::Stale) => "resized; hit; detail=stale",
            (Source::Hit, _) => "resized; hit",
            (Source::Joined, Self::Revalidated) => "resized; fwd=stale; collapsed; detail=joined",
            (Source::Joined, Self::Made | Self::Stored) => "resized; fwd=miss; collapsed; detail=joined",
            (Source::Led, Self::Made) => "resized; fwd=miss; detail=made",
            (Source::Led, Self::Stored) => "resized; fwd=miss; detail=stored",
            (Source::Led, Self::Revalidated) => "resized; fwd=stale; fwd-status=304; detail=revalidated",
        }
    }
}

/// What took how long in a flight: the text of `Server-Timing`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    /// Waits for `step` and notes how long it took; it is a step of the current span, too.
    pub(crate) async fn time<T>(&mut self, name: &'static str, step: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let result = traces::in_span(name, step).await;
        self.note(name, start.elapsed());
        result
    }

    /// Notes that a step took `time`.
    pub(crate) fn note(&mut self, name: &'static str, time: Duration) {
        self.0.push((name, time));
    }

    /// These and then those of `other`.
    pub(crate) fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    /// The value of `Server-Timing`.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let steps: Vec<_> =
            self.0.iter().map(|(name, time)| format!("{name};dur={:.1}", time.as_secs_f64() * 1000.0)).collect();
        HeaderValue::try_from(steps.join(", ")).ok()
    }
}

/// The strong ETag of bytes: 128 bits of their SHA-256 in hexadecimal, without quotes. The same on every node and
/// after every restart.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    hex::encode(&ring::digest::digest(&ring::digest::SHA256, bytes).as_ref()[..16])
}

impl Rendition {
    /// A rendition whose bytes are what `media_type` says, and have this [`fingerprint`].
    pub(crate) fn new(
        policy: &Policy,
        media_type: &'static str,
        bytes: Bytes,
        fingerprint: &str,
        last_modified: SystemTime,
        origin: Provenance,
    ) -> Result<Self, Failure> {
        let quoted = format!("\"{fingerprint}\"");
        let etag = quoted.parse::<headers::ETag>().map_err(|_| Failure::Internal)?;
        let mut headers = policy.image_headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(ETAG, HeaderValue::try_from(quoted).map_err(|_| Failure::Internal)?);
        headers.typed_insert(LastModified::from(last_modified));
        headers.insert(CACHE_CONTROL, policy.cache_control.clone());
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CACHE_STATUS, HeaderValue::from_static("resized; hit"));
        Ok(Self {
            headers,
            bytes,
            validators: Validators { etag, last_modified },
            keep: policy.keep_since(origin.as_of),
            origin,
        })
    }

    /// For an answer that could not be stored though it had to be, or whose original is changing: good once, and not for
    /// long.
    pub(crate) fn passing(mut self, policy: &Policy) -> Self {
        self.headers.insert(CACHE_CONTROL, policy.error_cache_control.clone());
        self.keep = Keep::Never;
        self
    }
}

impl Location {
    /// A redirect to `base`, which is where a variant is stored, stamped with its version: a copy of what it once was is never
    /// met under that URL.
    pub(crate) fn new(policy: &Policy, base: &str, version: &str, origin: Provenance) -> Result<Self, Failure> {
        let url = format!("{base}?v={version}");
        let mut headers = policy.image_headers();
        headers.insert(LOCATION, HeaderValue::try_from(url).map_err(|_| Failure::Internal)?);
        headers.insert(CACHE_CONTROL, policy.redirect_cache_control.clone());
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        headers.insert(CACHE_STATUS, HeaderValue::from_static("resized; hit"));
        Ok(Self { headers, version: version.into(), keep: policy.keep_since(origin.as_of), origin })
    }
}

impl Answer {
    /// The same, whose original was looked after since `as_of`.
    pub(crate) fn renewed(&self, policy: &Policy, as_of: Instant, steps: Steps) -> Self {
        self.again(policy.keep_since(as_of), Detail::Revalidated, steps)
    }

    /// The same, in place of a failure of the store; good until the store is tried again.
    pub(crate) fn stale(&self, policy: &Policy, steps: Steps) -> Self {
        self.again(Keep::Fresh(policy.brief), Detail::Stale, steps)
    }

    fn again(&self, keep: Keep, detail: Detail, steps: Steps) -> Self {
        let hit = HeaderValue::from_static(detail.cache_status(Source::Hit));
        let mut this = self.clone();
        let (headers, origin, kept) = match &mut this {
            Self::Rendition(rendition) => {
                let Rendition { headers, origin, keep, .. } = Arc::make_mut(rendition);
                (headers, origin, keep)
            }
            Self::Location(location) => {
                let Location { headers, origin, keep, .. } = Arc::make_mut(location);
                (headers, origin, keep)
            }
            Self::Failed { .. } => return this,
        };
        headers.insert(CACHE_STATUS, hit);
        *kept = keep;
        (origin.detail, origin.steps) = (detail, steps);
        this
    }

    /// Of what original it was made; `None` for a failure.
    pub(crate) fn original_etag(&self) -> Option<&str> {
        match self {
            Self::Rendition(rendition) => Some(&rendition.origin.original_etag),
            Self::Location(location) => Some(&location.origin.original_etag),
            Self::Failed { .. } => None,
        }
    }

    /// How an answer is counted.
    pub(crate) fn outcome(&self, source: Source) -> metrics::Outcome {
        let detail = match self {
            Self::Failed { failure, .. } => return failure.outcome(),
            Self::Rendition(rendition) => rendition.origin.detail,
            Self::Location(location) => location.origin.detail,
        };
        match (source, detail) {
            (_, Detail::Stale) => metrics::Outcome::Stale,
            (Source::Hit, _) => metrics::Outcome::Hit,
            (Source::Joined, _) => metrics::Outcome::Joined,
            (Source::Led, detail) => detail.outcome(),
        }
    }

    /// Says in `headers` where this answer came from, when it was not memory.
    pub(crate) fn describe(&self, source: Source, headers: &mut HeaderMap) {
        let origin = match self {
            Self::Rendition(rendition) => &rendition.origin,
            Self::Location(location) => &location.origin,
            Self::Failed { .. } => return,
        };
        if source == Source::Hit {
            return;
        }
        headers.insert(CACHE_STATUS, HeaderValue::from_static(origin.detail.cache_status(source)));
        if let Some(steps) = origin.steps.header() {
            headers.insert(SERVER_TIMING, steps);
        }
    }
}

/// What an entry occupies besides its bytes and key: the header map's tables, the entry's own nodes.
const OVERHEAD_BYTES: usize = 2048;

impl Outcome<Variant> for Answer {
    fn weight(&self, key: &Variant) -> usize {
        let bytes = match self {
            Self::Rendition(rendition) => rendition.bytes.len(),
            Self::Location(_) | Self::Failed { .. } => 0,
        };
        OVERHEAD_BYTES + key.original.as_str().len() + bytes
    }

    fn keep(&self) -> Keep {
        match self {
            Self::Rendition(rendition) => rendition.keep,
            Self::Location(location) => location.keep,
            Self::Failed { failure, remembered } if failure.is_lasting() => Keep::For(*remembered),
            Self::Failed { .. } => Keep::Never,
        }
    }

    fn aborted() -> Self {
        tracing::error!("a flight ended without an answer");
        Self::Failed { failure: Failure::Internal, remembered: Duration::ZERO }
    }

    fn refused() -> Self {
        Self::Failed { failure: Failure::Overloaded, remembered: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_docs_list_every_cache_status() {
        let (_, docs) = include_str!("../../docs/URLS.md").split_once("\n### Cache-Status\n").unwrap();
        let (docs, _) = docs.split_once("\n## ").unwrap();
        let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let listed: BTreeSet<_> = rows.map(|(value, _)| value).collect();
        let details = [Detail::Made, Detail::Stored, Detail::Revalidated, Detail::Stale];
        let sources = [Source::Hit, Source::Led, Source::Joined];
        let mut all: BTreeSet<_> =
            sources.iter().flat_map(|source| details.map(|detail| detail.cache_status(*source))).collect();
        all.insert(crate::proxy::original::NOT_KEPT);
        assert_eq!(listed, all);
    }
}
