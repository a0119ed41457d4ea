//! Converts errors of the SDK into store errors.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::credentials::find_credentials_error;
use super::error::S3ErrorResponse;
use crate::origin::error::StoreError;

/// The status of S3's response, if there was one.
pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Returns `None` if the error means that the object does not exist.
pub(super) fn or_not_found<T, E>(error: SdkError<E>) -> Result<Option<T>, StoreError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let is_not_found = error_response(&error).is_some_and(|response| response.is_not_found());
    if is_not_found { Ok(None) } else { Err(store_error(error)) }
}

pub(super) fn store_error<E>(error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let is_timeout = match &error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_timeout(),
        _ => false,
    };
    let is_connection = matches!(error, SdkError::DispatchFailure(_) | SdkError::ResponseError(_));
    if let Some(source) = find_credentials_error(&error) {
        return StoreError::NoCredentials { source };
    }
    let source = || DisplayErrorContext(&error).to_string().into();
    match error_response(&error) {
        _ if is_timeout => StoreError::Timeout { source: source() },
        _ if is_connection => StoreError::Unavailable { source: source() },
        Some(response) => response.into_store_error(),
        None => StoreError::Other { source: source() },
    }
}

fn error_response<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<S3ErrorResponse> {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).map(str::to_owned);
    S3ErrorResponse::of_sdk(error.raw_response()?, code)
}
