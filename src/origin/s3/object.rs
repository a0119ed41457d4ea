//! Reads the headers of S3's responses to GET and HEAD.
//!
//! Only the length of the object, and an ETag or a `Last-Modified`, are required. All other headers are used if they
//! are valid and ignored otherwise, because S3-compatible servers, proxies and clients that write metadata differ.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName};

use crate::origin::error::StoreError;
use crate::origin::object::{ByteRange, ObjectMeta};

const METADATA_PREFIX: &str = "x-amz-meta-";

/// Limit of the metadata of one object, and of one entry. S3 allows 2 KB (Amazon S3 User Guide, "Working with object
/// metadata"). Entries that exceed the limits are ignored.
const METADATA_BYTES_MAX: usize = 8 << 10;
const ENTRY_BYTES_MAX: usize = 2 << 10;

/// Length of the whole object; `None` if the response does not have it.
pub(super) fn object_bytes(headers: &HeaderMap) -> Option<u64> {
    match headers.get(CONTENT_RANGE) {
        Some(_) => content_range(headers).map(|(_, whole)| whole),
        None => text(headers, &CONTENT_LENGTH)?.parse().ok(),
    }
}

/// Reads the metadata of an object of `bytes` bytes.
pub(super) fn meta(headers: &HeaderMap, bytes: u64) -> Result<ObjectMeta, StoreError> {
    let modified = text(headers, &LAST_MODIFIED).and_then(|date| httpdate::parse_http_date(date).ok());
    let etag = text(headers, &ETAG).and_then(normalized_etag);
    let etag = etag.or_else(|| modified.map(|modified| etag_of(modified, bytes)));
    Ok(ObjectMeta {
        bytes,
        etag: etag.ok_or_else(|| invalid("neither a valid ETag nor a valid Last-Modified"))?,
        // An object of unknown age counts as modified now, so that If-Modified-Since never hides a change.
        last_modified: modified.unwrap_or_else(SystemTime::now),
        content_type: text(headers, &CONTENT_TYPE).map(Into::into),
        content_encoding: content_encoding(headers),
        metadata: metadata(headers),
    })
}

/// The bytes of the object that a response has, of which `range` was requested.
///
/// # Errors
/// The response has other bytes, or the range is outside the object.
pub(super) fn sent_range(
    headers: &HeaderMap,
    range: Option<ByteRange>,
    object_bytes: u64,
) -> Result<Range<u64>, StoreError> {
    // Some servers ignore the range and send the whole object.
    if !headers.contains_key(CONTENT_RANGE) {
        return Ok(0..object_bytes);
    }
    let (sent, _) = content_range(headers).ok_or_else(|| invalid("an invalid Content-Range"))?;
    let wanted = range.and_then(|range| range.resolve(object_bytes)).unwrap_or(0..object_bytes);
    // A range that ends early is continued by another request.
    if sent.start != wanted.start || sent.end > wanted.end {
        return Err(invalid("a Content-Range that was not requested"));
    }
    Ok(sent)
}

/// A strong ETag with quotes. Servers that compress or forward objects weaken the ETag, or omit its quotes; the bytes
/// are the same. `None` if the text cannot be an ETag (RFC 9110 section 8.8.3).
pub(super) fn normalized_etag(etag: &str) -> Option<Box<str>> {
    let etag = etag.trim();
    let etag = etag.strip_prefix("W/").unwrap_or(etag);
    let opaque = etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag);
    let is_valid = !opaque.is_empty() && opaque.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    is_valid.then(|| format!("\"{opaque}\"").into())
}

/// The ETag of an object whose server sends none.
fn etag_of(modified: SystemTime, bytes: u64) -> Box<str> {
    let modified = modified.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    format!("\"{:x}-{bytes:x}\"", modified.as_secs()).into()
}

/// The content codings that were applied to the object. `aws-chunked` is a coding of the upload that some servers store.
fn content_encoding(headers: &HeaderMap) -> Option<Box<str>> {
    let values = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings = values.flat_map(|value| value.split(',')).map(|coding| coding.trim().to_ascii_lowercase());
    let codings: Vec<_> =
        codings.filter(|coding| !matches!(coding.as_str(), "" | "identity" | "aws-chunked")).collect();
    (!codings.is_empty()).then(|| codings.join(", ").into())
}

