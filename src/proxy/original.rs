//! Plain originals: looked at briefly, then streamed, never held whole.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use headers::{HeaderMapExt, LastModified};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    LOCATION,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::error::Failure;
use super::preconditions::{Validators, Wanted, wanted};
use super::response::{empty, respond, streamed, with_headers};
use super::response_headers::Policy;
use super::{Body, Proxy};
use crate::cache::{Keep, Outcome};
use crate::config::{Mode, Require, Serve};
use crate::origin::{ByteRange, Object, ObjectMeta, Store, StoreError};
use crate::resize::sniff;
use crate::variant::ObjectKey;
use crate::variants::rendition::CACHE_STATUS;

/// What a first look at an object says.
#[derive(Debug, Clone)]
pub(crate) enum Sight {
    Object { meta: ObjectMeta, media_type: Option<&'static str>, remembered: Duration },
    Failed { failure: Failure, remembered: Duration },
}

impl Proxy {
    /// A plain original, if its kind is served: streamed, or in redirect mode at its public URL.
    pub(crate) async fn original(
        &self,
        method: &Method,
        key: &ObjectKey,
        request: &HeaderMap,
    ) -> Result<Response<Body>, Failure> {
        // An original that is replaced between the look and the stream is looked at again, once.
        for _ in 0..2 {
            let (meta, media_type) = self.look(key).await?;
            if let (Mode::Redirect, Some(url)) = (self.mode, self.originals.public_url(key)) {
                return self.redirect(&url);
            }
            let (headers, validators) = describe(&self.policy, &meta, media_type)?;
            let wanted = wanted(method, request, &validators, meta.bytes)?;
            if *method == Method::HEAD || wanted == Wanted::NotModified {
                return Ok(respond(headers, &wanted, meta.bytes, empty));
            }
            if let Some(object) = self.open_stream(key, &wanted).await?
                && object.meta.etag == meta.etag
            {
                return Ok(respond(headers, &wanted, meta.bytes, || streamed(object)));
            }
            self.sights.forget(key);
        }
        Err(Failure::StoreFailed)
    }

    /// The way to the original, for once, when a variant cannot be made now.
    pub(crate) fn instead(&self, original: &ObjectKey) -> Result<Response<Body>, Failure> {
        let url = match self.originals.public_url(original) {
            Some(url) => url,
            None if self.serve == Serve::None || self.require == Require::All => return Err(Failure::Overloaded),
            None => original.url_path(),
        };
        let mut headers = self.policy.image_headers();
        headers.insert(LOCATION, HeaderValue::try_from(url).map_err(|_| Failure::Internal)?);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        Ok(with_headers(StatusCode::TEMPORARY_REDIRECT, headers, empty()))
    }

    /// What the original is, if it is served.
    async fn look(&self, key: &ObjectKey) -> Result<(ObjectMeta, Option<&'static str>), Failure> {
        let missing = || Failure::NotFound(format!("there is no picture {:?}", key.as_str()).into());
        if self.serve == Serve::None {
            return Err(missing());
        }
        let take = |_| Sight::take(self.originals.clone(), key.clone(), self.remembered);
        match self.sights.find_or_make(key, take).await.0 {
            Sight::Object { media_type: None, .. } if self.serve == Serve::Images => Err(missing()),
            Sight::Object { meta, media_type, .. } => Ok((meta, media_type)),
            Sight::Failed { failure, .. } => Err(failure),
        }
    }

    /// Opens the stream on the runtime of the tasks, where the store's connections live.
    async fn open_stream(&self, key: &ObjectKey, wanted: &Wanted) -> Result<Option<Object>, Failure> {
        let range = match wanted {
            Wanted::Part(part) => Some(ByteRange::FromTo { first: *part.start(), last: *part.end() }),
            Wanted::Whole | Wanted::NotModified => None,
        };
        let (store, key) = (self.originals.clone(), key.clone());
        let opened = self.tasks.spawn(async move { store.get(&key, range).await }).await;
        opened.map_err(|_| Failure::Internal)?.map_err(|error| Failure::of_store("original", &error))
    }
}

/// `Cache-Status` (RFC 9211): originals pass through.
pub(crate) const NOT_KEPT: &str = "resized; fwd=bypass; detail=original";

/// As many of an object's first bytes as say what it is.
const SNIFF_BYTES: u64 = 64;

impl Sight {
    /// Asks the store for the object's description and its first bytes in one request.
    pub(crate) async fn take(originals: Store, key: ObjectKey, remembered: Duration) -> Self {
        match look(&originals, &key).await {
            Ok((meta, head)) => Self::Object { meta, media_type: sniff(&head), remembered },
            Err(failure) => Self::Failed { failure, remembered },
        }
    }
}

async fn look(originals: &Store, key: &ObjectKey) -> Result<(ObjectMeta, Bytes), Failure> {
    let failed = |error: StoreError| Failure::of_store("original", &error);
    let first = ByteRange::FromTo { first: 0, last: SNIFF_BYTES - 1 };
    let object = match originals.get(key, Some(first)).await {
        // No range lies inside of an empty object.
        Err(StoreError::RangeNotSatisfiable { .. }) => originals.get(key, None).await.map_err(failed)?,
        object => object.map_err(failed)?,
    };
    let Some(mut object) = object else {
        return Err(Failure::NotFound(format!("there is no original {:?}", key.as_str()).into()));
    };
    let mut head = Vec::new();
    while let Some(chunk) = object.body.next().await {
        head.extend_from_slice(&chunk.map_err(failed)?);
    }
    Ok((object.meta, head.into()))
}

impl Outcome<ObjectKey> for Sight {
    fn weight(&self, key: &ObjectKey) -> usize {
        512 + key.as_str().len()
    }

    fn keep(&self) -> Keep {
        match self {
            Self::Object { remembered, .. } => Keep::For(*remembered),
            Self::Failed { failure, remembered } if failure.is_lasting() => Keep::For(*remembered),
            Self::Failed { .. } => Keep::Never,
        }
    }

    fn aborted() -> Self {
        Self::Failed { failure: Failure::Internal, remembered: Duration::ZERO }
    }

    fn refused() -> Self {
        Self::Failed { failure: Failure::Overloaded, remembered: Duration::ZERO }
    }
}

/// The headers of an original, and what tells its states apart.
pub(crate) fn describe(
    policy: &Policy,
    meta: &ObjectMeta,
    media_type: Option<&'static str>,
) -> Result<(HeaderMap, Validators), Failure> {
    let etag = meta.etag.parse::<headers::ETag>().map_err(|_| Failure::Internal)?;
    let mut headers = policy.image_headers();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type.unwrap_or("application/octet-stream")));
    // Nobody has looked at more than its beginning. Whatever a browser makes of it, it must not run as a page of this site.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    if media_type.is_none() {
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    headers.insert(ETAG, HeaderValue::try_from(&*meta.etag).map_err(|_| Failure::Internal)?);
    headers.typed_insert(LastModified::from(meta.last_modified));
    headers.insert(CACHE_CONTROL, policy.original_cache_control.clone());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(meta.bytes));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_STATUS, HeaderValue::from_static(NOT_KEPT));
    Ok((headers, Validators { etag, last_modified: meta.last_modified }))
}
