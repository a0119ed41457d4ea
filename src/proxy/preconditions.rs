//! Which part of a picture a request wants, if any: preconditions and ranges, decided before any work.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use headers::{HeaderMapExt, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince, LastModified};
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method};

use super::error::Failure;

/// What tells one state of a picture from another (RFC 9110 section 8.8).
#[derive(Debug, Clone)]
pub(crate) struct Validators {
    pub(crate) etag: headers::ETag,
    pub(crate) last_modified: SystemTime,
}

/// What of the picture to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: 200.
    Whole,
    /// These bytes: 206.
    Part(RangeInclusive<u64>),
    /// Nothing, the client has it: 304.
    NotModified,
}

/// Evaluates the request's preconditions in the order of RFC 9110 section 13.2.2, then its range against `bytes`.
///
/// # Errors
/// [`Failure::PreconditionFailed`] (412) and [`Failure::RangeNotSatisfiable`] (416).
pub(crate) fn wanted(
    method: &Method,
    request: &HeaderMap,
    validators: &Validators,
    bytes: u64,
) -> Result<Wanted, Failure> {
    if let Some(if_match) = request.typed_get::<IfMatch>() {
        if !if_match.precondition_passes(&validators.etag) {
            return Err(Failure::PreconditionFailed);
        }
    } else if let Some(since) = request.typed_get::<IfUnmodifiedSince>()
        && !since.precondition_passes(validators.last_modified)
    {
        return Err(Failure::PreconditionFailed);
    }
    if request.contains_key(IF_NONE_MATCH) {
        if request.typed_get::<IfNoneMatch>().is_some_and(|tags| !tags.precondition_passes(&validators.etag)) {
            return Ok(Wanted::NotModified);
        }
    } else if request.contains_key(IF_MODIFIED_SINCE)
        && request.typed_get::<IfModifiedSince>().is_some_and(|since| !since.is_modified(validators.last_modified))
    {
        return Ok(Wanted::NotModified);
    }
    if *method == Method::GET && request.contains_key(RANGE) && range_applies(request, validators) {
        return part(request, bytes);
    }
    Ok(Wanted::Whole)
}

/// Whether `If-Range` lets the range stand (RFC 9110 section 13.1.5).
fn range_applies(request: &HeaderMap, validators: &Validators) -> bool {
    if !request.contains_key(IF_RANGE) {
        return true;
    }
    let last_modified = LastModified::from(validators.last_modified);
    request
        .typed_get::<IfRange>()
        .is_some_and(|if_range| !if_range.is_modified(Some(&validators.etag), Some(&last_modified)))
}

/// One range is answered (RFC 9110 section 14.1.2); several, or what is not understood, are answered with the whole, as
/// section 14.2 allows.
fn part(request: &HeaderMap, bytes: u64) -> Result<Wanted, Failure> {
    let Some((first, last)) = request.get(RANGE).and_then(|value| single_range(value.to_str().ok()?)) else {
        return Ok(Wanted::Whole);
    };
    let end = bytes.saturating_sub(1);
    let part = match (first, last) {
        (Some(first), last) => first..=last.unwrap_or(end).min(end),
        (None, Some(0)) | (None, None) => return Err(Failure::RangeNotSatisfiable { bytes }),
        (None, Some(suffix)) => bytes.saturating_sub(suffix)..=end,
    };
    if part.is_empty() || *part.start() >= bytes {
        return Err(Failure::RangeNotSatisfiable { bytes });
    }
    Ok(Wanted::Part(part))
}

/// `bytes=first-`, `bytes=first-last` or `bytes=-suffix`.
fn single_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = value.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    let number = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    let (first, last): (Option<u64>, Option<u64>) = (number(first)?, number(last)?);
    let in_order = first.zip(last).is_none_or(|(first, last)| first <= last);
    (unit.trim().eq_ignore_ascii_case("bytes") && (first.is_some() || last.is_some()) && in_order)
        .then_some((first, last))
}

/// `Content-Range` of a part (RFC 9110 section 14.4).
pub(crate) fn content_range(part: &RangeInclusive<u64>, bytes: u64) -> HeaderValue {
    header(&format!("bytes {}-{}/{bytes}", part.start(), part.end()))
}