fn metadata(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut left = METADATA_BYTES_MAX;
    let entries = headers.iter().filter_map(|(name, value)| {
        let (name, value) = (name.as_str().strip_prefix(METADATA_PREFIX)?, std::str::from_utf8(value.as_bytes()).ok()?);
        let bytes = name.len() + value.len();
        left = left.checked_sub(bytes).filter(|_| bytes <= ENTRY_BYTES_MAX)?;
        Some((name.to_owned(), value.to_owned()))
    });
    entries.collect()
}

/// The sent bytes and the length of the whole object: "bytes 0-63/4711" (RFC 9110 section 14.4).
fn content_range(headers: &HeaderMap) -> Option<(Range<u64>, u64)> {
    let (range, whole) = text(headers, &CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, whole) = (first.parse().ok()?, last.parse::<u64>().ok()?, whole.parse().ok()?);
    (first <= last && last < whole).then_some((first..last + 1, whole))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(super) fn invalid(problem: &str) -> StoreError {
    StoreError::Other { source: format!("the response of S3 has {problem}").into() }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let value = |value: &str| HeaderValue::from_bytes(value.as_bytes()).unwrap();
        lines.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
    }

    const MODIFIED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");

    #[test]
    fn an_etag_is_strong_and_quoted() {
        let table = [
            ("\"abc-2\"", Some("\"abc-2\"")),
            ("abc-2", Some("\"abc-2\"")),
            ("W/\"abc\"", Some("\"abc\"")),
            ("\"\"", None),
            ("", None),
            ("\"a\"b\"", None),
            ("a b", None),
        ];
        for (etag, expected) in table {
            assert_eq!(normalized_etag(etag).as_deref(), expected, "{etag}");
        }
    }

    #[test]
    fn invalid_headers_that_are_not_needed_are_ignored() {
        let found = meta(&headers(&[MODIFIED, ("etag", "\"\""), ("x-amz-storage-class", "\u{1f409}")]), 9).unwrap();
        assert_eq!(&*found.etag, "\"2ebc98a1-9\"", "the ETag is made from time and length");
        let found = meta(&headers(&[("etag", "e"), ("last-modified", "yesterday")]), 9).unwrap();
        assert_eq!(&*found.etag, "\"e\"");
        assert!(found.last_modified.elapsed().unwrap_or_default() < Duration::from_secs(60));
        assert!(meta(&headers(&[("last-modified", "yesterday")]), 9).is_err());
    }

    #[test]
    fn metadata_is_utf8_and_bounded() {
        let mut sent = headers(&[MODIFIED, ("x-amz-meta-a", "ä"), ("x-amz-meta-b", &"b".repeat(5000))]);
        sent.insert("x-amz-meta-latin", HeaderValue::from_bytes(b"\xe4").unwrap());
        assert_eq!(meta(&sent, 9).unwrap().metadata, [("a".to_owned(), "ä".to_owned())]);
        let many: HeaderMap = (0..100)
            .map(|n| (format!("x-amz-meta-{n}").parse().unwrap(), HeaderValue::try_from("x".repeat(1000)).unwrap()))
            .collect();
        assert_eq!(metadata(&many).len(), 8);
    }

    #[test]
    fn codings_of_the_object_are_named() {
        let table = [
            ("identity", None),
            ("aws-chunked", None),
            ("aws-chunked, GZIP", Some("gzip")),
            ("gzip,br", Some("gzip, br")),
        ];
        for (sent, expected) in table {
            assert_eq!(content_encoding(&headers(&[("content-encoding", sent)])).as_deref(), expected, "{sent}");
        }
    }

    #[test]
    fn a_range_must_be_the_requested_one() {
        let range = Some(ByteRange::FromTo { first: 2, last: 5 });
        let table = [
            ("bytes 2-5/10", range, Some(2..6)),
            ("bytes 2-3/10", range, Some(2..4)),
            ("bytes 0-9/10", None, Some(0..10)),
            ("bytes 7-9/10", Some(ByteRange::Suffix { bytes: 3 }), Some(7..10)),
            ("bytes 1-5/10", range, None),
            ("bytes 2-6/10", range, None),
            ("bytes 5-2/10", range, None),
            ("bytes 2-5/*", range, None),
            ("bytes 2-5/4", range, None),
            ("octets 2-5/10", range, None),
            ("bytes 3-9/10", None, None),
        ];
        for (sent, range, expected) in table {
            assert_eq!(sent_range(&headers(&[("content-range", sent)]), range, 10).ok(), expected, "{sent}");
        }
        assert_eq!(sent_range(&headers(&[]), range, 10).unwrap(), 0..10, "the server ignores ranges");
    }
}
