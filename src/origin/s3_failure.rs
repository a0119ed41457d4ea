//! What a refusal of S3 means.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::StoreError;

/// The status of S3's answer, if there was one.
pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// `None` for an object that is not there; a bucket that is not there is an error, as is everything else.
pub(super) fn absent_or<T, E>(error: SdkError<E>) -> Result<Option<T>, StoreError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    if status(&error) == Some(404) && code != Some("NoSuchBucket") {
        return Ok(None);
    }
    Err(failed(error))
}

pub(super) fn failed<E>(error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = status(&error);
    let whole_length = error.raw_response().and_then(|response| response.headers().get("content-range"));
    let whole_length = whole_length.and_then(|range| range.strip_prefix("bytes */")?.parse().ok());
    let is_timeout = match &error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_timeout(),
        _ => false,
    };
    let is_connection = matches!(error, SdkError::DispatchFailure(_) | SdkError::ResponseError(_));
    let source = DisplayErrorContext(&error).to_string().into();
    match status {
        _ if is_timeout => StoreError::Timeout { source },
        _ if is_connection => StoreError::Unavailable { source },
        Some(401 | 403) if is_skewed(&error) => StoreError::Skewed { source },
        Some(401 | 403) => StoreError::Forbidden { source },
        Some(416) => StoreError::RangeNotSatisfiable { bytes: whole_length.unwrap_or_default() },
        Some(429 | 500..) => StoreError::Unavailable { source },
        Some(_) | None => StoreError::Other { source },
    }
}

/// Whether a refusal is for the time of the request: by its code, or where an answer has no body, by the server's clock.
fn is_skewed<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    if error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("RequestTimeTooSkewed") {
        return true;
    }
    let date = error.raw_response().and_then(|response| response.headers().get("date"));
    let Some(theirs) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else { return false };
    let ours = SystemTime::now();
    let apart = ours.duration_since(theirs).or_else(|_| theirs.duration_since(ours)).unwrap_or_default();
    apart > SKEW_MAX
}

/// What S3 puts up with (Amazon S3 API Reference, "Error responses", RequestTimeTooSkewed).
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);
