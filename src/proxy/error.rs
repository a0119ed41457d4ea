//! Errors of a request, and the status of each.

use http::StatusCode;

use crate::observability::metrics::Outcome;
use crate::support::open_bodies::TooManyBodies;
use crate::support::request_filter::Refusal;
use crate::variant::{Grammar, Variant};
use crate::variants::Error;

/// Why a request gets an error response. The message is the `detail` of the response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    /// The path cannot name an object.
    #[error("{0}")]
    BadPath(String),
    /// The request filter or the checks of HTTP/2 refuse the request; an HTTP/1 connection is closed after the response.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The signature is missing, wrong or expired.
    #[error("{0}")]
    Forbidden(String),
    /// The method is not one of [`ALLOWED_METHODS`].
    #[error("request pictures with GET or HEAD")]
    MethodNotAllowed,
    /// `[sizes]` does not allow the size.
    #[error("{0}")]
    SizeNotAllowed(String),
    /// `If-Match` or `If-Unmodified-Since` is false (RFC 9110 section 13.2.2).
    #[error("the picture is not the one that If-Match or If-Unmodified-Since names")]
    PreconditionFailed,
    /// The range lies outside the representation of `bytes` (RFC 9110 section 15.5.17).
    #[error("the range lies outside the picture; Content-Range has its length")]
    RangeNotSatisfiable { bytes: u64 },
    /// Too many responses are being sent.
    #[error(transparent)]
    TooManyBodies(#[from] TooManyBodies),
    /// The variant or original cannot be served.
    #[error(transparent)]
    Variant(#[from] Error),
}

/// How an error is reported.
#[derive(Debug, Clone, Copy)]
pub(super) struct ErrorClass {
    pub(super) status: StatusCode,
    /// Last part of the problem type.
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
}

/// Supported methods of pictures, the value of `Allow`.
pub(super) const ALLOWED_METHODS: &str = "GET, HEAD, OPTIONS";

impl RequestError {
    /// The error for a variant that `[sizes]` does not allow; `nearest` is the nearest allowed one.
    pub(super) fn size_not_allowed(grammar: &Grammar, nearest: &Variant) -> Self {
        let path = grammar.canonical_path(nearest);
        Self::SizeNotAllowed(format!("this size or quality is not allowed; the nearest allowed one: {path}"))
    }

    /// Status, problem type and metric label of the error.
    pub(super) fn class(&self) -> ErrorClass {
        let (status, name, outcome) = match self {
            Self::BadPath(_) => (StatusCode::BAD_REQUEST, "bad-path", Outcome::BadRequest),
            Self::Refused(refusal) => (refusal.status(), refusal.name(), Outcome::BadRequest),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", Outcome::Forbidden),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", Outcome::BadRequest),
            Self::SizeNotAllowed(_) => (StatusCode::NOT_FOUND, "size-not-allowed", Outcome::NotFound),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "precondition-failed", Outcome::Precondition),
            Self::RangeNotSatisfiable { .. } => {
                (StatusCode::RANGE_NOT_SATISFIABLE, "range-not-satisfiable", Outcome::Precondition)
            }
            Self::TooManyBodies(TooManyBodies::Client) => {
                (StatusCode::TOO_MANY_REQUESTS, "rate-limited", Outcome::Limited)
            }
            Self::TooManyBodies(TooManyBodies::Total) => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded", Outcome::Overloaded)
            }
            Self::Variant(Error::NotFound(_)) => (StatusCode::NOT_FOUND, "not-found", Outcome::NotFound),
            Self::Variant(Error::Unprocessable(_) | Error::HasGainMap | Error::MadeLater(_)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable-original", Outcome::Unprocessable)
            }
            Self::Variant(Error::RateLimited(_)) => (StatusCode::TOO_MANY_REQUESTS, "rate-limited", Outcome::Limited),
            Self::Variant(Error::Overloaded | Error::LaneFull(_) | Error::MemoryFull(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded", Outcome::Overloaded)
            }
            Self::Variant(Error::StoreFailed) => (StatusCode::BAD_GATEWAY, "store-failed", Outcome::StoreFailed),
            Self::Variant(Error::StoreUnavailable) => {
                (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", Outcome::StoreFailed)
            }
            Self::Variant(Error::StoreTimeout | Error::FlightTimeout) => {
                (StatusCode::GATEWAY_TIMEOUT, "store-slow", Outcome::StoreSlow)
            }
            Self::Variant(Error::Internal) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", Outcome::Internal),
        };
        ErrorClass { status, name, outcome }
    }

    /// True if an identical request would fail in the same way, so that caches may keep the response briefly.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::SizeNotAllowed(_) => true,
            Self::Variant(error) => error.is_lasting(),
            Self::BadPath(_)
            | Self::Refused(_)
            | Self::Forbidden(_)
            | Self::MethodNotAllowed
            | Self::PreconditionFailed
            | Self::TooManyBodies(_)
            | Self::RangeNotSatisfiable { .. } => false,
        }
    }
}
