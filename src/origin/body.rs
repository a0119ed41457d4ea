//! An object's bytes on their way here.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};

use super::StoreError;

/// Chunks of bytes. It yields as many as were promised or fails: an end that comes early is an error, and what comes too
/// much is cut off. Bytes that are not those of the answer's checksum are an error too, behind the last of them. Dropping it
/// ends the transfer.
pub struct Body {
    chunks: BoxStream<'static, Result<Bytes, StoreError>>,
    promised: u64,
    received: u64,
    is_ended: bool,
}

impl Body {
    pub(super) fn new(chunks: impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static, promised: u64) -> Self {
        Self { chunks: chunks.boxed(), promised, received: 0, is_ended: false }
    }
}

impl Stream for Body {
    type Item = Result<Bytes, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { promised, received, is_ended, .. } = *self;
        if is_ended {
            return Poll::Ready(None);
        }
        if received == promised {
            // Only at the end of all chunks the checksum is known.
            return self.chunks.poll_next_unpin(context).map(|end| {
                self.is_ended = true;
                end.filter(Result::is_err)
            });
        }
        self.chunks.poll_next_unpin(context).map(|chunk| match chunk {
            Some(Ok(mut chunk)) => {
                chunk.truncate(usize::try_from(promised - received).unwrap_or(usize::MAX));
                self.received += chunk.len() as u64;
                Some(Ok(chunk))
            }
            Some(Err(error)) => Some(Err(error)),
            None => {
                self.is_ended = true;
                Some(Err(StoreError::Truncated { received, promised }))
            }
        })
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promised, received, .. } = self;
        f.debug_struct("Body").field("promised", promised).field("received", received).finish_non_exhaustive()
    }
}
