//! The body of an object in S3. If it breaks off or stalls, another request continues it where it ended.
//!
//! A continuation asks for the rest of the bytes (`Range`) of the same object (`If-Match`), so a reader gets the bytes
//! of one version or an error. Continuations are retried like requests, and each chunk arrives within
//! `s3.operation_timeout`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, stream};
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt;

use super::checksum::Checksum;
use super::object::{self, object_bytes, sent_range};
use super::read::{ReadRequest, S3Reader};
use crate::origin::body::Body;
use crate::origin::error::StoreError;
use crate::origin::object::{ByteRange, ObjectMeta};
use crate::origin::timeout::with_timeout;
use crate::support::https::Incoming;
use crate::variant::ObjectKey;

/// A continuation that delivers at least this many bytes is a success: the attempts are counted anew. Otherwise a store
/// that breaks off each body after some bytes would be sent a request for each of them.
const PROGRESS_BYTES_MIN: u64 = 64 << 10;

/// Limit from the last byte of a response to its end. If it passes, the connection is closed.
const END_TIMEOUT: Duration = Duration::from_millis(100);

/// The object that is being read. All responses must be about this version of it.
#[derive(Debug)]
struct Version {
    key: ObjectKey,
    etag: Box<str>,
    object_bytes: u64,
    /// The ETag as the store sent it; `None` if it cannot be a condition.
    if_match: Option<String>,
}

/// The bytes that are still missing, and the response that they are read from.
pub(super) struct S3Body {
    reader: Arc<S3Reader>,
    version: Version,
    incoming: Incoming,
    /// Bytes of the response that precede the missing ones.
    skip: u64,
    missing: Range<u64>,
    checksum: Option<Checksum>,
    /// Failures since the last progress, and the bytes received since the last failure.
    failures: u32,
    progress: u64,
}

impl S3Body {
    /// The bytes of `range` from `response`, the first response about the object `key`.
    ///
    /// # Errors
    /// The range is outside the object, or the response has other bytes.
    pub(super) fn new(
        reader: Arc<S3Reader>,
        key: &ObjectKey,
        meta: &ObjectMeta,
        response: Response<Incoming>,
        range: Option<ByteRange>,
    ) -> Result<Self, StoreError> {
        let (head, incoming) = response.into_parts();
        let bytes = meta.bytes;
        let missing = match range {
            Some(range) => range.resolve(bytes).ok_or(StoreError::RangeNotSatisfiable { bytes })?,
            None => 0..bytes,
        };
        let sent = sent_range(&head.headers, range, bytes)?;
        // The checksum covers the whole object.
        let is_whole = sent == missing && missing == (0..bytes);
        let version = Version {
            key: key.clone(),
            etag: meta.etag.clone(),
            object_bytes: bytes,
            if_match: strong_etag(&head.headers),
        };
        Ok(Self {
            reader,
            version,
            incoming,
            skip: missing.start - sent.start,
            missing,
            checksum: if is_whole { Checksum::from_headers(&head.headers) } else { None },
            failures: 0,
            progress: 0,
        })
    }

    /// The stream of the missing bytes.
    pub(super) fn into_body(self) -> Body {
        let promised = self.missing.end - self.missing.start;
        Body::new(self.into_chunks(), promised)
    }

    fn into_chunks(self) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
        stream::try_unfold(self, |mut body| async move {
            let chunk = with_timeout(body.reader.operation_timeout, body.next()).await??;
            Ok(chunk.map(|chunk| (chunk, body)))
        })
    }

    /// The next chunk; `None` after the last byte.
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            if self.missing.is_empty() {
                return self.finish().await.map(|()| None);
            }
            match self.receive().await {
                Ok(Some(chunk)) => return Ok(Some(chunk)),
                Ok(None) => {
                    let promised = self.version.object_bytes;
                    self.resume(StoreError::Truncated { received: self.missing.start, promised }).await?;
                }
                Err(error) => self.resume(error).await?,
            }
        }
    }

    /// The next missing bytes of the current response; `None` at its end.
    async fn receive(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            let frame = with_timeout(self.reader.attempt_timeout, self.incoming.frame()).await?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| StoreError::Unavailable { source: error.into() })?;
            // Trailers are ignored.
            let Ok(mut chunk) = frame.into_data() else { continue };
            let skipped = self.skip.min(chunk.len() as u64);
            self.skip -= skipped;
            chunk.advance(usize::try_from(skipped).unwrap_or_default());
            chunk.truncate(usize::try_from(self.missing.end - self.missing.start).unwrap_or(usize::MAX));
            if chunk.is_empty() {
                continue;
            }
            self.missing.start += chunk.len() as u64;
            self.progress += chunk.len() as u64;
            if let Some(checksum) = &mut self.checksum {
                checksum.update(&chunk);
            }
            return Ok(Some(chunk));
        }
    }

    /// Verifies the checksum. The end of the response is awaited briefly, so that its connection can be used again.
    async fn finish(&mut self) -> Result<(), StoreError> {
        let _ = with_timeout(END_TIMEOUT, self.incoming.frame()).await;
        self.checksum.take().map_or(Ok(()), Checksum::verify)
    }

    /// Requests the missing bytes after `failure`.
    ///
    /// # Errors
    /// `failure`, if there are no attempts left. [`StoreError::Replaced`] if the object has changed or was deleted.
    async fn resume(&mut self, failure: StoreError) -> Result<(), StoreError> {
        let is_new = std::mem::take(&mut self.progress) >= PROGRESS_BYTES_MIN;
        self.failures = if is_new { 1 } else { self.failures + 1 };
        let Some(pause) = self.reader.retry_policy.pause(self.failures, None) else { return Err(failure) };
        let Version { key, etag, object_bytes: bytes, if_match } = &self.version;
        tracing::info!(%key, received = self.missing.start, error = %failure, "read of S3 broke off; continuing it");
        tokio::time::sleep(pause).await;
        let range = match self.missing.end {
            end if end == *bytes => ByteRange::From { first: self.missing.start },
            end => ByteRange::FromTo { first: self.missing.start, last: end - 1 },
        };
        let request = ReadRequest { method: &Method::GET, key, range: Some(range), if_match: if_match.as_deref() };
        let response = match self.reader.send_with_retries(request).await {
            Ok(None) | Err(StoreError::RangeNotSatisfiable { .. }) => return Err(StoreError::Replaced),
            response => response?,
        };
        let Some(response) = response else { return Err(StoreError::Replaced) };
        // The server of a body of unknown length does not send its length with a continuation either.
        let sent_bytes = object_bytes(response.headers()).unwrap_or(*bytes);
        if sent_bytes != *bytes || object::meta(response.headers(), *bytes)?.etag != *etag {
            return Err(StoreError::Replaced);
        }
        let sent = sent_range(response.headers(), Some(range), *bytes)?;
        self.skip = self.missing.start - sent.start;
        self.incoming = response.into_body();
        Ok(())
    }
}

/// The ETag as the store sent it, if it is strong: a weak one never matches (RFC 9110 section 13.1.1).
fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(http::header::ETAG)?.to_str().ok()?;
    object::normalized_etag(etag).filter(|_| !etag.starts_with("W/")).map(|_| etag.to_owned())
}
