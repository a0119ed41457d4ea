//! A part of an open file: chunk by chunk as it is sent on, or at once into one buffer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};

use super::failed;
use crate::origin::StoreError;
use crate::support::priority;

/// Positions are its own: the file's cursor is not used.
#[derive(Debug, Clone)]
pub(in crate::origin) struct FilePart {
    pub(in crate::origin) file: Arc<File>,
    pub(in crate::origin) first: u64,
    pub(in crate::origin) bytes: u64,
}

/// How much is read from a file at once where it is sent on.
pub(in crate::origin) const CHUNK_BYTES: usize = 128 * 1024;

impl FilePart {
    /// What is left without its first bytes.
    pub(in crate::origin) fn behind(self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        Self { first: self.first + bytes, bytes: self.bytes - bytes, file: self.file }
    }

    /// Its first bytes, at most so many; to be called where it may block. Fewer where the file ends, as one that has been
    /// cut since.
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

    /// All of it, for which the caller has the memory.
    pub(in crate::origin) async fn whole(self) -> Result<Bytes, StoreError> {
        Ok(self.next(usize::MAX).await?.0)
    }

    /// Read as they are asked for: one in memory at a time.
    pub(in crate::origin) fn chunks(self) -> impl Stream<Item = Result<Bytes, StoreError>> {
        stream::try_unfold(self, |part| async move {
            if part.bytes == 0 {
                return Ok(None);
            }
            let (chunk, rest) = part.next(CHUNK_BYTES).await?;
            // An empty one is the end of a file that has been cut since; the body says so.
            Ok((!chunk.is_empty()).then_some((chunk, rest)))
        })
    }

    async fn next(self, bytes_max: usize) -> Result<(Bytes, Self), StoreError> {
        let read = priority::blocking(move || self.read(bytes_max).map(|chunk| (chunk, self))).await;
        let (chunk, part) = read.map_err(|panic| StoreError::Other { source: panic.into() })?.map_err(failed)?;
        let rest = part.behind(chunk.len() as u64);
        Ok((chunk, rest))
    }
}
