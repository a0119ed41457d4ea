//! `OPTIONS` requests and CORS preflights.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::proxy::error::ALLOWED_METHODS;
use crate::proxy::response::headers::ResponsePolicy;
use crate::proxy::response::{Body, empty, with_headers};

/// The allowed methods, and the CORS headers if the request is a preflight (Fetch standard, "CORS-preflight request").
pub(in crate::proxy) fn options(policy: &ResponsePolicy, request: &HeaderMap) -> Response<Body> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(ALLOW, HeaderValue::from_static(ALLOWED_METHODS));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let is_preflight = request.contains_key(ORIGIN) && request.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if let (true, Some(origin)) = (is_preflight, &policy.allow_origin) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    }
    with_headers(StatusCode::NO_CONTENT, headers, empty())
}
