//! The body of an object, read from the store as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;

use super::error::StoreError;
use super::file::slice::FileSlice;
use super::object::ObjectMeta;

/// An object, or the requested range of it.
#[derive(Debug)]
pub struct Object {
    pub meta: ObjectMeta,
    pub body: Body,
}

impl Object {
    /// Reads the body into memory if the whole object has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] if the object is larger; nothing is read then. Otherwise, the errors of the stream.
    pub async fn collect(self, bytes_max: u64) -> Result<(ObjectMeta, Bytes), StoreError> {
        let Self { meta, body } = self;
        if meta.bytes > bytes_max {
            return Err(StoreError::TooLarge { bytes: meta.bytes, bytes_max });
        }
        let bytes = body.collect().await?;
        Ok((meta, bytes))
    }
}

/// A stream of chunks that yields exactly the promised number of bytes or fails. Excess bytes are cut off. If the store
/// sent a checksum that does not match, the stream fails after the last byte. Dropping the body ends the transfer.
pub struct Body {
    chunks: BoxStream<'static, Result<Bytes, StoreError>>,
    /// The file that holds the bytes, if the store is a folder.
    file: Option<FileSlice>,
    promised: u64,
    received: u64,
    is_ended: bool,
    /// The right to use a connection to the store.
    permit: Option<OwnedSemaphorePermit>,
}

impl Body {
    pub(super) fn new(chunks: impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static, promised: u64) -> Self {
        Self { chunks: chunks.boxed(), file: None, promised, received: 0, is_ended: false, permit: None }
    }

    /// A body without bytes.
    pub(super) fn empty() -> Self {
        Self::new(stream::empty(), 0)
    }

    /// Holds `permit` until the body has ended or is dropped.
    pub(super) fn with_permit(self, permit: OwnedSemaphorePermit) -> Self {
        Self { permit: Some(permit), ..self }
    }

    /// A body that reads from `file`, whose first chunk has been read already.
    pub(super) fn from_file(first: Bytes, file: FileSlice) -> Self {
        let (promised, rest) = (file.bytes, file.clone().skip(first.len() as u64));
        let chunks = stream::once(async move { Ok(first) }).chain(rest.into_chunks());
        Self { file: Some(file), ..Self::new(chunks, promised) }
    }

    fn end(&mut self) {
        (self.is_ended, self.permit) = (true, None);
    }

    /// Reads all bytes into memory.
    ///
    /// # Errors
    /// The errors of the stream.
    pub async fn collect(mut self) -> Result<Bytes, StoreError> {
        let first = self.next().await.transpose()?.unwrap_or_default();
        if let Some(file) = self.file.take_if(|file| file.bytes > first.len() as u64) {
            // Reading the file again into one buffer is cheaper than joining chunks that other threads have allocated.
            let (whole, promised) = (file.read_all().await?, self.promised);
            let received = whole.len() as u64;
            return if received == promised { Ok(whole) } else { Err(StoreError::Truncated { received, promised }) };
        }
        let Some(second) = self.next().await.transpose()? else {
            // A body of one chunk needs no copy.
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
            // The stream of chunks verifies the checksum when it ends.
            return self.chunks.poll_next_unpin(context).map(|end| {
                self.end();
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
                self.end();
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
