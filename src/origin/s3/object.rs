//! Objects as S3's responses to GET and HEAD describe them.

use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, future, stream};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, Response};
use http_body_util::BodyExt;

use super::checksum::Checksum;
use super::request::METADATA_PREFIX;
use crate::origin::body::{Body, Object};
use crate::origin::error::StoreError;
use crate::origin::object::{ByteRange, ObjectMeta};
use crate::origin::timeout::with_timeout;
use crate::support::https::Incoming;

/// The object that a response's header describes.
pub(super) fn meta(headers: &HeaderMap) -> Result<ObjectMeta, StoreError> {
    // Content-Range has the length of the whole object: "bytes 0-63/4711" (RFC 9110 section 14.4).
    let whole = text(headers, &CONTENT_RANGE).and_then(|range| range.rsplit('/').next()?.parse().ok());
    let modified = text(headers, &LAST_MODIFIED).ok_or_else(|| invalid("no Last-Modified"))?;
    let metadata = headers.iter();
    let metadata = metadata.filter_map(|(name, value)| Some((name.as_str().strip_prefix(METADATA_PREFIX)?, value)));
    let metadata = metadata.map(|(name, value)| Ok((name.to_owned(), str::from_utf8(value.as_bytes())?.to_owned())));
    Ok(ObjectMeta {
        bytes: whole.map_or_else(|| content_length(headers), Ok)?,
        etag: text(headers, &ETAG).ok_or_else(|| invalid("no ETag"))?.into(),
        last_modified: httpdate::parse_http_date(modified).map_err(|_| invalid("an invalid Last-Modified"))?,
        content_type: text(headers, &CONTENT_TYPE).map(Into::into),
        metadata: metadata
            .collect::<Result<_, std::str::Utf8Error>>()
            .map_err(|_| invalid("metadata that is not UTF-8"))?,
    })
}

/// The object in `response`, or the requested range of it.
pub(super) fn object(
    response: Response<Incoming>,
    range: Option<ByteRange>,
    read_timeout: Duration,
) -> Result<Object, StoreError> {
    let (head, body) = response.into_parts();
    let (meta, sent) = (meta(&head.headers)?, content_length(&head.headers)?);
    let chunks = chunks(body, Checksum::from_headers(&head.headers), read_timeout);
    let body = match range {
        // Some servers ignore the range and send the whole object; the bytes outside the range are dropped here.
        Some(range) if !head.headers.contains_key(CONTENT_RANGE) => {
            let range = range.resolve(sent).ok_or(StoreError::RangeNotSatisfiable { bytes: sent })?;
            Body::new(skip(range.start, chunks), range.end - range.start)
        }
        Some(_) | None => Body::new(chunks, sent),
    };
    Ok(Object { meta, body })
}

/// The chunks of a body, each within `read_timeout`, followed by an error if the checksum does not match.
fn chunks(
    body: Incoming,
    checksum: Option<Checksum>,
    read_timeout: Duration,
) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
    stream::try_unfold((body, checksum), move |(mut body, mut checksum)| async move {
        loop {
            let Some(frame) = with_timeout(read_timeout, body.frame()).await? else {
                return checksum.map_or(Ok(()), Checksum::verify).map(|()| None);
            };
            let frame = frame.map_err(|error| StoreError::Unavailable { source: error.into() })?;
            // Trailers are ignored.
            let Ok(chunk) = frame.into_data() else { continue };
            if let Some(checksum) = &mut checksum {
                checksum.update(&chunk);
            }
            return Ok(Some((chunk, (body, checksum))));
        }
    })
}

/// The chunks without their first `bytes`.
fn skip(
    bytes: u64,
    chunks: impl Stream<Item = Result<Bytes, StoreError>> + Send,
) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
    let mut left = bytes;
    chunks.filter_map(move |chunk| {
        let rest = chunk.map(|mut chunk| {
            let skipped = left.min(chunk.len() as u64);
            left -= skipped;
            chunk.advance(usize::try_from(skipped).unwrap_or_default());
            chunk
        });
        future::ready(Some(rest).filter(|rest| rest.as_ref().map_or(true, |chunk| !chunk.is_empty())))
    })
}

fn content_length(headers: &HeaderMap) -> Result<u64, StoreError> {
    let length = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    length.ok_or_else(|| invalid("no Content-Length"))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn invalid(defect: &str) -> StoreError {
    StoreError::other(format!("the response of S3 has {defect}"))
}
