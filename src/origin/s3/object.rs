//! Converts S3's responses to GET and HEAD into objects.

use std::time::Duration;

use aws_smithy_checksums::ChecksumAlgorithm;
use aws_smithy_checksums::http::{CHECKSUM_ALGORITHMS_IN_PRIORITY_ORDER, HttpChecksum};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, future, stream};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, Response};
use http_body_util::BodyExt;

use crate::origin::body::{Body, Object};
use crate::origin::error::StoreError;
use crate::origin::object::{ByteRange, ObjectMeta};
use crate::origin::timeout::with_timeout;
use crate::support::https::Incoming;

const METADATA_PREFIX: &str = "x-amz-meta-";

/// Reads the metadata of an object from the headers of a response.
pub(super) fn meta(headers: &HeaderMap) -> Result<ObjectMeta, StoreError> {
    // Content-Range has the length of the whole object: "bytes 0-63/4711" (RFC 9110 section 14.4).
    let whole = text(headers, &CONTENT_RANGE).and_then(|range| range.rsplit('/').next()?.parse().ok());
    let modified = text(headers, &LAST_MODIFIED).ok_or_else(|| invalid("no Last-Modified"))?;
    let metadata =
        headers.iter().filter_map(|(name, value)| Some((name.as_str().strip_prefix(METADATA_PREFIX)?, value)));
    let utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
    let metadata = metadata.map(|(name, value)| Ok((name.to_owned(), utf8(value.as_bytes())?)));
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
    // Some servers ignore the range and send the whole object; the bytes outside the range are dropped here.
    let (first, promised) = match range {
        Some(range) if !head.headers.contains_key(CONTENT_RANGE) => {
            let range = range.resolve(sent).ok_or(StoreError::RangeNotSatisfiable { bytes: sent })?;
            (range.start, range.end - range.start)
        }
        Some(_) | None => (0, sent),
    };
    let chunks = chunks(body, Checksum::from_headers(&head.headers), read_timeout);
    let body = if first == 0 { Body::new(chunks, promised) } else { Body::new(skip(first, chunks), promised) };
    Ok(Object { meta, body })
}

/// The checksum in a response, and the checksum of the bytes received so far.
struct Checksum {
    received: Box<dyn HttpChecksum>,
    expected: Vec<u8>,
}

impl Checksum {
    /// The fastest checksum in the headers. The checksum of a multipart upload covers the checksums of its parts and
    /// cannot be verified; it ends with the number of parts, so it is not valid Base64 and is ignored here.
    fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let algorithms = CHECKSUM_ALGORITHMS_IN_PRIORITY_ORDER.into_iter();
        algorithms.filter_map(|name| name.parse::<ChecksumAlgorithm>().ok()).find_map(|algorithm| {
            let received = algorithm.into_impl();
            let expected = STANDARD.decode(headers.get(received.header_name())?).ok()?;
            Some(Self { received, expected })
        })
    }

    /// # Errors
    /// The received bytes have another checksum.
    fn verify(self) -> Result<(), StoreError> {
        let algorithm = self.received.header_name();
        if self.received.finalize() == self.expected {
            return Ok(());
        }
        Err(StoreError::Unavailable { source: format!("the received bytes do not match {algorithm}").into() })
    }
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
                checksum.received.update(&chunk);
            }
            return Ok(Some((chunk, (body, checksum))));
        }
    })
}

/// Drops the first bytes of a stream.
fn skip(
    first: u64,
    chunks: impl Stream<Item = Result<Bytes, StoreError>> + Send,
) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
    let mut before = first;
    chunks.filter_map(move |chunk| {
        let kept = chunk.map(|mut chunk| {
            let passed = before.min(chunk.len() as u64);
            before -= passed;
            bytes::Buf::advance(&mut chunk, usize::try_from(passed).unwrap_or_default());
            chunk
        });
        future::ready(Some(kept).filter(|kept| kept.as_ref().map_or(true, |chunk| !chunk.is_empty())))
    })
}

fn content_length(headers: &HeaderMap) -> Result<u64, StoreError> {
    let length = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    length.ok_or_else(|| invalid("no Content-Length"))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn invalid(problem: &str) -> StoreError {
    StoreError::Other { source: format!("the response of S3 has {problem}").into() }
}
