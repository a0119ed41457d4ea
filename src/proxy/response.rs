//! Builds responses from headers and bytes.

use std::ops::RangeInclusive;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full, StreamBody};

pub(super) mod cache_status;
pub(super) mod cors;
pub(super) mod disposition;
pub(super) mod headers;
pub(super) mod interim;
pub(super) mod problem_details;

use super::request::preconditions::{BodySelection, content_range};
use crate::origin::{Object, StoreError};
use crate::support::open_bodies::BodyPermit;

/// The body of a response: bytes from memory, or a stream from a store.
pub type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, StoreError>>;

/// Builds a 200, 206 or 304 response for a representation of `bytes` bytes. `headers` are the headers of the 200
/// response.
pub(super) fn respond(
    mut headers: HeaderMap,
    selection: &BodySelection,
    bytes: u64,
    body: impl FnOnce() -> Body,
) -> Response<Body> {
    match selection {
        BodySelection::Full => with_headers(StatusCode::OK, headers, body()),
        BodySelection::Range(range) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end() - range.start() + 1));
            headers.insert(CONTENT_RANGE, content_range(range, bytes));
            with_headers(StatusCode::PARTIAL_CONTENT, headers, body())
        }
        BodySelection::NotModified => {
            // A 304 has no headers that describe a body (RFC 9110 section 15.4.5).
            headers.remove(CONTENT_LENGTH);
            headers.remove(CONTENT_TYPE);
            with_headers(StatusCode::NOT_MODIFIED, headers, empty())
        }
    }
}

pub(super) fn with_headers(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

pub(super) fn slice(bytes: &Bytes, range: &RangeInclusive<u64>) -> Bytes {
    let position = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(position(*range.start())..position(range.end() + 1))
}

pub(super) fn full(bytes: Bytes) -> Body {
    Either::Left(Full::new(bytes))
}

pub(super) fn empty() -> Body {
    full(Bytes::new())
}

/// A body that is streamed from a store. Its chunks hold the permit until the connection has sent them.
pub(super) fn streamed(object: Object, permit: BodyPermit) -> Body {
    let frames = object.body.map_ok(move |chunk| Frame::data(permit.attach(chunk)));
    Either::Right(BodyExt::boxed_unsync(StreamBody::new(frames)))
}