/// `Content-Range` of a 416.
pub(crate) fn unsatisfied_range(bytes: u64) -> HeaderValue {
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

    fn ask(request: &[(&'static str, &str)]) -> Result<Wanted, Failure> {
        let etag = "\"cat\"".parse().unwrap();
        let last_modified = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let mut headers = HeaderMap::new();
        for (name, value) in request {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        wanted(&Method::GET, &headers, &Validators { etag, last_modified }, 1000)
    }

    #[test]
    fn preconditions_are_evaluated_in_the_order_of_rfc_9110() {
        let failed = Err(Failure::PreconditionFailed);
        let table = [
            (vec![], Ok(Wanted::Whole)),
            (vec![("if-none-match", "\"cat\"")], Ok(Wanted::NotModified)),
            (vec![("if-none-match", "W/\"cat\"")], Ok(Wanted::NotModified)),
            (vec![("if-none-match", "\"dog\", \"cat\"")], Ok(Wanted::NotModified)),
            (vec![("if-none-match", "*")], Ok(Wanted::NotModified)),
            (vec![("if-none-match", "\"dog\"")], Ok(Wanted::Whole)),
            (vec![("if-modified-since", MODIFIED)], Ok(Wanted::NotModified)),
            (vec![("if-modified-since", AFTER)], Ok(Wanted::NotModified)),
            (vec![("if-modified-since", BEFORE)], Ok(Wanted::Whole)),
            (vec![("if-modified-since", "yesterday")], Ok(Wanted::Whole)),
            // If-None-Match is exact, so the date is not looked at.
            (vec![("if-none-match", "\"dog\""), ("if-modified-since", AFTER)], Ok(Wanted::Whole)),
            (vec![("if-match", "\"cat\"")], Ok(Wanted::Whole)),
            (vec![("if-match", "*")], Ok(Wanted::Whole)),
            (vec![("if-match", "\"dog\"")], failed.clone()),
            // If-Match compares strongly.
            (vec![("if-match", "W/\"cat\"")], failed.clone()),
            (vec![("if-unmodified-since", BEFORE)], failed.clone()),
            (vec![("if-unmodified-since", MODIFIED)], Ok(Wanted::Whole)),
            (vec![("if-match", "\"cat\""), ("if-unmodified-since", BEFORE)], Ok(Wanted::Whole)),
            (vec![("if-match", "\"dog\""), ("if-none-match", "\"cat\"")], failed),
            (vec![("if-match", "\"cat\""), ("if-none-match", "\"cat\"")], Ok(Wanted::NotModified)),
        ];
        for (request, expected) in table {
            assert_eq!(ask(&request), expected, "{request:?}");
        }
    }

    #[test]
    fn one_range_is_a_part_and_what_is_no_range_is_the_whole() {
        let outside = Err(Failure::RangeNotSatisfiable { bytes: 1000 });
        let table = [
            ("bytes=0-0", Ok(Wanted::Part(0..=0))),
            ("bytes=10-19", Ok(Wanted::Part(10..=19))),
            ("bytes=990-", Ok(Wanted::Part(990..=999))),
            ("bytes=990-5000", Ok(Wanted::Part(990..=999))),
            ("bytes=-10", Ok(Wanted::Part(990..=999))),
            ("bytes=-5000", Ok(Wanted::Part(0..=999))),
            ("bytes=1000-", outside.clone()),
            ("bytes=5000-6000", outside.clone()),
            ("bytes=-0", outside),
            ("bytes=0-1,5-6", Ok(Wanted::Whole)),
            ("pages=1-2", Ok(Wanted::Whole)),
            ("bytes=a-b", Ok(Wanted::Whole)),
            ("bytes=5-2", Ok(Wanted::Whole)),
            ("bytes=-", Ok(Wanted::Whole)),
            ("bytes=99999999999999999999-", Ok(Wanted::Whole)),
        ];
        for (range, expected) in table {
            assert_eq!(ask(&[("range", range)]), expected, "{range}");
        }
    }

    #[test]
    fn if_range_keeps_a_range_from_mixing_two_pictures() {
        let part = Ok(Wanted::Part(0..=9));
        assert_eq!(ask(&[("range", "bytes=0-9"), ("if-range", "\"cat\"")]), part);
        assert_eq!(ask(&[("range", "bytes=0-9"), ("if-range", MODIFIED)]), part);
        assert_eq!(ask(&[("range", "bytes=0-9"), ("if-range", "\"dog\"")]), Ok(Wanted::Whole));
        assert_eq!(ask(&[("range", "bytes=0-9"), ("if-range", "W/\"cat\"")]), Ok(Wanted::Whole));
        assert_eq!(ask(&[("range", "bytes=0-9"), ("if-range", BEFORE)]), Ok(Wanted::Whole));
    }
}
