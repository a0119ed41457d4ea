//! Headers and bytes as a response.

use std::ops::RangeInclusive;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Either, Full, StreamBody};

use super::Body;
use super::preconditions::{Wanted, content_range};
use crate::origin::Object;

/// 200, 206 or 304, of a picture of `bytes` whose whole has `headers`.
pub(super) fn respond(
    mut headers: HeaderMap,
    wanted: &Wanted,
    bytes: u64,
    body: impl FnOnce() -> Body,
) -> Response<Body> {
    match wanted {
        Wanted::Whole => with_headers(StatusCode::OK, headers, body()),
        Wanted::Part(part) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end() - part.start() + 1));
            headers.insert(CONTENT_RANGE, content_range(part, bytes));
            with_headers(StatusCode::PARTIAL_CONTENT, headers, body())
        }
        Wanted::NotModified => {
            // RFC 9110 section 15.4.5: nothing that describes a body that is not sent.
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

pub(super) fn slice(bytes: &Bytes, part: &RangeInclusive<u64>) -> Bytes {
    let position = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(position(*part.start())..position(part.end() + 1))
}

pub(super) fn full(bytes: Bytes) -> Body {
    Either::Left(Full::new(bytes))
}

pub(super) fn empty() -> Body {
    full(Bytes::new())
}

pub(super) fn streamed(object: Object) -> Body {
    Either::Right(BodyExt::boxed_unsync(StreamBody::new(object.body.map_ok(Frame::data))))
}
