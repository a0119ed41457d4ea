//! What the SDK's errors mean.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::error::Refusal;
use crate::origin::error::StoreError;

/// The status of S3's answer, if there was one.
pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// `None` for an object that is not there; a bucket that is not there is an error, as is everything else.
pub(super) fn absent_or<T, E>(error: SdkError<E>) -> Result<Option<T>, StoreError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if refusal(&error).is_some_and(|refusal| refusal.is_absence()) { Ok(None) } else { Err(failed(error)) }
}

pub(super) fn failed<E>(error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let is_timeout = match &error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_timeout(),
        _ => false,
    };
    let is_connection = matches!(error, SdkError::DispatchFailure(_) | SdkError::ResponseError(_));
    let source = DisplayErrorContext(&error).to_string().into();
    match refusal(&error) {
        _ if is_timeout => StoreError::Timeout { source },
        _ if is_connection => StoreError::Unavailable { source },
        Some(refusal) => refusal.means(source),
        None => StoreError::Other { source },
    }
}

fn refusal<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<Refusal> {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).map(str::to_owned);
    let response = error.raw_response()?;
    Some(Refusal::of(response.status().as_u16(), code, |name| response.headers().get(name)))
}
