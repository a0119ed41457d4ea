//! Reasons to refuse a request, and the bytes of the response.

use std::fmt::Write as _;
use std::time::SystemTime;

use http::header::{CONNECTION, DATE};
use http::{Response, StatusCode};

use super::{FIELDS_MAX, HEADER_BYTES_MAX, TARGET_BYTES_MAX};

/// The reason to refuse a request. The message is for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The header does not match the grammar, or another server could interpret it differently.
    #[error("{0}")]
    BadRequest(&'static str),
    #[error("the request target is longer than {TARGET_BYTES_MAX} bytes")]
    TargetTooLong,
    #[error("the header is longer than {HEADER_BYTES_MAX} bytes or has more than {FIELDS_MAX} fields")]
    HeaderTooLarge,
    #[error("this server supports HTTP/1.0, HTTP/1.1 and HTTP/2")]
    Version,
}

impl Refusal {
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }

    /// The last part of the problem type.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad-request",
            Self::TargetTooLong => "target-too-long",
            Self::HeaderTooLarge => "header-too-large",
            Self::Version => "version-not-supported",
        }
    }
}

/// Encodes the last response of a connection.
pub(super) fn encode<B: AsRef<[u8]>>(response: &Response<B>, with_body: bool) -> Vec<u8> {
    let status = response.status();
    let mut text = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let headers = response.headers();
    let _ = write!(text, "date: {}\r\n", httpdate::fmt_http_date(SystemTime::now()));
    text.push_str("connection: close\r\n");
    let mut bytes = text.into_bytes();
    for (name, value) in headers.iter().filter(|(name, _)| **name != DATE && **name != CONNECTION) {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    if with_body {
        bytes.extend_from_slice(response.body().as_ref());
    }
    bytes
}
