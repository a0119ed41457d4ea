//! An object's bytes on their way here.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};

use super::StoreError;
use super::file::part::FilePart;

/// Chunks of bytes. It yields as many as were promised or fails: an end that comes early is an error, and what comes too
/// much is cut off. Bytes that are not those of the answer's checksum are an error too, behind the last of them. Dropping it
/// ends the transfer.
pub struct Body {
    chunks: BoxStream<'static, Result<Bytes, StoreError>>,
    /// Where all of it is, if that is a file.
    file: Option<FilePart>,
    promised: u64,
    received: u64,
    is_ended: bool,
}

impl Body {
    pub(super) fn new(chunks: impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static, promised: u64) -> Self {
        Self { chunks: chunks.boxed(), file: None, promised, received: 0, is_ended: false }
    }

    /// `first` is the first chunk of `file`.
    pub(super) fn of_file(first: Bytes, file: FilePart) -> Self {
        let (promised, rest) = (file.bytes, file.clone().behind(first.len() as u64));
        let chunks = stream::once(async move { Ok(first) }).chain(rest.chunks());
        Self { file: Some(file), ..Self::new(chunks, promised) }
    }

    /// All of it.
    ///
    /// # Errors
    /// As the stream.
    pub async fn collect(mut self) -> Result<Bytes, StoreError> {
        let first = self.next().await.transpose()?.unwrap_or_default();
        if let Some(file) = self.file.take_if(|file| file.bytes > first.len() as u64) {
            // Chunks would be copied together, and each leave its memory with another of the threads that read files.
            let (whole, promised) = (file.whole().await?, self.promised);
            let received = whole.len() as u64;
            return if received == promised { Ok(whole) } else { Err(StoreError::Truncated { received, promised }) };
        }
        let Some(second) = self.next().await.transpose()? else {
            // An object of one chunk needs no copy.
            return Ok(first);
        };
        let mut whole = BytesMut::with_capacity(usize::try_from(self.promised).unwrap_or_default());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(chunk) = self.next().await.transpose()? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
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
