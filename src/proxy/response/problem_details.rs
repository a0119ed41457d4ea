//! Builds error responses: the problem details, and the headers of each error.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response};

use crate::proxy::error::{ALLOWED_METHODS, ErrorClass, RequestError};
use crate::proxy::request::preconditions::unsatisfied_range;
use crate::proxy::response::headers::ResponsePolicy;
use crate::support::problem::{self, Problem};
use crate::variants::Error;

/// Value of `Retry-After` after an overload.
const OVERLOAD_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Value of `Retry-After` while the folder of a store is missing.
const UNAVAILABLE_RETRY_AFTER: Duration = Duration::from_secs(10);

/// The response for `error`. Web pages may read it as they may read a picture.
pub(in crate::proxy) fn error_response(error: &RequestError, policy: &ResponsePolicy) -> Response<Bytes> {
    let (ErrorClass { status, name, .. }, detail) = (error.class(), error.to_string());
    let body = Problem { status, name, detail: &detail }.to_json();
    let mut headers = HeaderMap::with_capacity(12);
    policy.allow_reading(&mut headers);
    headers.insert(CONTENT_TYPE, problem::CONTENT_TYPE);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let no_store = HeaderValue::from_static("no-store");
    headers.insert(CACHE_CONTROL, if error.is_lasting() { policy.error_cache_control.clone() } else { no_store });
    let header = match error {
        RequestError::MethodNotAllowed => Some((ALLOW, HeaderValue::from_static(ALLOWED_METHODS))),
        RequestError::RangeNotSatisfiable { bytes } => Some((CONTENT_RANGE, unsatisfied_range(*bytes))),
        RequestError::Variant(Error::RateLimited(limit)) => Some((RETRY_AFTER, limit.retry_after.as_secs().into())),
        RequestError::TooManyBodies(_)
        | RequestError::Variant(Error::Overloaded | Error::LaneFull(_) | Error::MemoryFull(_)) => {
            Some((RETRY_AFTER, OVERLOAD_RETRY_AFTER.as_secs().into()))
        }
        RequestError::Variant(Error::StoreUnavailable) => Some((RETRY_AFTER, UNAVAILABLE_RETRY_AFTER.as_secs().into())),
        RequestError::BadPath(_)
        | RequestError::Refused(_)
        | RequestError::Forbidden(_)
        | RequestError::SizeNotAllowed(_)
        | RequestError::PreconditionFailed
        | RequestError::Variant(
            Error::NotFound(_)
            | Error::Unprocessable(_)
            | Error::HasGainMap
            | Error::MadeLater(_)
            | Error::StoreFailed
            | Error::StoreTimeout
            | Error::FlightTimeout
            | Error::Internal,
        ) => None,
    };
    if let Some((name, value)) = header {
        headers.insert(name, value);
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::support::request_filter::Refusal;
    use crate::variants::{RateLimitExceeded, RateLimitKind};

    #[test]
    fn the_docs_list_every_problem_with_its_status_and_cache_control() {
        let (_, docs) = include_str!("../../../docs/URLS.md").split_once("\n## Errors\n").unwrap();
        let policy = ResponsePolicy::new(&Config::default());
        let text = || Arc::from("");
        let kind = RateLimitKind::CpuPerClient;
        let all: [RequestError; 18] = [
            RequestError::BadPath(String::new()),
            Refusal::BadRequest("").into(),
            RequestError::Forbidden(String::new()),
            Error::NotFound(text()).into(),
            RequestError::SizeNotAllowed(String::new()),
            RequestError::MethodNotAllowed,
            RequestError::PreconditionFailed,
            Refusal::TargetTooLong.into(),
            RequestError::RangeNotSatisfiable { bytes: 1 },
            Error::Unprocessable(text()).into(),
            Error::RateLimited(RateLimitExceeded { kind, retry_after: Duration::ZERO }).into(),
            Refusal::HeaderTooLarge.into(),
            Error::Internal.into(),
            Error::StoreFailed.into(),
            Error::Overloaded.into(),
            Error::StoreUnavailable.into(),
            Error::StoreTimeout.into(),
            Refusal::Version.into(),
        ];
        let rows = docs.lines().filter(|line| line.starts_with("| 4") || line.starts_with("| 5"));
        let cells = rows.map(|row| row.split('|').take(4).collect::<String>());
        let expected = all.iter().map(|error| {
            let response = error_response(error, &policy);
            let cache_control = response.headers()[CACHE_CONTROL].to_str().unwrap();
            format!(" {}  `{}`  `{cache_control}` ", response.status().as_u16(), error.class().name)
        });
        assert_eq!(cells.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}
