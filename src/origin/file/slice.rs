//! A part of an open file, read in chunks or into one buffer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};

use super::io_error::from_io;
use crate::origin::error::StoreError;
use crate::support::priority;

/// A range of a file. It is read by position, without the file's cursor.
#[derive(Debug, Clone)]
pub(in crate::origin) struct FileSlice {
    pub(in crate::origin) file: Arc<File>,
    pub(in crate::origin) first: u64,
    pub(in crate::origin) bytes: u64,
}

/// Size of the chunks of a streamed file.
pub(in crate::origin) const CHUNK_BYTES: usize = 64 * 1024;

impl FileSlice {
    /// The slice without its first `bytes`.
    pub(in crate::origin) fn skip(self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        Self { first: self.first + bytes, bytes: self.bytes - bytes, file: self.file }
    }

    /// The first bytes of the slice, at most `bytes_max`; fewer if the file was truncated after it was opened. Blocks.
    pub(in crate::origin) fn read(&self, bytes_max: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(self.bytes).unwrap_or(usize::MAX).min(bytes_max)];
        let mut read = 0;
        while read < bytes.len() {
            match self.file.read_at(&mut bytes[read..], self.first + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(read);
        Ok(bytes.into())
    }

    /// The whole slice. The caller has reserved the memory.
    pub(in crate::origin) async fn read_all(self) -> Result<Bytes, StoreError> {
        Ok(self.next(usize::MAX).await?.0)
    }

    /// A stream of chunks. Each chunk is read when the stream is polled.
    pub(in crate::origin) fn into_chunks(self) -> impl Stream<Item = Result<Bytes, StoreError>> {
        stream::try_unfold(self, |slice| async move {
            if slice.bytes == 0 {
                return Ok(None);
            }
            let (chunk, rest) = slice.next(CHUNK_BYTES).await?;
            // An empty chunk means that the file was truncated; the body reports this as an error.
            Ok((!chunk.is_empty()).then_some((chunk, rest)))
        })
    }

    async fn next(self, bytes_max: usize) -> Result<(Bytes, Self), StoreError> {
        let read = priority::blocking(move || self.read(bytes_max).map(|chunk| (chunk, self))).await;
        let (chunk, slice) = read.map_err(StoreError::other)?.map_err(from_io)?;
        let rest = slice.skip(chunk.len() as u64);
        Ok((chunk, rest))
    }
}
