//! Why an upload is not taken, and how the client is told (RFC 9457).

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

use super::with_status;
use crate::origin::StoreError;
use crate::resize::RenderError;
use crate::support::error_chain::chain;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    BadRequest(String),
    #[error("send a token that is known here: Authorization: Bearer TOKEN")]
    Unauthorized,
    #[error("too many requests without a right token; try again in a minute")]
    TooManyForged,
    #[error("{0}")]
    Forbidden(String),
    #[error("this is no completion URL of this server: use it as it was given, to its last character")]
    Ticket,
    #[error("nothing was put under the signed URL, or it was completed already: put the file there first")]
    NothingThere,
    #[error("{0}")]
    NotConfigured(&'static str),
    #[error("upload with POST /upload or PUT /upload/key")]
    Method,
    #[error("the upload took too long")]
    Slow,
    #[error("another picture has this key, and uploads do not replace pictures here; choose another key")]
    Conflict,
    #[error("the picture under this key is not the one that If-Match or If-None-Match asks for")]
    PreconditionFailed,
    #[error("more than the {bytes_max} bytes that this token may upload")]
    TooLarge { bytes_max: u64 },
    #[error("{0}")]
    Type(String),
    #[error("{0}")]
    Unprocessable(String),
    #[error("too many uploads are under way; try again after the time in Retry-After")]
    Overloaded,
    #[error("the storage behind this server does not answer as it should; send the upload again later")]
    StoreFailed,
    #[error("the storage behind this server is too slow; send the upload again later")]
    StoreSlow,
    #[error("this server has a fault; its log says which")]
    Internal,
}

impl Refusal {
    /// Logged here with its cause, once.
    pub(super) fn of_store(error: &StoreError) -> Self {
        if matches!(error, StoreError::Busy) {
            return Self::Overloaded;
        }
        tracing::error!(error = chain(error), "an upload could not be stored");
        if matches!(error, StoreError::Timeout { .. }) { Self::StoreSlow } else { Self::StoreFailed }
    }

    pub(super) fn of_picture(error: &RenderError) -> Self {
        let text = error.to_string().replace("the original", "the upload");
        match error {
            RenderError::NotAnImage | RenderError::UnsupportedFormat { .. } => Self::Type(text),
            _ => Self::Unprocessable(text),
        }
    }

    fn status_and_name(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad-upload"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::TooManyForged => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests"),
            Self::Forbidden(_) | Self::Ticket => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NothingThere => (StatusCode::NOT_FOUND, "nothing-uploaded"),
            Self::NotConfigured(_) => (StatusCode::NOT_IMPLEMENTED, "not-configured"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "upload-slow"),
            Self::Conflict => (StatusCode::CONFLICT, "key-is-taken"),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "precondition-failed"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "upload-too-large"),
            Self::Type(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type"),
            Self::Unprocessable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable-upload"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::StoreFailed => (StatusCode::BAD_GATEWAY, "store-failed"),
            Self::StoreSlow => (StatusCode::GATEWAY_TIMEOUT, "store-slow"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// What it is called in its problem's type and in the numbers.
    pub(super) fn name(&self) -> &'static str {
        self.status_and_name().1
    }

    /// Whether nothing would change if the same was sent again.
    pub(super) fn is_settled(&self) -> bool {
        match self {
            Self::BadRequest(_)
            | Self::Forbidden(_)
            | Self::Conflict
            | Self::PreconditionFailed
            | Self::TooLarge { .. }
            | Self::Type(_)
            | Self::Unprocessable(_) => true,
            Self::Unauthorized
            | Self::TooManyForged
            | Self::Ticket
            | Self::NothingThere
            | Self::NotConfigured(_)
            | Self::Method
            | Self::Slow
            | Self::Overloaded
            | Self::StoreFailed
            | Self::StoreSlow
            | Self::Internal => false,
        }
    }

    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        let (status, name) = self.status_and_name();
        let problem = json!({
            "type": format!("urn:resized:problem:{name}"),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.to_string(),
        });
        let mut response = with_status(status, problem.to_string().into());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::Unauthorized => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Self::TooManyForged => headers.insert(RETRY_AFTER, HeaderValue::from_static("60")),
            Self::Overloaded => headers.insert(RETRY_AFTER, HeaderValue::from_static("1")),
            Self::Method => headers.insert(ALLOW, HeaderValue::from_static("POST, PUT, OPTIONS")),
            _ => None,
        };
        response
    }
}
