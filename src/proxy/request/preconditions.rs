//! Evaluates preconditions and ranges, which select the bytes of a representation that a response sends.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use headers::{ETag, HeaderMapExt, IfMatch, IfModifiedSince, IfNoneMatch, IfUnmodifiedSince};
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method};

use crate::proxy::error::RequestError;
use crate::variants::Validators;

mod range;

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

impl BodySelection {
    /// Number of bytes of the body, if the representation has `whole` bytes.
    pub(in crate::proxy) fn bytes(&self, whole: u64) -> u64 {
        match self {
            Self::Full => whole,
            Self::Range(range) => range.end() - range.start() + 1,
            Self::NotModified => 0,
        }
    }
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
        && validators.last_modified.is_some_and(|date| !since.precondition_passes(date))
    {
        return Err(RequestError::PreconditionFailed);
    }
    if request.contains_key(IF_NONE_MATCH) {
        if request.typed_get::<IfNoneMatch>().is_some_and(|tags| !tags.precondition_passes(&validators.etag)) {
            return Ok(BodySelection::NotModified);
        }
    } else if request.contains_key(IF_MODIFIED_SINCE)
        && let (Some(since), Some(date)) = (request.typed_get::<IfModifiedSince>(), validators.last_modified)
        && !since.is_modified(date)
    {
        return Ok(BodySelection::NotModified);
    }
    if *method == Method::GET && request.contains_key(RANGE) && range_applies(request, validators, SystemTime::now()) {
        return range::select(request, bytes);
    }
    Ok(BodySelection::Full)
}

/// True unless `If-Range` names another version, or names this one by a validator that is not strong (RFC 9110 section
/// 13.1.5). A date is strong only if the picture was not modified in the second before `now`: two versions of the same
/// second have the same date (section 8.8.2.2).
fn range_applies(request: &HeaderMap, validators: &Validators, now: SystemTime) -> bool {
    let mut conditions = request.get_all(IF_RANGE).iter();
    let Some(condition) = conditions.next() else { return true };
    let (None, Ok(condition)) = (conditions.next(), condition.to_str()) else { return false };
    if let Ok(date) = httpdate::parse_http_date(condition) {
        let Some(last_modified) = validators.last_modified else { return false };
        let age = now.duration_since(last_modified);
        let last_modified = httpdate::HttpDate::from(last_modified);
        return httpdate::HttpDate::from(date) == last_modified && age.is_ok_and(|age| age >= Duration::from_secs(1));
    }
    let etag = condition.parse::<ETag>();
    etag.is_ok_and(|etag| IfMatch::from(etag).precondition_passes(&validators.etag))
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
        evaluate(&Method::GET, &headers, &Validators { etag, last_modified: Some(last_modified) }, 1000)
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
    fn if_range_ignores_the_range_of_another_version() {
        let range = Ok(BodySelection::Range(0..=9));
        assert_eq!(select(&[("range", "bytes=0-9"), ("if-range", "\"cat\"")]), range);
        assert_eq!(select(&[("range", "bytes=0-9"), ("if-range", MODIFIED)]), range);
        assert_eq!(select(&[("range", "bytes=0-9"), ("if-range", "\"dog\"")]), Ok(BodySelection::Full));
        assert_eq!(select(&[("range", "bytes=0-9"), ("if-range", "W/\"cat\"")]), Ok(BodySelection::Full));
        for other in [BEFORE, AFTER, "yesterday", "", "\"cat", "cat", "\"cat\", \"dog\"", "*"] {
            assert_eq!(select(&[("range", "bytes=0-9"), ("if-range", other)]), Ok(BodySelection::Full), "{other}");
        }
        let twice = [("range", "bytes=0-9"), ("if-range", "\"cat\""), ("if-range", "\"cat\"")];
        assert_eq!(select(&twice), Ok(BodySelection::Full));
    }

    #[test]
    fn a_weak_validator_never_selects_a_range() {
        let modified = UNIX_EPOCH + Duration::new(784_111_777, 300_000_000);
        let applies = |etag: &str, condition: &str, now| {
            let validators = Validators { etag: etag.parse().unwrap(), last_modified: Some(modified) };
            let request = [(IF_RANGE, condition.parse().unwrap())].into_iter().collect();
            range_applies(&request, &validators, now)
        };
        let later = modified + Duration::from_secs(1);
        assert!(applies("\"cat\"", MODIFIED, later));
        assert!(!applies("\"cat\"", MODIFIED, later - Duration::from_millis(1)), "the second is not over");
        assert!(!applies("\"cat\"", MODIFIED, modified - Duration::from_secs(9)), "it is modified in the future");
        assert!(applies("\"cat\"", "\"cat\"", modified));
        assert!(!applies("W/\"cat\"", "W/\"cat\"", later));
        assert!(!applies("W/\"cat\"", "\"cat\"", later));
    }
}
