//! What can go wrong, and how each is told: the status, and a body that says what to do (RFC 9457).
//!
//! A 4xx says what is wrong with the request or the original. A 5xx says nothing of the inside; where it arises, it is
//! logged once with its cause.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use super::preconditions::unsatisfied_range;
use crate::observability::metrics::Outcome;
use crate::origin::StoreError;
use crate::resize::{PixelsError, RenderError};
use crate::support::error_chain::chain;
use crate::variants::rate_limit::Limited;

/// Why a request has no picture for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The path cannot name an object.
    BadPath(Arc<str>),
    /// Where the request ends or whom it is for is ambiguous; the connection is closed after the answer.
    BadRequest(&'static str),
    /// A signature that is missing, wrong or expired.
    Forbidden(Arc<str>),
    /// Neither GET nor HEAD.
    Method,
    /// No such original, or one that is not served.
    NotFound(Arc<str>),
    /// A size that is not allowed.
    SizeRefused(Arc<str>),
    /// The original is there, but no picture can be made of it.
    Unprocessable(Arc<str>),
    /// `If-Match` or `If-Unmodified-Since` does not hold (RFC 9110 section 13.2.2).
    PreconditionFailed,
    /// The range asked for lies outside of the `bytes` there are (RFC 9110 section 15.5.17).
    RangeNotSatisfiable { bytes: u64 },
    /// A client, or what is asked of one original, is over its rate.
    Limited { what: Limited, retry_s: u64 },
    /// A queue or a budget is full.
    Overloaded,
    /// The store refused or broke.
    StoreFailed,
    /// The store, or the whole flight, took too long.
    StoreSlow,
    /// A fault of our own.
    Internal,
}

