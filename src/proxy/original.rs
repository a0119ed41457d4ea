//! Serves originals: their metadata and media types are cached, and their bytes are streamed, so that an original is
//! never in memory as a whole.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use headers::{HeaderMapExt, LastModified};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::error::RequestError;
use super::object_stream::ObjectStreams;
use super::request::preconditions::{BodySelection, evaluate};
use super::response::headers::{CACHE_STATUS, ResponsePolicy};
use super::response::{Body, empty, respond, streamed, with_headers};
use super::sanitized_svg::{SVG, SanitizedSvgs, SvgRequest};
use crate::cache::{Cache, CacheValue, Retention};
use crate::config::{self, Config, Mode, Require, Serve, Tuning};
use crate::observability::metrics::Counter;
use crate::origin::{ByteRange, ObjectMeta, Store, StoreError};
use crate::resize::{SVG_HEAD_BYTES, is_svg, sniff};
use crate::support::open_bodies::{BodyPermit, TooManyBodies};
use crate::support::tasks::Tasks;
use crate::variant::ObjectKey;
use crate::variants::{Error, Validators, Variants};

/// Serves originals.
#[derive(Debug)]
pub(super) struct Originals {
    store: Store,
    infos: ObjectInfoCache,
    policy: Arc<ResponsePolicy>,
    serve: Serve,
    mode: Mode,
    require: Require,
    info_ttl: Duration,
    streams: ObjectStreams,
    /// `None` if SVG originals are not accepted.
    svg: Option<SanitizedSvgs>,
}

/// Parts of [`Originals`].
pub(super) struct OriginalsParts<'a> {
    pub(super) config: &'a Config,
    pub(super) store: Store,
    pub(super) infos: ObjectInfoCache,
    pub(super) policy: Arc<ResponsePolicy>,
    pub(super) variants: Variants,
    pub(super) tasks: Tasks,
}

/// Cached metadata and media types of originals. Clones share the cache.
#[derive(Debug, Clone)]
pub struct ObjectInfoCache(Cache<ObjectKey, ObjectInfo>);

/// Metadata and media type of an object, or the error of looking them up.
#[derive(Debug, Clone)]
enum ObjectInfo {
    Found { meta: ObjectMeta, media_type: Option<&'static str>, ttl: Duration },
    Failed { error: Error, ttl: Duration },
}

/// Memory limit of the [`ObjectInfoCache`].
const INFO_CACHE_BYTES: u64 = 4 << 20;

/// Number of bytes at the start of an object from which all types but SVG are detected.
const SNIFF_BYTES: u64 = 64;

/// `Cache-Status` (RFC 9211) of originals.
pub(super) const BYPASS: &str = "resized; fwd=bypass; detail=original";

impl ObjectInfoCache {
    /// An empty cache with at most [`Tuning::flights_max`] lookups at once, which run on `tasks`.
    #[must_use]
    pub fn new(tuning: &Tuning, tasks: Tasks) -> Self {
        Self(Cache::new(INFO_CACHE_BYTES, tuning.flights_max, tasks, Counter::default()))
    }
}

impl Originals {
    pub(super) fn new(parts: OriginalsParts<'_>) -> Self {
        let OriginalsParts { config, store, infos, policy, variants, tasks } = parts;
        let svg = SanitizedSvgs { variants, policy: policy.clone() };
        Self {
            svg: config.formats.svg.then_some(svg),
            streams: ObjectStreams::new(store.clone(), tasks),
            store,
            infos,
            policy,
            serve: config.originals.serve,
            mode: config.answers.mode,
            require: config.signing.require,
            info_ttl: info_ttl(config),
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Removes an object from the cache.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.infos.0.invalidate_matching(|cached| cached == key);
    }

    /// Responds with an original, if `originals.serve` includes it: as a stream, as a sanitized SVG, or as a redirect in
    /// redirect mode. A body needs a `permit` for its bytes.
    pub(super) async fn respond(
        &self,
        client: IpAddr,
        method: &Method,
        key: &ObjectKey,
        request: &HeaderMap,
        permit: impl Fn(u64) -> Result<BodyPermit, TooManyBodies>,
    ) -> Result<Response<Body>, RequestError> {
        // If the original is replaced between lookup and stream, both are repeated once.
        for _ in 0..2 {
            let (meta, media_type) = self.stat(key).await?;
            if let (Mode::Redirect, Some(url)) = (self.mode, self.store.public_url(key)) {
                let headers = self.policy.redirect_headers(&url)?;
                return Ok(with_headers(self.policy.redirect_status, headers, empty()));
            }
            if let (Some(svg), Some(SVG)) = (&self.svg, media_type) {
                let request = SvgRequest { client, method, key, headers: request };
                if let Some(response) = Box::pin(svg.respond(&request, &meta, &permit)).await? {
                    return Ok(response);
                }
                self.infos.0.invalidate(key);
                continue;
            }
            let (headers, validators) = describe(&self.policy, &meta, media_type)?;
            let selection = evaluate(method, request, &validators, meta.bytes)?;
            if *method == Method::HEAD || selection == BodySelection::NotModified {
                return Ok(respond(headers, &selection, meta.bytes, empty));
            }
            let permit = permit(selection.bytes(meta.bytes))?;
            if let Some(object) = self.streams.open(key, &selection, permit.clone()).await?
                && object.meta.etag == meta.etag
            {
                return Ok(respond(headers, &selection, meta.bytes, || streamed(object, permit)));
            }
            self.infos.0.invalidate(key);
        }
        Err(Error::StoreFailed.into())
    }

    /// A temporary redirect to the original, for a variant that cannot be made at the moment.
    pub(super) fn redirect_to_original(&self, key: &ObjectKey) -> Result<Response<Body>, Error> {
        let url = match self.store.public_url(key) {
            Some(url) => url,
            None if self.serve == Serve::None || self.require == Require::All => return Err(Error::Overloaded),
            None => key.url_path(),
        };
        let mut headers = self.policy.redirect_headers(&url)?;
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(with_headers(StatusCode::TEMPORARY_REDIRECT, headers, empty()))
    }

    /// Metadata and media type of an original that may be served.
    async fn stat(&self, key: &ObjectKey) -> Result<(ObjectMeta, Option<&'static str>), Error> {
        let missing = || Error::NotFound(format!("there is no picture {:?}", key.as_str()).into());
        if self.serve == Serve::None {
            return Err(missing());
        }
        let kind = if self.svg.is_some() { Sniffed::WithSvg } else { Sniffed::Images };
        let request = || request_info(self.store.clone(), key.clone(), kind, self.info_ttl);
        match self.infos.0.get_or_make(key, request).await.0 {
            ObjectInfo::Found { media_type: None, .. } if self.serve == Serve::Images => Err(missing()),
            // The type may be from before a reload that turned SVG off.
            ObjectInfo::Found { meta, media_type: Some(SVG), .. } if self.svg.is_none() => match self.serve {
                Serve::All => Ok((meta, None)),
                Serve::Images | Serve::None => Err(missing()),
            },
            ObjectInfo::Found { meta, media_type, .. } => Ok((meta, media_type)),
            ObjectInfo::Failed { error, .. } => Err(error),
        }
    }
}

/// How long metadata is cached: like an error, and no longer than a variant is fresh.
fn info_ttl(config: &Config) -> Duration {
    let config::Cache { failures, revalidate_after, .. } = config.cache;
    if config.originals.immutable { failures } else { failures.min(revalidate_after) }
}

/// The media types that are detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sniffed {
    Images,
    WithSvg,
}

impl Sniffed {
    /// Number of bytes at the start of an object that are read to detect its media type.
    fn bytes(self) -> u64 {
        match self {
            Self::Images => SNIFF_BYTES,
            Self::WithSvg => SVG_HEAD_BYTES as u64,
        }
    }

