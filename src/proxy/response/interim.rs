//! Interim answers: pictures and redirects that another format replaces soon (`formats.avif_later`).

use http::header::{CACHE_CONTROL, EXPIRES};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::proxy::response::cache_status::interim_status;
use crate::proxy::response::headers::CACHE_STATUS;
use crate::variants::FoundVariant;

/// Lifetime of an interim answer in browsers, in seconds.
pub(in crate::proxy) const INTERIM_SECONDS: u64 = 3600;

/// Browsers keep the picture that they have. Shared caches ask again soon, so that their next clients get the new format.
const INTERIM: HeaderValue = HeaderValue::from_static("public, max-age=3600, s-maxage=60");

/// Headers by which a configured header could give a cache another lifetime. A prefix may precede `cdn-cache-control`
/// (RFC 9213).
const OTHER_LIFETIMES: [HeaderName; 5] = [
    EXPIRES,
    HeaderName::from_static("cdn-cache-control"),
    HeaderName::from_static("surrogate-control"),
    HeaderName::from_static("x-accel-expires"),
    HeaderName::from_static("edge-control"),
];

/// Makes a response with the variant `found` an interim one, if it is: it gets a short lifetime, and a permanent redirect
/// becomes a temporary one.
pub(in crate::proxy) fn describe<B>(found: &FoundVariant, response: &mut Response<B>) {
    if !found.is_interim {
        return;
    }
    match response.status() {
        StatusCode::MOVED_PERMANENTLY => *response.status_mut() = StatusCode::FOUND,
        StatusCode::PERMANENT_REDIRECT => *response.status_mut() = StatusCode::TEMPORARY_REDIRECT,
        _ => {}
    }
    let headers = response.headers_mut();
    let is_lifetime =
        |name: &HeaderName| OTHER_LIFETIMES.contains(name) || name.as_str().ends_with("-cdn-cache-control");
    let lifetimes: Vec<_> = headers.keys().filter(|name| is_lifetime(name)).cloned().collect();
    for name in lifetimes {
        headers.remove(name);
    }
    headers.insert(CACHE_CONTROL, INTERIM);
    let status = interim_status(found.served_from, found.delivery.acquisition());
    headers.insert(CACHE_STATUS, HeaderValue::from_static(status));
}

/// True for the headers of an interim answer.
pub(in crate::proxy) fn is_interim(headers: &HeaderMap) -> bool {
    headers.get(CACHE_CONTROL) == Some(&INTERIM)
}
