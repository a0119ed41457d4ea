//! Plain originals: looked at briefly, then streamed, never held whole.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use headers::{HeaderMapExt, LastModified};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
};
use http::{HeaderMap, HeaderValue};

use super::conditional::Validators;
use super::policy::Policy;
use super::problem::Failure;
use super::rendition::CACHE_STATUS;
use crate::cache::{Keep, Outcome};
use crate::origin::{ByteRange, Meta, Store, StoreError};
use crate::resize::sniff;
use crate::variant::ObjectKey;

/// What a first look at an object says.
#[derive(Debug, Clone)]
pub(super) enum Sight {
    Object { meta: Meta, media_type: Option<&'static str>, remembered: Duration },
    Failed { failure: Failure, remembered: Duration },
}

/// As many of an object's first bytes as say what it is.
const SNIFF_BYTES: u64 = 64;

impl Sight {
    /// Asks the store for the object's description and its first bytes in one request.
    pub(super) async fn take(originals: Store, key: ObjectKey, remembered: Duration) -> Self {
        match look(&originals, &key).await {
            Ok((meta, head)) => Self::Object { meta, media_type: sniff(&head), remembered },
            Err(failure) => Self::Failed { failure, remembered },
        }
    }
}

async fn look(originals: &Store, key: &ObjectKey) -> Result<(Meta, Bytes), Failure> {
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
pub(super) fn describe(
    policy: &Policy,
    meta: &Meta,
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
    headers.insert(CACHE_STATUS, HeaderValue::from_static("resized; fwd=bypass; detail=original"));
    Ok((headers, Validators { etag, last_modified: meta.last_modified }))
}
