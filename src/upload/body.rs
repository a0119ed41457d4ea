//! Request bodies as streams of chunks.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http_body::Body as HttpBody;
use http_body_util::BodyStream;

use super::error::UploadError;

/// Chunks of an upload.
pub(super) type UploadBody = BoxStream<'static, Result<Bytes, UploadError>>;

/// Converts the body of a request, without its trailers.
pub(super) fn from_http<B>(body: B) -> UploadBody
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let body: Pin<Box<B>> = Box::pin(body);
    let frames = BodyStream::new(body).filter_map(|frame| async {
        match frame {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(_) => Some(Err(UploadError::BadRequest("the body is incomplete".into()))),
        }
    });
    frames.boxed()
}
