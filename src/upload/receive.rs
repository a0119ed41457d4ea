//! Receives a body into a spool file, with limits on size and time, and computes its digests.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use md5::{Digest, Md5};
use ring::digest;

use super::body::UploadBody;
use super::digests::ComputedDigests;
use super::error::UploadError;
use crate::origin::{Spool, Store};
use crate::support::priority;

#[derive(Debug, Clone)]
pub(super) struct Receiver {
    pub(super) originals: Store,
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

/// Size of the pieces that are written and hashed. It bounds the memory of an upload.
const PIECE_BYTES: usize = 64 * 1024;

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
        let spool = self.originals.spool().await.map_err(|error| UploadError::from_store(&error))?;
        let mut writer = SpoolWriter { spool, sha256: digest::Context::new(&digest::SHA256), md5: Md5::new() };
        let mut piece = BytesMut::new();
        let mut bytes = 0_u64;
        while let Some(chunk) = self.next_chunk(&mut body).await? {
            bytes += chunk.len() as u64;
            if bytes > bytes_max {
                return Err(UploadError::TooLarge { bytes_max });
            }
            piece.extend_from_slice(&chunk);
            if piece.len() >= PIECE_BYTES {
                writer = writer.write(piece.split().freeze()).await?;
            }
        }
        if bytes == 0 {
            return Err(UploadError::BadRequest("the upload is empty".into()));
        }
        writer.write(piece.freeze()).await?.finish()
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