    fn media_type(self, head: &[u8]) -> Option<&'static str> {
        let is_svg = || self == Self::WithSvg && is_svg(head);
        sniff(head).or_else(|| is_svg().then_some(SVG))
    }
}

async fn request_info(store: Store, key: ObjectKey, sniffed: Sniffed, ttl: Duration) -> ObjectInfo {
    let requested_at = Instant::now();
    let probed = probe(&store, &key, sniffed).await;
    let ttl = ttl.saturating_sub(requested_at.elapsed());
    match probed {
        Ok((meta, head)) => ObjectInfo::Found { meta, media_type: sniffed.media_type(&head), ttl },
        Err(error) => ObjectInfo::Failed { error, ttl },
    }
}

/// Reads the metadata and the first bytes of an object in one request.
async fn probe(store: &Store, key: &ObjectKey, sniffed: Sniffed) -> Result<(ObjectMeta, Bytes), Error> {
    let failed = |error: StoreError| Error::from_store(&error);
    let first = ByteRange::FromTo { first: 0, last: sniffed.bytes() - 1 };
    let object = match store.get(key, Some(first)).await {
        // An empty object has no satisfiable range.
        Err(StoreError::RangeNotSatisfiable { .. }) => store.get(key, None).await.map_err(failed)?,
        object => object.map_err(failed)?,
    };
    let mut object = object.ok_or_else(|| Error::no_original(key.as_str()))?;
    if let Some(encoding) = &object.meta.content_encoding {
        return Err(Error::encoded_original(encoding));
    }
    let mut head = Vec::new();
    while let Some(chunk) = object.body.next().await {
        head.extend_from_slice(&chunk.map_err(failed)?);
    }
    Ok((object.meta, head.into()))
}

impl CacheValue<ObjectKey> for ObjectInfo {
    fn weight(&self, key: &ObjectKey) -> usize {
        let metadata = match self {
            Self::Found { meta, .. } => meta.metadata.iter().map(|(name, value)| 64 + name.len() + value.len()).sum(),
            Self::Failed { .. } => 0,
        };
        512 + key.as_str().len() + metadata
    }

    fn retention(&self) -> Retention {
        match self {
            Self::Found { ttl, .. } => Retention::ExpireAfter(*ttl),
            Self::Failed { error, ttl } if error.is_lasting() => Retention::ExpireAfter(*ttl),
            Self::Failed { .. } => Retention::Never,
        }
    }

    fn panicked() -> Self {
        Self::Failed { error: Error::Internal, ttl: Duration::ZERO }
    }

    fn overloaded() -> Self {
        Self::Failed { error: Error::Overloaded, ttl: Duration::ZERO }
    }
}

/// Headers and validators of an original.
pub(super) fn describe(
    policy: &ResponsePolicy,
    meta: &ObjectMeta,
    media_type: Option<&'static str>,
) -> Result<(HeaderMap, Validators), Error> {
    let etag = meta.etag.parse::<headers::ETag>().map_err(|_| Error::Internal)?;
    let mut headers = policy.picture_headers();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type.unwrap_or("application/octet-stream")));
    // Only the first bytes of an upload were inspected, so a browser must never run it as a page of this site.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    if media_type.is_none() {
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    headers.insert(ETAG, HeaderValue::try_from(&*meta.etag).map_err(|_| Error::Internal)?);
    headers.typed_insert(LastModified::from(meta.last_modified));
    headers.insert(CACHE_CONTROL, policy.original_cache_control.clone());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(meta.bytes));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_STATUS, HeaderValue::from_static(BYPASS));
    Ok((headers, Validators { etag, last_modified: Some(meta.last_modified) }))
}
