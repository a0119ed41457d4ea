//! Responses of the upload endpoint.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

pub(super) type UploadResponse = Response<Full<Bytes>>;

pub(super) fn with_body(status: StatusCode, body: impl Into<Bytes>) -> UploadResponse {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Result<UploadResponse, serde_json::Error> {
    let mut response = with_body(status, serde_json::to_vec(value)?);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
