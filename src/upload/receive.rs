//! Receives a body into a spool file, with limits on size and time, and computes its digests.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use md5::{Digest, Md5};
use ring::digest;

use super::body::UploadBody;
use super::digests::ComputedDigests;
use super::error::UploadError;
use crate::config::UPLOAD_PIECE_BYTES;
use crate::origin::{Spool, Store, UploadBuffers};
use crate::support::memory::MemoryPermit;
use crate::support::priority;

#[derive(Debug, Clone)]
pub(super) struct Receiver {
    pub(super) originals: Store,
    pub(super) buffers: Arc<UploadBuffers>,
    /// Longest time between two chunks.
    pub(super) read_timeout: Duration,
    /// Longest time for the whole body.
    pub(super) timeout: Duration,
}

/// A complete body.
#[derive(Debug)]
pub(super) struct ReceivedUpload {
    pub(super) spool: Spool,
    pub(super) digests: ComputedDigests,
}

/// Writes to the spool file and computes digests.
struct SpoolWriter {
    spool: Spool,
    sha256: digest::Context,
    md5: Md5,
}

/// Maximum length of a JSON body, enough for an escaped key of 1024 bytes.
const JSON_BYTES_MAX: usize = 16 * 1024;

impl Receiver {
    pub(super) async fn receive(&self, body: UploadBody, bytes_max: u64) -> Result<ReceivedUpload, UploadError> {
        let received = tokio::time::timeout(self.timeout, self.receive_untimed(body, bytes_max)).await;
        received.map_err(|_| UploadError::Timeout)?
    }

    /// Receives a JSON body, which is kept in memory.
    pub(super) async fn receive_json(&self, body: UploadBody) -> Result<Vec<u8>, UploadError> {
        tokio::time::timeout(self.timeout, self.receive_json_untimed(body)).await.map_err(|_| UploadError::Timeout)?
    }

    async fn receive_json_untimed(&self, mut body: UploadBody) -> Result<Vec<u8>, UploadError> {
        let _memory = self.memory().await?;
        let mut json = Vec::new();
        while let Some(chunk) = self.next_chunk(&mut body).await? {
            json.extend_from_slice(&chunk);
            if json.len() > JSON_BYTES_MAX {
                return Err(UploadError::TooLarge { bytes_max: JSON_BYTES_MAX as u64 });
            }
        }
        Ok(json)
    }

    async fn receive_untimed(&self, mut body: UploadBody, bytes_max: u64) -> Result<ReceivedUpload, UploadError> {
        let _memory = self.memory().await?;
        let spool = self.originals.spool().await.map_err(|error| UploadError::from_store(&error))?;
        let mut writer = SpoolWriter { spool, sha256: digest::Context::new(&digest::SHA256), md5: Md5::new() };
        let mut piece = BytesMut::with_capacity(UPLOAD_PIECE_BYTES);
        let mut bytes = 0_u64;
        while let Some(mut chunk) = self.next_chunk(&mut body).await? {
            bytes += chunk.len() as u64;
            if bytes > bytes_max {
                return Err(UploadError::TooLarge { bytes_max });
            }
            // A piece never grows beyond its memory.
            while piece.len() + chunk.len() >= UPLOAD_PIECE_BYTES {
                piece.extend_from_slice(&chunk.split_to(UPLOAD_PIECE_BYTES - piece.len()));
                writer = writer.write(piece.freeze()).await?;
                piece = BytesMut::with_capacity(UPLOAD_PIECE_BYTES);
            }
            piece.extend_from_slice(&chunk);
        }
        if bytes == 0 {
            return Err(UploadError::BadRequest("the upload is empty".into()));
        }
        writer.write(piece.freeze()).await?.finish()
    }

    /// Memory for one piece, or for a JSON body.
    async fn memory(&self) -> Result<MemoryPermit, UploadError> {
        self.buffers.receive().await.map_err(|_| UploadError::MemoryFull)
    }

    async fn next_chunk(&self, body: &mut UploadBody) -> Result<Option<Bytes>, UploadError> {
        let chunk = tokio::time::timeout(self.read_timeout, body.next()).await;
        chunk.map_err(|_| UploadError::Timeout)?.transpose()
    }
}

impl SpoolWriter {
    async fn write(mut self, piece: Bytes) -> Result<Self, UploadError> {
        let work = priority::blocking(move || {
            self.sha256.update(&piece);
            self.md5.update(&piece);
            self.spool.write(&piece).map(|()| self)
        });
        work.await.map_err(|_| UploadError::Internal)?.map_err(|error| UploadError::from_store(&error))
    }

    fn finish(self) -> Result<ReceivedUpload, UploadError> {
        let sha256 = self.sha256.finish().as_ref().try_into().map_err(|_| UploadError::Internal)?;
        let digests = ComputedDigests { sha256, md5: self.md5.finalize().into() };
        Ok(ReceivedUpload { spool: self.spool, digests })
    }
}
