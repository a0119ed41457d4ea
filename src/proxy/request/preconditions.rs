//! Evaluates preconditions and ranges, which select the bytes of a representation that a response sends.

use std::ops::RangeInclusive;

use headers::{HeaderMapExt, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince, LastModified};
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method};

use crate::proxy::error::RequestError;
use crate::variants::Validators;

/// The part of a representation that the response sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::proxy) enum BodySelection {
    /// The full body: 200.
    Full,
    /// These bytes: 206.
    Range(RangeInclusive<u64>),
    /// No body, because the client's copy is current: 304.
    NotModified,
}

/// Evaluates the preconditions of the request in the order of RFC 9110 section 13.2.2, then its range for a
/// representation of `bytes` bytes.
///
/// # Errors
/// [`RequestError::PreconditionFailed`] (412) and [`RequestError::RangeNotSatisfiable`] (416).
pub(in crate::proxy) fn evaluate(
    method: &Method,
    request: &HeaderMap,
    validators: &Validators,
    bytes: u64,
) -> Result<BodySelection, RequestError> {
    if let Some(if_match) = request.typed_get::<IfMatch>() {
        if !if_match.precondition_passes(&validators.etag) {
            return Err(RequestError::PreconditionFailed);
        }
    } else if let Some(since) = request.typed_get::<IfUnmodifiedSince>()
        && !since.precondition_passes(validators.last_modified)
    {
        return Err(RequestError::PreconditionFailed);
    }
    if request.contains_key(IF_NONE_MATCH) {
        if request.typed_get::<IfNoneMatch>().is_some_and(|tags| !tags.precondition_passes(&validators.etag)) {
            return Ok(BodySelection::NotModified);
        }
    } else if request.contains_key(IF_MODIFIED_SINCE)
        && request.typed_get::<IfModifiedSince>().is_some_and(|since| !since.is_modified(validators.last_modified))
    {
        return Ok(BodySelection::NotModified);
    }
    if *method == Method::GET && request.contains_key(RANGE) && range_applies(request, validators) {
        return range(request, bytes);
    }
    Ok(BodySelection::Full)
}

/// True unless `If-Range` names another version (RFC 9110 section 13.1.5).
fn range_applies(request: &HeaderMap, validators: &Validators) -> bool {
    if !request.contains_key(IF_RANGE) {
        return true;
    }
    let last_modified = LastModified::from(validators.last_modified);
    request
        .typed_get::<IfRange>()
        .is_some_and(|if_range| !if_range.is_modified(Some(&validators.etag), Some(&last_modified)))
}

/// Selects a single range (RFC 9110 section 14.1.2). Several ranges or an invalid `Range` select the full body, as
/// section 14.2 allows.
fn range(request: &HeaderMap, bytes: u64) -> Result<BodySelection, RequestError> {
    let Some((first, last)) = request.get(RANGE).and_then(|value| single_range(value.to_str().ok()?)) else {
        return Ok(BodySelection::Full);
    };
    let end = bytes.saturating_sub(1);
    let range = match (first, last) {
        (Some(first), last) => first..=last.unwrap_or(end).min(end),
        (None, Some(0)) | (None, None) => return Err(RequestError::RangeNotSatisfiable { bytes }),
        (None, Some(suffix)) => bytes.saturating_sub(suffix)..=end,
    };
    if range.is_empty() || *range.start() >= bytes {
        return Err(RequestError::RangeNotSatisfiable { bytes });
    }
    Ok(BodySelection::Range(range))
}

/// Parses `bytes=first-`, `bytes=first-last` or `bytes=-suffix`.
fn single_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = value.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    let number = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    let (first, last): (Option<u64>, Option<u64>) = (number(first)?, number(last)?);
    let in_order = first.zip(last).is_none_or(|(first, last)| first <= last);
    (unit.trim().eq_ignore_ascii_case("bytes") && (first.is_some() || last.is_some()) && in_order)
        .then_some((first, last))
}

/// `Content-Range` of a 206 (RFC 9110 section 14.4).
pub(in crate::proxy) fn content_range(range: &RangeInclusive<u64>, bytes: u64) -> HeaderValue {
    header(&format!("bytes {}-{}/{bytes}", range.start(), range.end()))
}