/// The body of an error: RFC 9457 section 3.1.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Failure {
    /// How a broken store is told; logged here with its cause, once.
    pub(crate) fn of_store(what: &'static str, error: &StoreError) -> Self {
        match error {
            StoreError::TooLarge { bytes, bytes_max } => Self::too_large(*bytes, *bytes_max),
            StoreError::RangeNotSatisfiable { bytes } => Self::RangeNotSatisfiable { bytes: *bytes },
            StoreError::Busy => Self::Overloaded,
            StoreError::Timeout { .. } => {
                tracing::error!(what, error = chain(error), "the store is too slow");
                Self::StoreSlow
            }
            StoreError::Forbidden { .. }
            | StoreError::ClockSkew { .. }
            | StoreError::Unavailable { .. }
            | StoreError::Truncated { .. }
            | StoreError::Other { .. } => {
                tracing::error!(what, error = chain(error), "the store failed");
                Self::StoreFailed
            }
        }
    }

    /// How pixels that cannot be made are told.
    pub(crate) fn of_render(error: &RenderError) -> Self {
        match error {
            RenderError::Pixels(error) => Self::of_pixels(error),
            RenderError::Overloaded | RenderError::Stopped => Self::Overloaded,
            // A codec that panics on an original would panic again, so the client gets the status of a damaged original.
            RenderError::Panicked => {
                tracing::error!("codec panicked");
                Self::Unprocessable("the original cannot be decoded".into())
            }
        }
    }

    fn of_pixels(error: &PixelsError) -> Self {
        match error {
            PixelsError::UnsupportedFormat { .. }
            | PixelsError::NotAnImage
            | PixelsError::Damaged { .. }
            | PixelsError::TooManyPixels { .. }
            | PixelsError::TooManyFrames { .. }
            | PixelsError::TooSlow { .. }
            | PixelsError::OutputTooLarge { .. } => Self::Unprocessable(error.to_string().into()),
            PixelsError::Unconfined { reason, .. } => {
                tracing::error!(error = reason, "sandbox process cannot be confined");
                Self::Unprocessable(error.to_string().into())
            }
            PixelsError::NoDecoder { .. } => {
                tracing::error!(error = chain(error), "sandbox process not started");
                Self::Overloaded
            }
            PixelsError::Encode { .. } => {
                tracing::error!(error = chain(error), "variant not encoded");
                Self::Internal
            }
        }
    }

    /// The original has more bytes than we take.
    pub(crate) fn too_large(bytes: u64, bytes_max: u64) -> Self {
        let text = format!("the original has {bytes} bytes; at most {bytes_max} are taken (limits.original_bytes)");
        Self::Unprocessable(text.into())
    }

    /// Whether the same request would fail again right away, so that the failure may be answered from memory.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self, Self::NotFound(_) | Self::SizeRefused(_) | Self::Unprocessable(_))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadPath(_) | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound(_) | Self::SizeRefused(_) => StatusCode::NOT_FOUND,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::StoreFailed => StatusCode::BAD_GATEWAY,
            Self::StoreSlow => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// How it is counted.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::BadPath(_) | Self::BadRequest(_) | Self::Method => Outcome::BadRequest,
            Self::Forbidden(_) => Outcome::Forbidden,
            Self::NotFound(_) | Self::SizeRefused(_) => Outcome::NotFound,
            Self::Unprocessable(_) => Outcome::Unprocessable,
            Self::PreconditionFailed | Self::RangeNotSatisfiable { .. } => Outcome::Precondition,
            Self::Limited { .. } => Outcome::Limited,
            Self::Overloaded => Outcome::Overloaded,
            Self::StoreFailed => Outcome::StoreFailed,
            Self::StoreSlow => Outcome::StoreSlow,
            Self::Internal => Outcome::Internal,
        }
    }

    /// What the problem is called: the last part of its `type`.
    fn name(&self) -> &'static str {
        match self {
            Self::BadPath(_) => "bad-path",
            Self::BadRequest(_) => "bad-request",
            Self::Forbidden(_) => "forbidden",
            Self::Method => "method-not-allowed",
            Self::NotFound(_) => "not-found",
            Self::SizeRefused(_) => "size-not-allowed",
            Self::Unprocessable(_) => "unprocessable-original",
            Self::PreconditionFailed => "precondition-failed",
            Self::RangeNotSatisfiable { .. } => "range-not-satisfiable",
            Self::Limited { .. } => "rate-limited",
            Self::Overloaded => "overloaded",
            Self::StoreFailed => "store-failed",
            Self::StoreSlow => "store-slow",
            Self::Internal => "internal",
        }
    }

    pub(crate) fn detail(&self) -> &str {
        match self {
            Self::BadPath(detail)
            | Self::Forbidden(detail)
            | Self::NotFound(detail)
            | Self::SizeRefused(detail)
            | Self::Unprocessable(detail) => detail,
            Self::BadRequest(detail) => detail,
            Self::Method => "pictures are asked for with GET or HEAD",
            Self::PreconditionFailed => "the picture is not the one that If-Match or If-Unmodified-Since asks for",
            Self::RangeNotSatisfiable { .. } => "the range lies outside of the picture; Content-Range has its length",
            Self::Limited { what, .. } => what.detail(),
            Self::Overloaded => "too much is being made right now; try again after the time in Retry-After",
            Self::StoreFailed => "the storage behind this server does not answer as it should; try again later",
            Self::StoreSlow => "the storage behind this server is too slow; try again later",
            Self::Internal => "this server has a fault; its log says which",
        }
    }

    /// The whole answer: status, headers and JSON. `cache_control` is for failures that may be cached briefly.
    pub(crate) fn answer(&self, cache_control: &HeaderValue) -> (StatusCode, HeaderMap, Vec<u8>) {
        let status = self.status();
        let problem = Problem {
            r#type: &format!("urn:resized:problem:{}", self.name()),
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: self.detail(),
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let brief = if self.is_lasting() { cache_control.clone() } else { HeaderValue::from_static("no-store") };
        headers.insert(CACHE_CONTROL, brief);
        match self {
            Self::Method => headers.insert(ALLOW, HeaderValue::from_static(ALLOWED)),
            Self::BadRequest(_) => headers.insert(CONNECTION, HeaderValue::from_static("close")),
            Self::Limited { retry_s, .. } => headers.insert(RETRY_AFTER, HeaderValue::from(*retry_s)),
            Self::Overloaded => headers.insert(RETRY_AFTER, HeaderValue::from(RETRY.as_secs())),
            Self::RangeNotSatisfiable { bytes } => headers.insert(CONTENT_RANGE, unsatisfied_range(*bytes)),
            _ => None,
        };
        (status, headers, body)
    }
}

/// What may be asked of a picture.
pub(crate) const ALLOWED: &str = "GET, HEAD, OPTIONS";

/// When a client that met an overload may come again.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_list_every_problem_with_its_status_and_how_long_it_is_kept() {
        let (_, docs) = include_str!("../../docs/URLS.md").split_once("\n## Errors\n").unwrap();
        let text = || Arc::from("");
        let all = [
            Failure::BadPath(text()),
            Failure::BadRequest(""),
            Failure::Forbidden(text()),
            Failure::NotFound(text()),
            Failure::SizeRefused(text()),
            Failure::Method,
            Failure::PreconditionFailed,
            Failure::RangeNotSatisfiable { bytes: 1 },
            Failure::Unprocessable(text()),
            Failure::Limited { what: Limited::Client, retry_s: 1 },
            Failure::Internal,
            Failure::StoreFailed,
            Failure::Overloaded,
            Failure::StoreSlow,
        ];
        let rows = docs.lines().filter(|line| line.starts_with("| 4") || line.starts_with("| 5"));
        let cells = rows.map(|row| row.split('|').take(4).collect::<String>());
        let expected = all.iter().map(|failure| {
            let (status, headers, _) = failure.answer(&HeaderValue::from_static("public, max-age=10"));
            let kept = headers[CACHE_CONTROL].to_str().unwrap();
            format!(" {}  `{}`  `{kept}` ", status.as_u16(), failure.name())
        });
        assert_eq!(cells.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}