/// `Content-Range` of a 416.
pub(in crate::proxy) fn unsatisfied_range(bytes: u64) -> HeaderValue {
    header(&format!("bytes */{bytes}"))
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("bytes */*"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn select(request: &[(&'static str, &str)]) -> Result<BodySelection, RequestError> {
        let etag = "\"cat\"".parse().unwrap();
        let last_modified = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let mut headers = HeaderMap::new();
        for (name, value) in request {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        evaluate(&Method::GET, &headers, &Validators { etag, last_modified }, 1000)
    }

    #[test]
    fn preconditions_are_evaluated_in_the_order_of_rfc_9110() {
        let failed = Err(RequestError::PreconditionFailed);
        let table = [
            (vec![], Ok(BodySelection::Full)),
            (vec![("if-none-match", "\"cat\"")], Ok(BodySelection::NotModified)),
            (vec![("if-none-match", "W/\"cat\"")], Ok(BodySelection::NotModified)),
            (vec![("if-none-match", "\"dog\", \"cat\"")], Ok(BodySelection::NotModified)),
            (vec![("if-none-match", "*")], Ok(BodySelection::NotModified)),
            (vec![("if-none-match", "\"dog\"")], Ok(BodySelection::Full)),
            (vec![("if-modified-since", MODIFIED)], Ok(BodySelection::NotModified)),
            (vec![("if-modified-since", AFTER)], Ok(BodySelection::NotModified)),
            (vec![("if-modified-since", BEFORE)], Ok(BodySelection::Full)),
            (vec![("if-modified-since", "yesterday")], Ok(BodySelection::Full)),
            // If-None-Match takes precedence over the date.
            (vec![("if-none-match", "\"dog\""), ("if-modified-since", AFTER)], Ok(BodySelection::Full)),
            (vec![("if-match", "\"cat\"")], Ok(BodySelection::Full)),
            (vec![("if-match", "*")], Ok(BodySelection::Full)),
            (vec![("if-match", "\"dog\"")], failed.clone()),
            // If-Match uses the strong comparison.
            (vec![("if-match", "W/\"cat\"")], failed.clone()),
            (vec![("if-unmodified-since", BEFORE)], failed.clone()),
            (vec![("if-unmodified-since", MODIFIED)], Ok(BodySelection::Full)),
            (vec![("if-match", "\"cat\""), ("if-unmodified-since", BEFORE)], Ok(BodySelection::Full)),
            (vec![("if-match", "\"dog\""), ("if-none-match", "\"cat\"")], failed),
            (vec![("if-match", "\"cat\""), ("if-none-match", "\"cat\"")], Ok(BodySelection::NotModified)),
        ];
        for (request, expected) in table {
            assert_eq!(select(&request), expected, "{request:?}");
        }
    }

    #[test]
    fn a_single_range_selects_its_bytes_and_an_invalid_one_the_full_body() {
        let outside = Err(RequestError::RangeNotSatisfiable { bytes: 1000 });
        let table = [
            ("bytes=0-0", Ok(BodySelection::Range(0..=0))),
            ("bytes=10-19", Ok(BodySelection::Range(10..=19))),
            ("bytes=990-", Ok(BodySelection::Range(990..=999))),
            ("bytes=990-5000", Ok(BodySelection::Range(990..=999))),
            ("bytes=-10", Ok(BodySelection::Range(990..=999))),
            ("bytes=-5000", Ok(BodySelection::Range(0..=999))),
            ("bytes=1000-", outside.clone()),
            ("bytes=5000-6000", outside.clone()),
            ("bytes=-0", outside),
            ("bytes=0-1,5-6", Ok(BodySelection::Full)),
            ("pages=1-2", Ok(BodySelection::Full)),
            ("bytes=a-b", Ok(BodySelection::Full)),
            ("bytes=5-2", Ok(BodySelection::Full)),
            ("bytes=-", Ok(BodySelection::Full)),
            ("bytes=99999999999999999999-", Ok(BodySelection::Full)),
        ];
        for (range, expected) in table {
            assert_eq!(select(&[("range", range)]), expected, "{range}");
        }
    }

    #[test]
    fn if_range_ignores_the_range_of_another_version() {
        let range = Ok(BodySelection::Range(0..=9));
        assert_eq!(select(&[("range", "bytes=0-9"), ("if-range", "\"cat\"")]), range);
        assert_eq!(select(&[("range", "bytes=0-9"), ("if-range", MODIFIED)]), range);
        assert_eq!(select(&[("range", "bytes=0-9"), ("if-range", "\"dog\"")]), Ok(BodySelection::Full));
        assert_eq!(select(&[("range", "bytes=0-9"), ("if-range", "W/\"cat\"")]), Ok(BodySelection::Full));
        assert_eq!(select(&[("range", "bytes=0-9"), ("if-range", BEFORE)]), Ok(BodySelection::Full));
    }
}
